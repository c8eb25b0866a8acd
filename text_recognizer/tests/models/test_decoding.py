"""Decoding of frames: against all paths counted one by one, and on real matrices."""

import csv
import itertools

import numpy as np
import pytest

from text_recognizer.decoding import line_decoder
from text_recognizer.decoding.alignment import align
from text_recognizer.decoding.beam import Hypothesis, beam_search
from text_recognizer.decoding.greedy import blank_frames, greedy_labels, log_softmax
from text_recognizer.decoding.language_model import CharacterLanguageModel
from text_recognizer.decoding.lexicon import Lexicon
from text_recognizer.decoding.line_decoder import LineDecoder
from text_recognizer.decoding.tuning import DecodingWeights, evenly_chosen, tune_weights
from text_recognizer.errors import DataError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.models.decoding_support import text_score


def collapsed(path):
    """What a path spells: repeats joined, blanks dropped."""
    return tuple(one for one, _ in itertools.groupby(path) if one)


def all_texts(probabilities):
    """Every text with its probability, by adding up all paths."""
    frames, classes = probabilities.shape
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=frames):
        text = collapsed(path)
        found[text] = found.get(text, 0.0) + float(np.prod([probabilities[t, c] for t, c in enumerate(path)]))
    return found


def random_probabilities(frames, classes, seed):
    values = np.random.default_rng(seed).random((frames, classes)) ** 3
    return values / values.sum(axis=1, keepdims=True)


def of_path(path, classes):
    """Logits of which the best path is the given one."""
    return np.eye(classes, dtype=np.float32)[None, path] * 9


def test_greedy_joins_repeats_and_drops_blanks():
    # 1 1 blank 1 2 2: a doubled letter needs the blank between.
    outputs = of_path([1, 1, 0, 1, 2, 2], 3)
    assert greedy_labels(outputs, np.array([6]))[0].tolist() == [1, 1, 2]


def test_greedy_does_not_read_the_padding():
    outputs = np.concatenate([of_path([1, 0, 2, 2], 3), of_path([1, 0, 2, 2], 3)])
    assert [label.tolist() for label in greedy_labels(outputs, np.array([4, 2]))] == [[1, 2], [1]]
    assert blank_frames(outputs, np.array([4, 2])).tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(12))
def test_beam_search_finds_the_most_probable_texts_with_their_probabilities(seed):
    probabilities = random_probabilities(frames=5, classes=3, seed=seed)
    wanted = sorted(all_texts(probabilities).items(), key=lambda item: -item[1])[:4]
    found = beam_search(probabilities[None], np.array([5]), beam_width=200, smallest_probability=0.0, top=4)[0]
    assert [tuple(one.label.tolist()) for one in found] == [text for text, _ in wanted]
    assert np.allclose([np.exp(one.log_probability) for one in found], [value for _, value in wanted])


def test_the_most_probable_text_need_not_be_the_most_probable_path():
    # The best path is blank blank (0.36), but "a" has three paths: 0.24 + 0.24 + 0.16.
    probabilities = np.array([[[0.6, 0.4], [0.6, 0.4]]])
    assert greedy_labels(probabilities, np.array([2]))[0].tolist() == []
    best = beam_search(probabilities, np.array([2]))[0][0]
    assert best.label.tolist() == [1]
    assert np.exp(best.log_probability) == pytest.approx(0.64)


def test_lines_are_searched_together_as_they_are_alone():
    probabilities = np.stack([random_probabilities(9, 4, seed) for seed in range(3)])
    frames = np.array([4, 9, 6])
    together = beam_search(probabilities, frames, beam_width=3, top=2)
    for line, found in enumerate(together):
        alone = beam_search(probabilities[line : line + 1, : frames[line]], frames[line : line + 1], 3, top=2)[0]
        assert [one.label.tolist() for one in found] == [one.label.tolist() for one in alone]
        assert np.allclose([one.log_probability for one in found], [one.log_probability for one in alone])


def test_no_lines_and_lines_of_one_blank_frame_are_read_as_nothing():
    assert beam_search(np.zeros((0, 3, 4)), np.zeros(0, int)) == []
    found = beam_search(np.array([[[1.0, 0.0]]]), np.array([1]))[0]
    assert [one.label.tolist() for one in found] == [[]]


def test_long_lines_do_not_run_out_of_digits():
    # 0.1 to the power of 2,000 is no double.
    probabilities = np.full((1, 2000, 10), 0.1)
    best = beam_search(probabilities, np.array([2000]), beam_width=4)[0][0]
    assert -2000 * np.log(10) < best.log_probability < 0
    assert np.isfinite(best.log_probability)


@pytest.mark.parametrize("seed", range(6))
def test_alignment_gives_the_probability_of_a_text_and_the_frames_of_its_characters(seed):
    probabilities = random_probabilities(frames=5, classes=3, seed=seed)
    texts = all_texts(probabilities)
    labels = [np.array(text, int) for text in texts]
    rows = np.repeat(np.log(probabilities.astype(np.float32))[None], len(labels), axis=0)
    found = align(rows, np.full(len(labels), 5), labels)
    assert np.allclose([np.exp(one.log_probability) for one in found], list(texts.values()), rtol=1e-4)
    paths = list(itertools.product(range(3), repeat=5))
    for text, alignment in zip(texts, found, strict=True):
        spelling = [path for path in paths if collapsed(path) == text]
        best = max(spelling, key=lambda path: np.prod([probabilities[t, c] for t, c in enumerate(path)]))
        runs = [(one, list(places)) for one, places in itertools.groupby(range(5), key=lambda t: best[t])]
        runs = [(one, places) for one, places in runs if one]
        assert alignment.first.tolist() == [places[0] for _, places in runs]
        assert alignment.last.tolist() == [places[-1] for _, places in runs]
        peaks = [max(probabilities[t, one] for t in places) for one, places in runs]
        assert np.allclose(alignment.confidences, peaks, rtol=1e-5)


def test_alignment_of_long_lines_does_not_run_out_of_digits():
    # n frames of 0.1 each spell one character in n (n + 1) / 2 ways; 0.1 to the power of n is no double.
    frames = np.array([2000, 900])
    found = align(np.full((2, 2000, 10), np.log(0.1), np.float32), frames, [np.array([1]), np.array([3])])
    expected = np.log(frames * (frames + 1) / 2) - frames * np.log(10)
    assert np.allclose([one.log_probability for one in found], expected, rtol=1e-5)


def test_alignment_of_a_text_that_no_float_holds_is_at_least_as_probable_as_its_best_path():
    # In every frame the character has a probability of exp(-200), too little for eight frames in one float.
    rows = np.full((1, 40, 2), -200, np.float32)
    found = align(rows, np.array([40]), [np.array([1])])[0]
    assert found.log_probability == pytest.approx(40 * -200, rel=1e-2)


def test_scorers_change_what_is_read():
    classes = ["", *"abc"]
    probabilities = np.full((1, 3, 4), 0.01)
    probabilities[0, 0, 1] = 0.9  # a
    probabilities[0, 1, 0] = 0.9
    probabilities[0, 2, 2], probabilities[0, 2, 3] = 0.45, 0.50  # b or, a little likelier, c
    frames = np.array([3])
    assert beam_search(probabilities, frames)[0][0].label.tolist() == [1, 3]
    lexicon = (Lexicon(["ab"], classes), 1.0)
    assert beam_search(probabilities, frames, scorers=[lexicon])[0][0].label.tolist() == [1, 2]
    language = (CharacterLanguageModel.learn([np.array([1, 2])] * 9, 4, 3), 1.0)
    best = beam_search(probabilities, frames, scorers=[language], length_bonus=1.0)[0][0]
    assert best.label.tolist() == [1, 2]
    assert best.log_probability < 0  # of the image alone
    assert best.score != best.log_probability


@pytest.mark.parametrize("seed", range(4))
def test_a_scored_search_is_exact_while_the_beam_holds_everything(seed):
    probabilities = random_probabilities(frames=4, classes=3, seed=seed)
    model = CharacterLanguageModel.learn([np.array([1, 2, 1]), np.array([2, 2])], 3, 3)
    weighted = {
        text: np.log(value) + 0.7 * text_score(model, np.array(text, int)) + 0.4 * len(text)
        for text, value in all_texts(probabilities).items()
        if value > 0
    }
    wanted = max(weighted, key=weighted.__getitem__)
    found = beam_search(
        probabilities[None], np.array([4]), 500, [(model, 0.7)], length_bonus=0.4, smallest_probability=0.0
    )[0][0]
    assert tuple(found.label.tolist()) == wanted
    assert found.score == pytest.approx(weighted[wanted], abs=1e-5)


def test_extensions_that_cannot_catch_up_are_left_out_without_changing_any_reading():
    random = np.random.default_rng(0)
    model = CharacterLanguageModel.learn([random.integers(1, 6, 20).astype(np.int32) for _ in range(9)], 6, 3)
    probabilities = random.dirichlet(np.full(6, 0.3), (8, 30))
    frames = random.integers(10, 31, 8)

    def search(*scorers):
        found = beam_search(probabilities, frames, 4, scorers, length_bonus=0.7, top=3)
        return [(one.label.tolist(), one.score) for line in found for one in line]

    # A scorer that may add to a score, if only so little, keeps all extensions in the race.
    assert search((model, 0.6)) == search((model, 0.6), (model, -1e-300))


def test_weights_are_those_with_the_fewest_errors():
    # Right only with a language weight of 0.6 and a length bonus of 1.0.
    def read(weights: DecodingWeights, _step: int) -> list[str]:
        near = abs(weights.language - 0.6) + abs(weights.length - 1.0)
        return ["a" * round(10 * near)]

    best = tune_weights(read, [""], has_language=True, has_words=False)
    assert best == DecodingWeights(language=0.6, length=1.0)
    assert evenly_chosen(10, 3).tolist() == [0, 4, 9]
    assert evenly_chosen(2, 3).tolist() == [0, 1]


def test_weights_that_only_help_together_are_found():
    errors = {(0.0, 0.0): 10, (0.0, 0.5): 8, (0.2, 1.0): 5}  # from (0, 0.5), no step along one of the two helps

    def read(weights: DecodingWeights, _step: int) -> list[str]:
        return ["a" * errors.get((weights.language, weights.length), 12)]

    assert tune_weights(read, [""], has_language=True, has_words=False) == DecodingWeights(0.2, 0.0, 1.0)


def test_many_weights_are_tried_on_few_lines_and_few_on_all():
    lines_read = []

    def read(weights: DecodingWeights, step: int) -> list[str]:
        lines = range(0, 500, step)
        lines_read.append(len(lines))
        worse = abs(weights.language - 0.4) + abs(weights.words - 2.0) + abs(weights.length - 1.5)
        return ["a" * round(10 * worse) for _ in lines]

    best = tune_weights(read, [""] * 500, has_language=True, has_words=True)
    assert best == DecodingWeights(0.4, 2.0, 1.5)
    assert (lines_read[0], lines_read[-1]) == (25, 500)
    assert sum(lines_read) < 11_000  # all 150 on all lines would be 75,000


def test_weights_are_chosen_by_fewer_lines_where_lines_are_long(monkeypatch):
    decoder = LineDecoder(["", *"abc"], beam_width=5, language_model=2, lexicon=False)
    decoder.learn([np.array([1])], ["a"])
    seen: list[int] = []

    def search(part, *_):
        seen.append(len(part))
        return [[Hypothesis(np.zeros(0, np.int32), 0.0, 0.0)]] * len(part)

    monkeypatch.setattr(decoder, "_search", search)
    outputs, frames, labels = np.zeros((6, 40, 4)), np.full(6, 40), [np.array([1])] * 12
    monkeypatch.setattr(line_decoder, "MOST_TUNING_EFFORT", 5 * 40 * 5)
    decoder.tune([(outputs, frames), (outputs, frames)], labels)
    assert set(seen) == {4}  # every third line of both, read together


def test_a_decoder_reads_greedily_until_it_has_learnt(tmp_path):
    classes = ["", *"abc"]
    decoder = LineDecoder(classes, beam_width=5, language_model=3, lexicon=True)
    outputs = np.log(np.array([[[0.6, 0.4, 1e-6, 1e-6], [0.6, 0.4, 1e-6, 1e-6]]]))
    frames = np.array([2])
    assert decoder.labels(outputs, frames)[0].tolist() == []
    texts = ["a", "ab"]
    decoder.learn([np.array([1]), np.array([1, 2])], texts)
    decoder.tune([(outputs, frames)], [np.array([1])])
    assert decoder.labels(outputs, frames)[0].tolist() == [1]
    reading = decoder.read(outputs, frames)[0]
    assert reading.label.tolist() == [1]
    assert np.exp(reading.alignment.log_probability) == pytest.approx(0.64, rel=1e-3)
    decoder.save(tmp_path)
    other = LineDecoder(classes, beam_width=5, language_model=3, lexicon=True)
    other.load(tmp_path)
    assert other.weights == decoder.weights
    assert other.lexicon is not None
    assert other.lexicon.words == ["a", "ab"]
    assert other.labels(outputs, frames)[0].tolist() == [1]
    (tmp_path / "decoding.json").write_text("{")
    with pytest.raises(DataError, match="the decoder in .* is damaged"):
        LineDecoder(classes, 5, 3, True).load(tmp_path)


def test_a_greedy_decoder_lists_as_many_readings_as_are_asked_for():
    # Paths: "" .36, "a" .36 + .24 + .04 in one frame or both; what is hardly probable is listed too.
    outputs = np.log(np.array([[[0.6, 0.4, 1e-5], [0.6, 0.4, 1e-5]]]))
    reading = LineDecoder(["", *"ab"], None, None, False).read(outputs, np.array([2]), alternatives=3)[0]
    assert reading.label.tolist() == []  # as without alternatives: the best path
    labels = [label.tolist() for label, _ in reading.alternatives]
    assert labels == [[1], [], [2]]
    values = np.exp([value for _, value in reading.alternatives])
    assert values == pytest.approx([0.64, 0.36, 1.2e-5], rel=1e-2)


def test_log_softmax_makes_probabilities_of_large_logits():
    values = np.exp(log_softmax(np.array([[1000.0, 1000.0], [0.0, -1000.0]])))
    assert np.allclose(values, [[0.5, 0.5], [1.0, 0.0]])


def read_matrix(path):
    """(1, T, classes) probabilities of a file of logits whose last column is the blank; here the blank comes first."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [[float(value) for value in row if value != ""] for row in csv.reader(file, delimiter=";")]
    matrix = np.array(rows)
    matrix = np.concatenate([matrix[:, -1:], matrix[:, :-1]], axis=1)
    return np.exp(log_softmax(matrix))[None]


def spelled(characters, label):
    return "".join(characters[one - 1] for one in label)


def test_a_real_line_is_read_as_the_published_decoders_read_it():
    folder = shared_data("ctc_matrices") / "wbs" / "iam"
    characters = (folder / "chars.txt").read_text(encoding="utf-8").strip("\n")
    probabilities = read_matrix(folder / "mat_0.csv")
    frames = np.array([probabilities.shape[1]])
    greedy = spelled(characters, greedy_labels(probabilities, frames)[0])
    best = beam_search(probabilities, frames, beam_width=25)[0][0]
    assert greedy == "the fak friend of the fomly hae tC"
    assert spelled(characters, best.label) == "the fak friend of the fomcly hae tC"
    exact = align(np.log(probabilities).astype(np.float32), frames, [best.label])[0].log_probability
    assert exact - 1 < best.log_probability < exact  # of the paths kept, so a little less than of all


@pytest.mark.parametrize("name", ["iam/mat_0", "bentham/mat_0", "bentham/mat_1", "bentham/mat_2"])
def test_real_lines_are_read_as_by_tensorflows_beam_search(name):
    import tensorflow as tf

    probabilities = read_matrix(shared_data("ctc_matrices") / "wbs" / f"{name}.csv")
    frames = np.array([probabilities.shape[1]])
    blank_last = np.concatenate([probabilities[..., 1:], probabilities[..., :1]], axis=2)
    logits = np.log(blank_last).transpose(1, 0, 2).astype(np.float32)
    (theirs,), _ = tf.nn.ctc_beam_search_decoder(logits, frames.astype(np.int32), beam_width=100)
    best = beam_search(probabilities, frames, beam_width=25)[0][0]
    assert best.label.tolist() == (theirs.values.numpy() + 1).tolist()


def test_a_lexicon_and_a_language_model_mend_a_real_line():
    folder = shared_data("ctc_matrices") / "wbs" / "iam"
    characters = (folder / "chars.txt").read_text(encoding="utf-8").strip("\n")
    classes = ["", *characters]
    words = (folder / "corpus.txt").read_text(encoding="utf-8")
    truth = (folder / "gt_0.txt").read_text(encoding="utf-8").strip()
    probabilities = read_matrix(folder / "mat_0.csv")
    frames = np.array([probabilities.shape[1]])
    lexicon = (Lexicon.of_texts([words], classes), 4.0)
    found = beam_search(probabilities, frames, 50, [lexicon], smallest_probability=1e-4)[0][0]
    assert spelled(characters, found.label).startswith("the fake friend of the family")
    assert truth.startswith("the fake friend of the family")
