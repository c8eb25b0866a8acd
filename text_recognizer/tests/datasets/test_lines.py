"""Lines: batches, splits by writer, labels, what is rejected and how it is said."""

import hashlib
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines import pool as line_pool
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.members import completed_splits
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.datasets.storage.store import Store
from text_recognizer.errors import DataError
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import LineForm
from text_recognizer.tests.datasets.line_files import AS_IT_IS, SPLITS, picture, prepared, save, with_splits, write_list


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_a_batch_is_padded_on_the_right_with_paper_and_says_how_wide_its_lines_are(tmp_path):
    split = prepared(with_splits(tmp_path, ["ab", "bca", "c"])).split("train")
    batch = split.batch(np.array([2, 0]))
    assert {name: (column.shape, str(column.dtype)) for name, column in batch.items()} == {
        "image": ((2, 8, 22, 1), "uint8"),
        "width": ((2,), "int32"),
        "label": ((2, 2), "int32"),
        "label_length": ((2,), "int32"),
    }
    assert np.array_equal(batch["image"][0, :, :, 0], picture(22, seed=2))
    assert np.array_equal(batch["image"][1, :, :20, 0], picture(20, seed=0))
    assert (batch["image"][1, :, 20:] == 255).all()
    assert batch["width"].tolist() == [22, 20]
    assert batch["label"].tolist() == [[3, 0], [1, 2]]  # a, b, c are 1, 2, 3
    assert batch["label_length"].tolist() == [1, 2]


def test_light_ink_is_padded_with_black_and_is_the_inverse_of_the_file(tmp_path):
    split = prepared(with_splits(tmp_path, ["a", "b"]), ink="light").split("train")
    batch = split.batch(np.arange(2))
    assert np.array_equal(batch["image"][1, :, :, 0], 255 - picture(21, seed=1))
    assert (batch["image"][0, :, 20:] == 0).all()


def test_a_split_knows_names_texts_groups_widths_and_lengths_of_its_lines(tmp_path):
    rows = [("a b.png", " x  y ", "train", "ann"), ("c.png", "z", "train", "bob"), ("d.png", "y", "test", "eve")]
    rows += [("e.png", "x", "validation", "kim")]
    dataset = prepared(write_list(tmp_path / "lines", rows, f"{SPLITS}\twriter"))
    split = dataset.split("train")
    assert split.ids == ["a b.png", "c.png"]
    assert split.texts == ["x y", "z"] == [split.text(0), split.text(1)]
    assert split.groups == ["ann", "bob"]
    assert split.widths.tolist() == [20, 21]
    assert [len(split.label(position)) for position in (0, 1)] == [3, 1]
    assert split.label(0).tolist() == [2, 1, 3]  # blank, x, y, z are 1 to 4
    assert split.image(0).shape == (8, 20, 1)
    assert dataset.data_spec.input_shape == (8, None, 1)
    assert dataset.data_spec.classes == ("", " ", "x", "y", "z")
    assert (dataset.data_spec.target, dataset.data_spec.max_length) == ("line", 3)


def test_a_list_without_writers_has_no_groups(tmp_path):
    assert prepared(with_splits(tmp_path, ["a", "b"])).split("train").groups is None


def test_an_empty_batch_has_its_columns(tmp_path):
    batch = prepared(with_splits(tmp_path, ["a"])).split("train").batch(np.arange(0))
    assert batch["image"].shape == (0, 8, 1, 1)
    assert batch["label"].shape == (0, 0)


def test_pictures_and_labels_are_views_of_the_files_of_the_store(tmp_path):
    dataset = prepared(with_splits(tmp_path, ["ab", "b"]))
    assert isinstance(dataset.pool.pixels.base, np.memmap)
    assert isinstance(dataset.derived["labels"].base, np.memmap)


def test_writers_are_in_one_split_only_and_each_split_has_its_share(tmp_path):
    rows = [(f"{index}.png", "ab", f"w{index % 20}") for index in range(100)]
    dataset = prepared(write_list(tmp_path / "lines", rows, "file\ttext\twriter"))
    assert dataset.sizes() == {"train": 80, "validation": 10, "test": 10}
    writers = [set(dataset.split(name).groups or ()) for name in SPLIT_NAMES]
    assert [len(names) for names in writers] == [16, 2, 2]
    assert len(set.union(*writers)) == 20


def test_big_and_small_writers_are_held_out_alike():
    # 40 writers, the first ten with 19 lines, the others with 1: a tenth of the lines is 22, a tenth of the writers 4.
    groups = [f"big{index // 19}" for index in range(190)] + [f"small{index}" for index in range(30)]
    for seed in range(20):
        random = np.random.default_rng(seed)
        splits = completed_splits(np.full(220, -1, np.int8), groups, {"test": 0.1, "validation": 0.1}, random, "x")
        held_out = {group for group, split in zip(groups, splits, strict=True) if split == SPLIT_NAMES.index("test")}
        assert len(held_out) == 4
        assert sum(group.startswith("big") for group in held_out) == 1


def test_lines_of_one_writer_cannot_be_parted_by_writer(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index}.png", "ab", "ann") for index in range(9)], "file\ttext\twriter")
    with pytest.raises(
        DataError, match=r"only 9 lines would be left, all of 'ann'\. Group them otherwise \(dataset_args\.group_by"
    ):
        prepared(path)
    assert sum(prepared(path, group_by="line").sizes().values()) == 9


def test_one_line_alone_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match=r"only 1 line would be left\. Group them"):
        prepared(write_list(tmp_path / "lines", [("0.png", "ab")]))


def test_lines_that_were_made_smaller_are_counted(tmp_path):
    path = with_splits(tmp_path, ["ab", "b", "a"])  # at a height of 16: 40, 42, 44 pixels wide
    (remark,) = prepared(path, height=16, max_width=43).remarks("train")
    assert remark.startswith("1 line of 3 of the train split is made smaller to 43 pixels of width")
    assert prepared(path, height=16, max_width=45).remarks("train") == []
    assert prepared(path, height=16, max_width=None).remarks("train") == []


def test_writing_that_is_small_in_its_lines_is_remarked_on(tmp_path):
    path = with_splits(tmp_path, ["ab", "b", "a"])
    assert prepared(path, height=16).remarks("train") == []
    for file in path.parent.glob("*.png"):  # a third of the height is writing, and not all of that ink
        line = np.asarray(Image.open(file))
        save(file, np.pad(line, ((10, 6), (0, 0)), constant_values=255))
    (remark,) = prepared(path, height=48).remarks("train")
    assert remark.startswith("the writing takes 33 % of the height of a usual line of the train split, so its letters")


def test_lines_for_a_test_alone_are_all_in_it(tmp_path):
    dataset = prepared(write_list(tmp_path / "lines", [(f"{index}.png", "ab", "test") for index in range(3)], SPLITS))
    assert dataset.sizes() == {"train": 0, "validation": 0, "test": 3}


def test_a_validation_split_is_held_out_of_training_where_the_files_have_none(tmp_path):
    rows = [(f"{index}.png", "ab", "test" if index < 5 else "train") for index in range(25)]
    dataset = prepared(write_list(tmp_path / "lines", rows, SPLITS))
    assert dataset.sizes() == {"train": 18, "validation": 2, "test": 5}
    assert set(dataset.split("test").ids) == {f"{index}.png" for index in range(5)}


def test_subsampling_keeps_a_share_of_every_split_in_order(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index:02}.png", "ab") for index in range(40)])
    whole, half = prepared(path), prepared(path, subsample_fraction=0.5)
    assert (
        half.sizes()
        == {name: size // 2 for name, size in whole.sizes().items()}
        == {
            "train": 16,
            "validation": 2,
            "test": 2,
        }
    )
    assert half.split("train").ids == sorted(set(half.split("train").ids) & set(whole.split("train").ids))
    assert half.fingerprint != whole.fingerprint


def test_subsamples_share_a_store_and_a_charset(tmp_path):
    rows = [(f"{index:03}.png", f"only {index:03}", f"w{index % 10}") for index in range(100)]
    path = write_list(tmp_path / "lines", rows, "file\ttext\twriter")
    few, more = prepared(path, subsample_fraction=0.1), LineListDataset(str(path), subsample_fraction=0.2, **AS_IT_IS)
    assert more.is_prepared()
    assert (few.store_path, few.data_spec) == (more.store_path, more.data_spec)
    assert few.fingerprint != more.fingerprint


def test_a_second_preparation_is_identical_with_one_process_and_with_two(tmp_path, monkeypatch, capfd):
    path = write_list(tmp_path / "lines", [(f"{index}.png", f"text {index}") for index in range(200)])
    (tmp_path / "lines" / "7.png").write_bytes(b"no image")
    found = []
    for processes in (1, 2):
        monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / f"data{processes}"))
        monkeypatch.setattr(line_pool, "FEW_LINES", 0)
        dataset = LineListDataset(str(path), **AS_IT_IS)
        monkeypatch.setattr(dataset, "processes", processes)
        dataset.prepare()
        found.append((dataset.pool.store.content_hash, dataset.fingerprint, dataset.rejected))
        assert "LineListDataset: preparing 200 lines" in capfd.readouterr().err
        dataset.prepare()
        assert capfd.readouterr().err == ""
    assert found[0] == found[1]
    assert len(found[0][2]) == 1


def test_a_store_that_was_made_by_another_process_is_read(tmp_path):
    path = with_splits(tmp_path, ["ab", "b"])
    first = prepared(path)
    other = LineListDataset(str(path), **AS_IT_IS)
    assert other.is_prepared()
    assert other.split("train").texts == first.split("train").texts
    assert other.fingerprint == first.fingerprint
    assert Store(Path(other.store_path)).problems() == []


def test_lines_rejected_by_their_text_count_in_the_fingerprint_as_in_older_runs(tmp_path):
    rows = [(f"{index}.png", "aé" if index == 3 else "ab") for index in range(20)]
    dataset = prepared(write_list(tmp_path / "lines", rows), charset=["a", "b"], unknown_characters="reject")
    assert [one.name for one in dataset.rejected] == ["3.png"]
    digest = hashlib.sha256(dataset.store.content_hash.encode())
    for name, array in sorted(dataset.derived.items()):
        digest.update(name.encode() + array.tobytes())
    assert dataset.fingerprint == digest.hexdigest()[:16]


def test_the_table_of_rejected_lines_is_current_if_the_others_are_the_same(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index}.png", f"text {index}") for index in range(20)])
    for name in ("7.png", "8.png"):
        path.write_text(path.read_text() + f"gone-{name}\tgone\n")
        dataset = prepared(path)
        table = dataset._table_folder / "rejected.tsv"
        assert len(table.read_text().splitlines()) == 1 + len(dataset.rejected)
    assert len(dataset.rejected) == 2


def test_damaged_images_and_their_reasons_are_no_part_of_the_fingerprint(tmp_path, monkeypatch):
    path = write_list(tmp_path / "lines", [(f"{index}.png", f"text {index}") for index in range(20)])
    found = []
    damaged = tmp_path / "lines" / "7.png"
    for place, content in (("a", b"no image"), ("b", damaged.read_bytes()[:-40])):
        damaged.write_bytes(content)
        monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / place))
        dataset = prepared(path)
        found.append((dataset.pool.store.content_hash, dataset.fingerprint, dataset.rejected))
    (*prints, [rejected]), (*others, [other]) = found
    assert prints == others
    assert rejected.name == other.name
    assert rejected.reason != other.reason


def test_a_changed_picture_makes_another_store(tmp_path):
    path = with_splits(tmp_path, ["ab", "b"])
    first = prepared(path)
    save(tmp_path / "lines" / "0.png", picture(50))
    assert not LineListDataset(str(path), **AS_IT_IS).is_prepared()
    second = prepared(path)
    assert second.fingerprint != first.fingerprint
    assert second.split("train").widths.tolist() == [50, 21]


def test_every_line_that_cannot_be_used_is_rejected_by_name_and_reason(tmp_path, capsys):
    rows = [(f"{name}.png", "ab") for name in ("good", "cut", "text", "missing", "white", "tiny")]
    path = write_list(tmp_path / "lines", [*rows, ("empty.png", "  "), *((f"{index}.png", "b") for index in range(9))])
    folder = tmp_path / "lines"
    save(folder / "cut.png", picture(400, 64))
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:-3000])
    (folder / "text.png").write_text("hello")
    (folder / "missing.png").unlink()
    save(folder / "white.png", np.full((8, 30), 250, np.uint8))
    path.write_text(path.read_text() + "good.png\tagain\n" + "short.png\n")
    dataset = prepared(path)
    reasons = {one.name: one.reason for one in dataset.rejected}
    assert reasons["cut.png"].startswith(f"the image cannot be read: {folder / 'cut.png'}: ")
    assert reasons["text.png"].startswith("the file is not an image that can be read")
    assert reasons["missing.png"] == f"the image file is missing: {folder / 'missing.png'}"
    assert reasons["white.png"] == "the image is blank: nothing stands out from its background"
    assert reasons["empty.png"] == "its label is empty"
    assert reasons["good.png"] == "another line before it has the same name"
    assert reasons["short.png"] == "its row has 1 cell, expected 2"
    assert len(reasons) == 7
    assert sum(dataset.sizes().values()) == 11
    said = capsys.readouterr().err
    assert "LineListDataset: 7 lines rejected: 1 x " in said
    table = Path(said.rpartition("All: ")[2].strip())
    assert table.name == "rejected.tsv"
    cells = [row.split("\t") for row in table.read_text(encoding="utf-8").splitlines()]
    assert cells[0] == ["name", "reason", "text"]
    assert ["good.png", "another line before it has the same name", "again"] in cells
    assert len(cells) == 8
    assert (Path(dataset.store_path) / "rejected.tsv").exists()


def test_a_list_of_which_nothing_is_left_says_why(tmp_path):
    path = write_list(tmp_path / "lines", [("a.png", "ab"), ("b.png", "b")])
    for name in ("a.png", "b.png"):
        (tmp_path / "lines" / name).unlink()
    expected = r"none of its lines can be used. 2 lines rejected: 2 x the image file is missing \('a.png'\)\."
    whole = f" For example 'a.png': the image file is missing: {tmp_path / 'lines' / 'a.png'}."
    with pytest.raises(DataError, match=expected + re.escape(whole)):
        prepared(path)


def test_a_list_without_lines_says_so(tmp_path):
    (tmp_path / "lines.tsv").write_text("file\ttext\n")
    with pytest.raises(DataError, match="LineListDataset: it has no lines"):
        prepared(tmp_path / "lines.tsv")


def test_pictures_are_padded_to_one_width_where_that_is_asked_for(tmp_path):
    dataset = prepared(with_splits(tmp_path, ["ab", "b"]), width=40)
    assert dataset.data_spec.input_shape == (8, 40, 1)
    batch = dataset.split("train").batch(np.array([0]))
    assert batch["image"].shape == (1, 8, 40, 1)
    assert batch["width"].tolist() == [20]


def test_a_picture_that_is_in_a_later_split_too_is_taken_out_of_training(tmp_path):
    path = with_splits(tmp_path, ["ab", "b", "a"])
    for name in ("0.png", "validation.png"):
        (tmp_path / "lines" / name).write_bytes((tmp_path / "lines" / "test.png").read_bytes())
    dataset = prepared(path)
    assert dataset.sizes() == {"train": 2, "validation": 0, "test": 1}
    assert {one.name: one.reason for one in dataset.rejected} == {
        "0.png": "the same image is in the test split: 'test.png'",
        "validation.png": "the same image is in the test split: 'test.png'",
    }


def test_a_batch_takes_a_fraction_of_what_reading_its_pictures_would(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index}.png", "ab" * 15) for index in range(20)])
    for index in range(20):
        save(tmp_path / "lines" / f"{index}.png", picture(400, 40, index))
    split = prepared(path, height=40).split("train")
    split.batch(np.arange(len(split)))
    from_store, from_files = [], []
    for _ in range(3):
        begin = time.process_time()
        for _ in range(100):
            split.batch(np.arange(len(split)))
        from_store.append((time.process_time() - begin) / 100)
        begin = time.process_time()
        for _ in range(5):
            for name in split.ids:
                read_grey(tmp_path / "lines" / name)
        from_files.append((time.process_time() - begin) / 5)
    assert min(from_files) / min(from_store) > 3  # 60 on an idle machine


def test_where_too_few_writers_are_left_those_that_were_rejected_are_named():
    lost = [Rejected("p2", "the image file is missing: p2.png", noun="page")]
    with pytest.raises(DataError, match=r"all of 'p1'.* 1 page rejected: 1 x the image file is missing \('p2'\)\."):
        completed_splits(np.full(3, -1, np.int8), ["p1"] * 3, {"test": 0.1}, np.random.default_rng(0), "X", lost)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "NoneType"),
        ([[1]], "list"),
        (np.zeros((8, 9)), r"float64 \(8, 9\)"),
        (np.zeros((8, 9, 3), np.uint8), r"uint8 \("),
    ],
)
def test_what_the_source_of_a_user_reads_is_checked(returned, said):
    class Mine(LineSource):
        def read(self, position):
            return returned

    source = Mine([LineSample("1", "a text")])
    with pytest.raises(DataError, match=rf"not a uint8 array \(H, W\): read\(\) of Mine returned {said}"):
        line_pool._picture(source, 0, source.samples[0], LineForm(8))


@pytest.mark.parametrize("yielded", [None, [None], [LineSample("1", "a text")], "a text"])
def test_sources_of_a_user_that_are_none_are_refused(yielded):
    class Mine(LineDataset):
        def depends_on(self):
            return {"yielded": str(yielded)}

        def sources(self):
            return yielded

    expected = r"Mine: sources\(\) must yield LineSources, whose samples are LineSamples. Received: "
    with pytest.raises(DataError, match=expected):
        _ = Mine().data_spec
    with pytest.raises(DataError, match=expected):
        Mine().prepare()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"text": 3}, "text of a LineSample must be text. Received: 3."),
        ({"group": 17}, "group of a LineSample must be text. Received: 17."),
        ({"problem": None}, "problem of a LineSample must be text. Received: None."),
        ({"split": "val"}, "split of a LineSample must be one of train, validation, test, or '' for none."),
    ],
)
def test_what_is_said_of_a_line_is_checked(about, expected):
    with pytest.raises(DataError) as caught:
        LineSample(**({"name": "1", "text": "a text"} | about))
    assert expected in str(caught.value)
