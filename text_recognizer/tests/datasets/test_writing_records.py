"""Shards of TFRecords: written by several processes, after kills and on full disks; extracted again."""

import errno
import json
import re

import numpy as np
import pytest

from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.formats.tfrecord import (
    find_frames,
    write_record,
)
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.records import extracting
from text_recognizer.datasets.records import folder as making
from text_recognizer.datasets.records.checking import check_records
from text_recognizer.datasets.records.extracting import extract_records
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.reading import pictures
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.datasets.records.writing import write_records
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.line_files import write_list
from text_recognizer.tests.datasets.record_files import (
    as_bytes,
    content_of,
    few_digits,
    first_example,
    own_data,  # noqa: F401
    sound,
    write_digits,
)


def test_records_hold_every_sample_of_every_split(tmp_path):
    index = write_digits(tmp_path / "digits")
    dataset = few_digits()
    dataset.prepare()
    split = dataset.split("test")
    assert index["splits"]["test"]["examples"] == len(split)
    assert sum(counts["test"] for counts in index["classes"].values()) == len(split)
    assert sorted(index["splits"]["train"]["shards"]) == sorted(
        file.name for file in (tmp_path / "digits").glob("train-*")
    )
    shards = open_shards(tmp_path / "digits")
    found = [one for shard in shards if shard.split == "test" for one in pictures(shard)]
    positions = []
    for one in found:
        assert isinstance(one, tuple)
        record, picture = one
        positions.append(int(record.name.removeprefix("test:")))
        assert record.text == split.text(positions[-1]) == str(record.label[0])
        assert np.array_equal(picture, 255 - split.image(positions[-1])[..., 0])
    assert sorted(positions) == list(range(len(split)))


def test_the_bytes_are_the_same_whatever_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "_ONE_PROCESS", 0)
    write_digits(tmp_path / "one", "png", processes=1)
    write_digits(tmp_path / "two", "png", processes=2)
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")


def test_what_a_kill_leaves_is_kept_and_a_half_written_shard_never_has_a_name(tmp_path, monkeypatch):
    write_digits(tmp_path / "whole")
    folder = tmp_path / "killed"
    written: list[bytes] = []

    def dies_within_the_third(file, data):
        if len(written) == 25:
            file.flush()
            raise KeyboardInterrupt
        written.append(data)
        write_record(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(making, "write_record", dies_within_the_third)
        with pytest.raises(KeyboardInterrupt):
            write_digits(folder)
    kept = {file: file.stat().st_ino for file in folder.glob("train-*")}
    assert len(kept) == 2
    (folder / ".train-00002-of-00003.new").write_bytes(b"half")
    (folder / "labels.json").unlink()
    assert "splits" not in json.loads((folder / "index.json").read_text())
    advice = f"{folder} is incomplete. Give the same text-recognizer records command again"
    assert [one for one in check_records(open_shards(folder)).problems() if advice in one]
    for refusing in (
        lambda: RecordsDataset(str(folder)).classes,
        lambda: open_shards(folder, whole=True),
    ):
        with pytest.raises(DataError, match=re.escape(advice)):
            refusing()
    write_digits(folder)
    assert {file: file.stat().st_ino for file in kept} == kept
    assert content_of(folder) == content_of(tmp_path / "whole")


def test_a_full_disk_leaves_no_shard_half_written(tmp_path, monkeypatch):
    def is_full(file, data):
        file.write(data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(making, "write_record", is_full)
    with pytest.raises(DataError, match=r"No space left on device \(.*\)\. Finished shards are kept"):
        write_digits(tmp_path / "digits")
    assert sorted(content_of(tmp_path / "digits")) == ["index.json", "labels.json"]
    assert not list((tmp_path / "digits").glob(".*.new"))


def test_a_kept_shard_that_is_damaged_is_written_again(tmp_path):
    write_digits(tmp_path / "digits")
    before = content_of(tmp_path / "digits")
    shard = next((tmp_path / "digits").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-3])
    write_digits(tmp_path / "digits")
    assert content_of(tmp_path / "digits") == before


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    write_digits(tmp_path / "digits")
    with pytest.raises(DataError, match="something else; these differ: encoding"):
        write_digits(tmp_path / "digits", "png")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="is not empty"):
        write_digits(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*: Not a directory\.$"):
        write_digits(tmp_path / "file" / "digits")


def test_keys_and_names_of_the_inception_recognisers(tmp_path):
    write_digits(tmp_path / "digits", form="inception", encoding="jpeg", shard_size=1000)
    path = tmp_path / "digits" / "train-00000-of-00001"
    features = first_example(path)
    assert sorted(features) == ["encoded", "label", "text"]
    assert features["encoded"][0][:3] == b"\xff\xd8\xff"
    for name in ("index.json", "labels.json"):
        (tmp_path / "digits" / name).unlink()
    shards = open_shards(tmp_path / "digits")  # as they come from elsewhere
    assert shards[0].form == form_named("inception")
    assert check_records(shards).examples["train"] == len(list(find_frames(as_bytes(path))))
    assert open_shards(tmp_path / "digits", keys={"text": ""})[0].form == form_named("inception", {"text": ""})


def test_lines_have_the_keys_and_names_of_crnn_recognisers(tmp_path):
    rows = [(f"{number}.png", text) for number, text in enumerate(["ab", "ba", "cab", "b", "abc", "bca"])]
    listed = str(write_list(tmp_path / "lines", rows))
    dataset = LineListDataset(listed, ink="dark", validation_fraction=0.2, test_fraction=0.2)
    write_records(dataset, tmp_path / "crnn", form_named("crnn"), shard_size=3)
    names = sorted(file.name for file in (tmp_path / "crnn").glob("train*"))
    assert names == ["train_feature_0_2.tfrecords", "train_feature_2_4.tfrecords"]
    shards = open_shards(tmp_path / "crnn")
    found = [one for shard in shards for one in sound(shard)]
    assert sorted((one.name, one.text) for one in found) == sorted(rows)
    assert {one.name: one.label for one in found}["2.png"] == (2, 0, 1)  # c, a, b: the blank has no id
    assert len(found[0].features["images"][0]) == 100 * 32 * 3
    assert [one[1].shape for one in pictures(shards[0]) if isinstance(one, tuple)] == [(32, 100)]


def test_extracted_lines_and_characters_are_read_as_lists_and_folders_are(tmp_path):
    rows = [(f"{number}.png", text) for number, text in enumerate(["ab", "ba", "cab", "b", "abc", "bca"])]
    lines = LineListDataset(str(write_list(tmp_path / "lines", rows)), validation_fraction=0.2, test_fraction=0.2)
    write_records(lines, tmp_path / "records", form_named("default"))
    assert extract_records(open_shards(tmp_path / "records"), tmp_path / "out") == (6, [])
    again = LineListDataset(str(tmp_path / "out" / "images.csv"))
    again.prepare()
    assert sorted(again.split("train").texts) == sorted(lines.split("train").texts)
    write_digits(tmp_path / "digits")
    extract_records(open_shards(tmp_path / "digits"), tmp_path / "digit_files")
    digits = ImageFolderDataset(str(tmp_path / "digit_files" / "images.csv"))
    assert digits.classes == tuple("0123456789")
    with pytest.raises(DataError, match="is not empty. Give another folder"):
        extract_records(open_shards(tmp_path / "digits"), tmp_path / "out")


def test_an_extraction_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def is_full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_digits(tmp_path / "digits")
    monkeypatch.setattr(extracting, "replace_file", is_full)
    with pytest.raises(DataError, match="No space left on device"):
        extract_records(open_shards(tmp_path / "digits"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("inceptoin", {}, "Did you mean 'inception'"),
        ("default", {"imge": "x"}, "Did you mean 'image'"),
        ("default", {"image": 3}, "a form of records: image must be text"),
        ("default", {"files": "../{split}-{shard}"}, "must be the name of a shard"),
        ("default", {"files": "{split}"}, "must be the name of a shard"),
        ("default", {"files": "{split}-{shard"}, "must be the name of a shard"),
        ("default", {"files": "{split}-{shard:0999999999d}"}, "must be the name of a shard"),
        ("default", {"text": "image"}, "no key twice"),
        ("default", {"text": "\ud800"}, "text is wrong"),
        ("crnn", {"size": [0, 32]}, "size"),
        ("default", {"raw_channels": 2}, "raw_channels must be one of 1 or 3"),
    ],
)
def test_a_form_that_cannot_be_is_refused(name, changes, message):
    with pytest.raises(SpecError) as refused:
        form_named(name, changes)
    assert message in str(refused.value)
