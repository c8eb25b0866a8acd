"""Several datasets of lines as one: splits, class ids, pictures that two of them share, mistakes."""

from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.hdf5 import Hdf5Export
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset, JoinedPart
from text_recognizer.errors import SpecError
from text_recognizer.parts import make_part
from text_recognizer.tests.line_samples import write_lines


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def listed(path, train_only=False, **arguments):
    return JoinedPart("LineListDataset", {"path": str(path), "height": 20, **arguments}, train_only)


@pytest.fixture
def two(tmp_path):
    """Blocks that spell a, b and c, and rendered sentences to train with."""
    rendered = JoinedPart("RenderedLinesDataset", {"num_texts": 30, "height": 20, "noise": []}, train_only=True)
    dataset = JoinedLinesDataset((listed(write_lines(tmp_path / "blocks")), rendered))
    dataset.prepare()
    return dataset


def test_every_line_of_every_part_has_its_picture_and_its_text_in_the_common_class_ids(two):
    classes = two.data_spec.classes
    assert {"a", "b", "c", " ", "T"} <= set(classes)
    for name in SPLIT_NAMES:
        split = two.split(name)
        for position in range(len(split)):
            spelt = "".join(classes[one] for one in split.label(position))
            assert spelt == split.text(position) == split.texts[position]
            assert split.image(position).shape == (20, split.widths[position], 1)


def test_rejected_lines_of_every_part_are_listed_with_its_number(two, tmp_path):
    assert two.rejected == []
    more = write_lines(tmp_path / "more")
    with open(more, "a") as table:
        table.write("gone.png\tgone\tw0\n")
    dataset = JoinedLinesDataset((two.parts[0], listed(more)))
    dataset.prepare()
    assert [(one.name, one.common_reason) for one in dataset.rejected] == [("1/gone.png", "the image file is missing")]


def test_a_batch_mixes_parts_and_pads_them_to_the_widest(two):
    train = two.split("train")
    last = len(train) - 1
    batch = train.batch(np.array([last, 0, last - 1]))
    assert batch["image"].shape == (3, 20, batch["width"].max(), 1)
    for row, position in enumerate((last, 0, last - 1)):
        width = train.widths[position]
        assert batch["width"][row] == width
        assert (batch["image"][row, :, :width] == train.image(position)).all()
        assert not batch["image"][row, :, width:].any()
        label = batch["label"][row, : batch["label_length"][row]]
        assert (label == train.label(position)).all()
        assert not batch["label"][row, len(label) :].any()


def test_a_part_to_train_with_is_in_no_other_split_and_is_there_whole(two):
    blocks, rendered = two.joined
    assert two.sizes() == {**blocks.sizes(), "train": blocks.sizes()["train"] + sum(rendered.sizes().values())}
    assert two.split("test").ids == [f"0/{one}" for one in blocks.split("test").ids]
    assert {one.partition("/")[0] for one in two.split("train").ids} == {"0", "1"}
    assert {f"0/{one}" for one in blocks.split("train").groups} < set(two.split("train").groups)


def test_lines_that_a_part_made_smaller_are_remarked_on(tmp_path):
    narrow = listed(write_lines(tmp_path / "blocks"), train_only=True, max_width=25)
    joined = JoinedLinesDataset((listed(write_lines(tmp_path / "others")), narrow))
    joined.prepare()
    assert [one.partition(" are")[0] for one in joined.remarks("train")] == [
        f"LineListDataset: {count} lines of {count} of the {name} split"
        for name, count in joined.joined[1].sizes().items()
    ]
    assert joined.remarks("test") == []


@pytest.mark.parametrize(("bounds", "common"), [((25, 25), 25), ((25, None), 25), ((25, 2048), None)])
def test_the_width_to_which_lines_were_made_smaller_is_known_where_it_is_one(tmp_path, bounds, common):
    parts = [listed(write_lines(tmp_path / str(number)), max_width=most) for number, most in enumerate(bounds)]
    joined = JoinedLinesDataset(tuple(parts))
    joined.prepare()
    assert joined.split("train").max_width == common


def test_a_picture_that_one_part_tests_with_is_trained_with_in_no_other(tmp_path):
    # The same lines twice: what the first holds out, the second would train with.
    path = write_lines(tmp_path / "blocks")
    dataset = JoinedLinesDataset((listed(path), listed(path, train_only=True)))
    dataset.prepare()
    held_out = {row.tobytes() for name in ("validation", "test") for row in pictures(dataset.split(name))}
    assert held_out
    assert not held_out & {row.tobytes() for row in pictures(dataset.split("train"))}


def pictures(split):
    return [split.image(position) for position in range(len(split))]


def test_a_joined_dataset_is_exported_whole(two, tmp_path):
    Hdf5Export().write(two, tmp_path / "lines.hdf5")
    read = Hdf5LinesDataset(str(tmp_path / "lines.hdf5"), height=20)
    read.prepare()
    for name in SPLIT_NAMES:
        assert read.split(name).texts == two.split(name).texts


def test_few_training_lines_are_among_more_and_tests_stay_whole(tmp_path):
    path = write_lines(tmp_path / "blocks")
    arguments = {"path": str(path), "height": 20}
    splits = {}
    for count in (4, 12, None):
        part = JoinedPart("LineListDataset", arguments, train_lines=count)
        dataset = JoinedLinesDataset((part, listed(write_lines(tmp_path / "others", 30), train_only=True)))
        dataset.prepare()
        splits[count] = {name: dataset.split(name).ids for name in SPLIT_NAMES}
    few, more, every = ({one for one in splits[count]["train"] if one[0] == "0"} for count in splits)
    assert (len(few), len(more)) == (4, 12)
    assert few < more < every
    assert splits[4]["test"] == splits[None]["test"]
    assert {one for one in splits[4]["train"] if one[0] == "1"} == {
        one for one in splits[None]["train"] if one[0] == "1"
    }


def test_parts_with_another_form_are_named_with_both_values(tmp_path):
    path = write_lines(tmp_path / "blocks")
    dataset = JoinedLinesDataset((listed(path), JoinedPart("LineListDataset", {"path": str(path), "height": 24})))
    with pytest.raises(SpecError, match=r"parts\.1: input_shape is \(24, None, 1\), that of the first part \(20, None"):
        _ = dataset.data_spec
    with pytest.raises(SpecError, match=r"parts\.0: the images show a character, expected lines"):
        _ = JoinedLinesDataset((JoinedPart("DigitsDataset"),)).data_spec


def test_mistakes_in_parts_are_all_named_with_their_keys():
    problems: list[Any] = []
    parts: list[dict[str, Any]] = [
        {"dataset": "LineLisDataset"},
        {"dataset": "LineListDataset", "dataset_args": {"hight": 20}},
        {"dataset": "os:getcwd"},
    ]
    made, _ = make_part("dataset", "JoinedLinesDataset", {"parts": parts}, problems)
    assert made is None
    text = "\n".join(problems)
    assert "parts.0: unknown dataset 'LineLisDataset'. Did you mean 'LineListDataset'?" in text
    assert "parts.1: dataset 'LineListDataset' has no argument 'hight'. Did you mean 'height'?" in text
    assert "parts.2: dataset must be the name of a registered dataset" in text
    keys = {one.key for one in problems}
    assert {"dataset_args.parts.0.dataset", "dataset_args.parts.1.dataset_args.hight"} <= keys
    for wrong in ([], [{"dataset": "LineListDataset", "args": {}}]):
        problems = []
        make_part("dataset", "JoinedLinesDataset", {"parts": wrong}, problems)
        assert problems


def test_a_part_that_shows_characters_is_refused_before_anything_is_prepared(tmp_path):
    dataset = JoinedLinesDataset((JoinedPart("DigitsDataset"),))
    with pytest.raises(SpecError, match=r"parts\.0: the images show a character, expected lines"):
        dataset.prepare()
    assert not (tmp_path / "data").exists()
