"""Models of lines and pages: losses against paths counted one by one, readings, boxes."""

import itertools
import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.base import ScoredBatch
from text_recognizer.models.line import LineModel
from text_recognizer.models.line_base import by_width
from text_recognizer.models.line_ctc import IMPOSSIBLE_LOSS, LineModelCtc, ctc_loss, frames_needed
from text_recognizer.models.line_detector import LineDetectorModel, line_boxes
from text_recognizer.networks.base import FrameNetwork, Network
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import write_lines

ABC = DataSpec((8, None, 1), ("", "a", "b", "c"), "line")
PAGES = DataSpec((32, 32, 1), ("background", "odd", "even"), "pixels")


class Columns(FrameNetwork):
    """A frame for each column: the class that its brightest row says."""

    def frames(self, width):
        return width

    def build(self, input_shape, output_shape):
        import keras

        image = keras.Input(input_shape)
        classes = output_shape[-1]
        rows = keras.ops.transpose(image[:, :classes, :, 0], (0, 2, 1))  # (B, W, classes)
        return keras.Model(image, 20.0 * rows)


class Untouched(Network):
    def build(self, input_shape, output_shape):
        raise AssertionError("not built here")


def written(ids, width=None):
    """An image (8, W, 1) that Columns reads as these frames; padding reads as blanks."""
    image = np.zeros((8, width or len(ids), 1), np.uint8)
    image[0] = 255
    for column, one in enumerate(ids):
        image[:, column] = 0
        image[one, column] = 255
    return image


def collapsed(path):
    return tuple(one for one, _ in itertools.groupby(path) if one)


def brute_force_loss(logits, label):
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    paths = itertools.product(range(logits.shape[1]), repeat=len(logits))
    total = sum(
        np.prod([probabilities[t, one] for t, one in enumerate(path)]) for path in paths if collapsed(path) == label
    )
    return -math.log(total)


def test_the_ctc_loss_counts_all_paths_through_the_true_frames():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 6, 4)).astype(np.float32)
    labels = np.array([[1, 2, 3], [1, 1, 0], [2, 0, 0]])
    lengths, frames = np.array([3, 2, 1]), np.array([6, 4, 3])
    losses = np.asarray(ctc_loss(labels, logits, lengths, frames))
    wanted = [brute_force_loss(logits[i, : frames[i]], tuple(labels[i, : lengths[i]].tolist())) for i in range(3)]
    assert np.allclose(losses, wanted, rtol=1e-4)


def test_what_lies_in_the_padding_does_not_matter():
    logits = np.random.default_rng(1).normal(size=(1, 5, 4)).astype(np.float32)
    other = logits.copy()
    other[:, 3:] += 100.0
    arguments = np.array([[1, 2]]), np.array([2]), np.array([3])
    losses = [float(ctc_loss(arguments[0], one, *arguments[1:])[0]) for one in (logits, other)]
    assert losses[0] == pytest.approx(losses[1])


def test_impossible_and_empty_labels_have_a_known_loss_and_no_gradient():
    import tensorflow as tf

    # "aa" needs three frames: a, blank, a.
    labels = np.array([[1, 1], [1, 2], [0, 0]])
    assert [frames_needed(np.array(label)) for label in ([1, 1], [1, 2], [])] == [3, 2, 0]
    logits = tf.Variable(np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        losses = ctc_loss(labels, logits, np.array([2, 2, 0]), np.array([2, 2, 2]))
    gradient = tape.gradient(losses, logits).numpy()
    assert losses.numpy()[[0, 2]].tolist() == [IMPOSSIBLE_LOSS] * 2
    assert losses.numpy()[1] < 20
    assert not gradient[[0, 2]].any()
    assert gradient[1].any()


def test_lines_are_read_whatever_lies_beside_them():
    model = LineModelCtc(ABC, Columns())
    lines = [written([1, 1, 0, 1, 2]), written([3] * 70), written([2, 0, 3])]
    assert [one.text for one in model.predict(lines)] == ["aab", "c", "bc"]
    alone = [model.predict([line])[0] for line in lines]
    assert model.predict(lines) == alone


def test_characters_have_places_and_confidences():
    model = LineModelCtc(ABC, Columns())
    prediction = model.predict([written([1, 1, 0, 2, 2, 2])])[0]
    assert [(one.text, one.left_px, one.right_px) for one in prediction.characters] == [("a", 0, 2), ("b", 3, 6)]
    assert all(0.99 < one.confidence <= 1 for one in prediction.characters)
    assert 0.99 < prediction.confidence <= 1
    assert prediction.alternatives == (("ab", prediction.confidence),)


def test_label_smoothing_mixes_in_the_distance_from_even_odds_of_true_frames_alone():
    model = LineModelCtc(ABC, Columns())
    logits = np.zeros((1, 4, 4), np.float32)
    logits[0, 2:] = 50.0 * np.eye(4)[0]
    batch = {name: np.array(value) for name, value in (("label", [[1]]), ("label_length", [1]), ("width", [2]))}
    plain = float(model.loss(batch, logits)[0])
    # Even odds in both true frames: log 4 each.
    assert float(model.loss(batch, logits, 0.5)[0]) == pytest.approx(0.5 * plain + 0.5 * 2 * math.log(4), rel=1e-5)


def test_a_search_without_a_language_is_ready_once_weights_are_chosen():
    model = LineModelCtc(ABC, Columns(), decoding="beam", beam_width=3)
    assert not model.decoder.needs_tuning
    model.decoder.learn([], [])
    prediction = model.predict([written([1, 0, 2])])[0]
    assert prediction.text == "ab"
    assert prediction.alternatives[0][0] == "ab"
    assert len(prediction.alternatives) > 1


def test_a_language_model_without_a_search_is_refused():
    with pytest.raises(SpecError, match="a language model or a lexicon needs model_args.decoding 'beam'"):
        LineModelCtc(ABC, Columns(), language_model=3)


def test_decoding_weights_are_tuned_with_what_other_lines_teach(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    dataset = LineListDataset(str(write_lines(tmp_path / "lines")), height=8)
    dataset.prepare()
    train, validation = dataset.split("train"), dataset.split("validation")
    (tmp_path / "known.txt").write_text("\n".join(["abba", *validation.texts]))

    def taught(learns_from, tunes_on, texts=None):
        """The texts of each learning, and the lines tuned on."""
        path = None if texts is None else str(texts)
        model = LineModelCtc(dataset.data_spec, Columns(), "beam", lexicon=True, language_model_texts=path)
        learnt: list[list[str]] = []
        tuned: list[int] = []

        def score(split, chosen):
            tuned.extend(chosen.tolist())
            return iter(())

        monkeypatch.setattr(model, "score", score)
        monkeypatch.setattr(model.decoder, "learn", lambda labels, texts: learnt.append(texts))
        monkeypatch.setattr(model.decoder, "tune", lambda batches, labels: None)
        model.finish(learns_from, tunes_on)
        return learnt, tuned

    every = list(range(len(validation)))
    assert taught(train, validation) == ([train.texts], every)
    assert taught(train, validation, tmp_path / "known.txt") == ([["abba"], ["abba", *validation.texts]], every)
    word = validation.texts[0]  # if training lines have it too, as frequent words, test lines may have it as well
    lines = SimpleNamespace(texts=[word], digests=np.zeros(1, np.uint64))
    (others, _), _ = taught(lines, validation, tmp_path / "known.txt")
    assert others == ["abba", word]
    (others, whole), tuned = taught(train, train)  # as `evaluate --split validation` does
    assert whole == train.texts
    assert others == [text for position, text in enumerate(train.texts) if position not in tuned]
    assert len(tuned) == len(train) // 2


def test_batches_of_one_width_hold_every_line_once():
    widths = np.array([64, 32, 64, 64, 32])
    assert [batch.tolist() for batch in by_width(widths, 2)] == [[1, 4], [0, 2], [3]]


def test_a_fixed_position_reader_pads_its_labels_and_multiplies_its_confidences():
    data_spec = DataSpec((8, 24, 1), ("", "a", "b"), "line", max_length=3)
    model = LineModel(data_spec, Untouched())
    batch: dict[str, Any] = {"image": np.zeros((1, 8, 24, 1), np.uint8), "label": np.array([[2, 1]], np.int32)}
    assert model.arranged(batch)["label"].tolist() == [[2, 1, 0]]
    outputs = np.log(np.array([[[0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]]]))
    prediction = model.decode(outputs)[0]
    assert prediction.text == "ba"
    assert prediction.confidence == pytest.approx(0.8 * 0.7 * 0.9, rel=1e-5)
    assert [(one.left_px, one.right_px) for one in prediction.characters] == [(0, 8), (8, 16)]
    model.alternatives = 3
    listed = model.decode(outputs)[0].alternatives
    assert [text for text, _ in listed] == ["ba", "b", "bb"]
    # "b" with the second or the last place left blank; "ba" likewise with its a in the last place.
    assert listed[1][1] == pytest.approx(0.8 * 0.2 * 0.9, rel=1e-5)
    loss = model.loss({"label": np.array([[2, 1, 0]])}, outputs)
    assert float(loss[0]) == pytest.approx(-np.log([0.8, 0.7, 0.9]).mean(), rel=1e-5)


def page(*lines):
    """(32, 32) classes with lines of (class, top, bottom, left, right)."""
    classes = np.zeros((32, 32), int)
    for kind, top, bottom, left, right in lines:
        classes[top:bottom, left:right] = kind
    return classes


def test_boxes_of_lines_come_from_top_to_bottom():
    classes = page((1, 2, 8, 4, 28), (2, 8, 14, 2, 30), (1, 15, 20, 4, 20))
    boxes = line_boxes(classes)
    assert [(box[1], box[3]) for box in boxes.tolist()] == [(2, 8), (8, 14), (15, 20)]
    assert all(box[2] - box[0] > 12 for box in boxes.tolist())


def test_a_blank_page_has_no_line_and_a_page_of_one_line_has_one():
    assert line_boxes(page()).shape == (0, 4)
    assert line_boxes(page((1, 10, 20, 3, 30))).shape == (1, 4)


def test_parts_of_a_line_are_joined_and_specks_are_not_lines():
    classes = page((1, 4, 10, 2, 10), (1, 5, 10, 14, 30), (2, 20, 21, 5, 30), (2, 25, 31, 5, 8))
    boxes = line_boxes(classes)
    assert len(boxes) == 1
    assert boxes[0].tolist()[1::2] == [4, 10]
    assert (boxes[0][0], boxes[0][2]) == (1, 31)


def test_the_loss_of_a_page_is_the_mean_over_its_pixels():
    model = LineDetectorModel(PAGES, Untouched())
    outputs = np.log(np.full((1, 2, 2, 3), [0.5, 0.25, 0.25]))
    loss = model.loss({"label": np.array([[[0, 0], [1, 2]]])}, outputs)
    assert float(loss[0]) == pytest.approx(-(2 * math.log(0.5) + 2 * math.log(0.25)) / 4)
    counted = model.decode(np.eye(3)[page((1, 2, 8, 4, 28))][None] * 20)[0]
    assert counted.text == "1 line"
    assert counted.confidence == pytest.approx(1.0)


def test_a_page_counts_its_annotated_lines_and_one_annotated_in_part_only_those_that_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    # Two lines of a hundredth of the page: in a map of 32 x 32 they are one pixel high, and no line is that low.
    boxes = [{"x1": 20, "y1": 40, "x2": 180, "y2": 42}, {"x1": 20, "y1": 80, "x2": 180, "y2": 82}]
    for index in range(3):
        save(tmp_path / f"page{index}.png", np.full((200, 200), 255, np.uint8))
    listed = {f"page{index}": {"lines": boxes} for index in range(3)}
    (tmp_path / "pages.json").write_text(json.dumps(listed))
    path, partial = str(tmp_path / "pages.json"), ("page0", "page1", "page2")
    for pages, f1, precision in (((), [0, 2], [0, 0]), (partial, [0, 0], [0, 0])):
        dataset = PageListDataset(path, side=32, partial_pages=pages)
        dataset.prepare()
        split = dataset.split("train")
        batch = split.batch(np.arange(1))
        model = LineDetectorModel(dataset.data_spec, Untouched())
        blank = np.eye(3)[np.zeros((1, 32, 32), int)]
        counts = model.counts(ScoredBatch(split, np.arange(1), batch, blank, np.zeros(1, np.float32)))
        assert [int(part[0]) for part in counts["line_f1"]] == f1
        assert [int(part[0]) for part in counts["line_precision"]] == precision
        assert [int(part[0]) for part in counts["line_recall"]] == [0, 2]
        warnings = model.data_warnings(split, dataset.split("validation"))
        assert ["val_line_recall" in one for one in warnings] == [True] * bool(pages)
    with pytest.raises(DataError, match="partial_pages names 'page9'"):
        PageListDataset(path, side=32, partial_pages=("page9",)).split("train")
