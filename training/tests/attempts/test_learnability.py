from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.errors import SpecError
from text_recognizer.experiment import Experiment
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import line_picture, write_lines
from text_recognizer.train_args import TrainArgs
from training.attempts.learnability import check_learnable, data_warnings, left_out_table, progress_warning


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    made = LineListDataset(str(write_lines(tmp_path / "lines")), height=20)
    made.prepare()
    return made


def model_of(data_spec: DataSpec) -> LineModelCtc:
    return LineModelCtc(data_spec, LineReader())


def warnings_of(dataset: Any, model: LineModelCtc) -> list[str]:
    train, validation = dataset.split("train"), dataset.split("validation")
    return data_warnings(model, train, validation, model.trainable(train))


def test_lines_that_can_be_learnt_give_no_warning(dataset):
    assert warnings_of(dataset, model_of(dataset.data_spec)) == []


def test_characters_that_can_never_be_read_are_named(dataset):
    spec = dataset.data_spec
    without = DataSpec(spec.input_shape, tuple(one for one in spec.classes if one != "b"), "line", ink=spec.ink)
    (warning,) = warnings_of(dataset, model_of(without))
    assert warning.startswith("1 character of the texts are not in the charset and can never be read: 'b'")


def test_lines_with_more_characters_than_frames_are_counted_and_named(dataset):
    model = model_of(dataset.data_spec)
    train = dataset.split("train")
    trainable = np.ones(len(train), bool)
    trainable[[0, 2]] = False
    (warning,) = data_warnings(model, train, dataset.split("validation"), trainable)
    assert warning.startswith(f"2 lines of {len(train)} cannot be learnt and are left out")
    assert f"('{train.ids[0]}', '{train.ids[2]}')" in warning
    assert warning.endswith("left_out.tsv has all")


def test_what_would_let_lines_without_enough_frames_be_learnt_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    path = write_lines(tmp_path / "lines")
    # At a height of 20: 27 pixels, 7 frames; on its side 5 pixels, 1 frame.
    save(path.parent / "dense.png", line_picture("abc"))
    save(path.parent / "upright.png", np.rot90(line_picture("abcabcabc")))
    more = ["dense.png\tabcabcabca\tw1", "upright.png\tabcabcabc\tw1"]
    path.write_text("\n".join([*path.read_text().splitlines(), *more]) + "\n")
    dataset = LineListDataset(str(path), height=20)
    dataset.prepare()
    (warning,) = warnings_of(dataset, model_of(dataset.data_spec))
    assert "for the width ('dense.png', 'upright.png'). 1 is higher than wide: writing must run from left" in warning
    assert "With dataset_args.height=40, 1 would fit" in warning


def test_of_lines_of_one_width_the_width_is_what_to_change(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    path = write_lines(tmp_path / "lines")
    save(path.parent / "dense.png", line_picture("abc"))
    path.write_text(path.read_text() + "dense.png\taaaaaa\tw1\n")  # needs a frame more for each repeated letter
    dataset = LineListDataset(str(path), height=20, width=27)
    dataset.prepare()
    (warning,) = warnings_of(dataset, model_of(dataset.data_spec))
    assert warning.startswith("5 lines of 31 cannot be learnt")
    assert "With dataset_args.height=40 and width=54, 5 would fit" in warning
    larger = LineListDataset(str(path), height=40, width=54)
    larger.prepare()
    assert warnings_of(larger, model_of(larger.data_spec)) == []
    narrow = LineListDataset(str(path), height=20, width=16)
    with pytest.raises(SpecError, match=r"4 frames for lines of 16 pixels.* Make dataset_args\.width larger"):
        model_of(narrow.data_spec)


def test_of_lines_that_were_made_smaller_that_is_what_to_change(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    path = write_lines(tmp_path / "lines")
    save(path.parent / "long.png", line_picture("abcabcabc"))
    path.write_text(path.read_text() + "long.png\tabcabcabc\tw1\n")
    squeezed = LineListDataset(str(path), height=20, max_width=32)  # 32 pixels have 8 frames, at any height
    squeezed.prepare()
    (warning,) = warnings_of(squeezed, model_of(squeezed.data_spec))
    assert "2 are made smaller: set dataset_args.max_width to null. With a network of more" in warning
    assert "height" not in warning
    whole = LineListDataset(str(path), height=20, max_width=None)
    whole.prepare()
    assert warnings_of(whole, model_of(whole.data_spec)) == []


class Short(LineModelCtc):
    """Has frames for labels of at most three characters, or for none."""

    longest = 3

    def trainable(self, split):
        return np.array([len(text) <= self.longest for text in split.texts])


def experiment_with(dataset, model):
    spec = ExperimentSpec(dataset="LineListDataset", model="LineModelCtc", network="line_reader")
    return Experiment(spec, dataset, model.network, model, TrainArgs(), {})


def test_every_line_that_is_left_out_is_in_a_table(dataset):
    experiment = experiment_with(dataset, Short(dataset.data_spec, LineReader()))
    table = left_out_table(experiment)
    assert table is not None
    header, *rows = [row.split("\t") for row in table.splitlines()]
    assert header == ["split", "name", "text"]
    wanted = [
        [name, one, text]
        for name in ("train", "validation")
        for one, text in zip(dataset.split(name).ids, dataset.split(name).texts, strict=True)
        if len(text) > 3
    ]
    assert rows == wanted
    assert len(rows) > 3
    assert left_out_table(experiment_with(dataset, model_of(dataset.data_spec))) is None


def test_data_that_nothing_can_be_learnt_from_is_refused(dataset):
    model = Short(dataset.data_spec, LineReader())
    check_learnable(experiment_with(dataset, model))
    model.longest = 0
    with pytest.raises(SpecError, match="'line_reader': each has more characters than the network has frames"):
        check_learnable(experiment_with(dataset, model))


def test_a_model_whose_advice_is_no_text_is_refused(dataset):
    class Silent(Short):
        longest = 0

        def untrainable_remedy(self, *_):
            return None

        def data_warnings(self, *_):
            return None

    model = Silent(dataset.data_spec, LineReader())
    remedy = r"^model 'Silent': untrainable_remedy\(\) must return a text. Received: None.$"
    with pytest.raises(SpecError, match=remedy):
        check_learnable(experiment_with(dataset, model))
    warnings = r"^model 'Silent': data_warnings\(\) must return a list of texts. Received: None.$"
    with pytest.raises(SpecError, match=warnings):
        warnings_of(dataset, model)


def test_nothing_but_blanks_is_warned_of_once_it_lasts():
    assert progress_warning({"step": 400, "val_blank_share": 1.0}) is None
    assert progress_warning({"step": 900, "val_blank_share": 0.9}) is None
    assert progress_warning({"step": 900}) is None
    warning = progress_warning({"step": 1900, "val_blank_share": 1.0})
    assert warning is not None
    assert "after 1,900 steps the network still reads nothing: every frame is blank" in warning
