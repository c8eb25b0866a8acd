"""TFRecords without TensorFlow: written, read, checked, given other labels, trained on; damage named and bounded."""

import errno
import json
import random
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.formats.tfrecord import (
    Damage,
    Frame,
    data_of,
    decode_example,
    encode_example,
    find_frames,
    write_record,
)
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.records import folder as making
from text_recognizer.datasets.records.checking import check_records
from text_recognizer.datasets.records.extracting import extract_records
from text_recognizer.datasets.records.forms import RecordForm, form_named
from text_recognizer.datasets.records.label_files import read_labels
from text_recognizer.datasets.records.relabelling import relabel_records
from text_recognizer.datasets.records.remote import remote_shards
from text_recognizer.datasets.records.shards import Record, Shard, open_shards, pictures, records
from text_recognizer.datasets.records.writing import write_records
from text_recognizer.datasets.remote import download
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.grey import KINDS
from text_recognizer.images.read import png_bytes
from text_recognizer.tests.datasets.file_server import Fault, FileServer
from text_recognizer.tests.datasets.gnt_files import stroke
from text_recognizer.tests.datasets.line_files import write_list

FEATURES: dict[str, Any] = {"a": [b"\0x", "é".encode()], "b": [-1, 0, 1 << 40], "c": [0.5, -2.0], "d": []}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    remote_shards.cache_clear()  # another test's server may have had the same address


def few_digits() -> DigitsDataset:
    return DigitsDataset(subsample_fraction=0.03)


def write_digits(folder: Path, encoding: str = "raw", form: str = "default", shard_size: int = 10, processes: int = 1):
    return write_records(few_digits(), folder, form_named(form), encoding, shard_size, processes=processes)[0]


def index_of(shard: str, about: Mapping[str, Any]) -> bytes:
    return json.dumps({"form": {}, "splits": {"": {"shards": {shard: about}}}}).encode()


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("[!.]*")}


def write_shard(path: Path, examples: Sequence[Mapping[str, Any]]) -> Path:
    with open(path, "wb") as file:
        for features in examples:
            write_record(file, encode_example(features))
    return path


def as_bytes(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), np.uint8)


def sound(shard: Shard) -> list[Record]:
    found = list(records(shard))
    assert not [one for one in found if isinstance(one, Rejected)]
    return [one for one in found if isinstance(one, Record)]


def first_example(path: Path) -> dict[str, Any]:
    content = as_bytes(path)
    frame = next(find_frames(content))
    assert isinstance(frame, Frame)
    return decode_example(data_of(content, frame))


def colliding(path: Path) -> Path:
    """Records as a run with two threads left them: the first character got a new label each time."""
    labels = [("日", 0), ("日", 1), ("月", 1), ("火", 2), ("火", 2)]
    examples = [
        {"label": [label], "text": [text.encode()], "encoded": [png_bytes(stroke(number))]}
        for number, (text, label) in enumerate(labels)
    ]
    return write_shard(path, examples)


# the formats


def test_frames_and_examples_are_those_of_tensorflow(tmp_path):
    import tensorflow as tf

    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    kinds = {
        bytes: ("bytes_list", tf.train.BytesList),
        float: ("float_list", tf.train.FloatList),
        int: ("int64_list", tf.train.Int64List),
    }
    features = {
        key: tf.train.Feature(**{kinds[type(values[0])][0]: kinds[type(values[0])][1](value=values)})
        for key, values in FEATURES.items()
        if values
    }
    example = tf.train.Example(features=tf.train.Features(feature={**features, "d": tf.train.Feature()}))
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        writer.write(example.SerializeToString(deterministic=True))
        writer.write(b"")
    with open(ours, "wb") as file:
        write_record(file, encode_example(FEATURES))
        write_record(file, b"")
    assert ours.read_bytes() == theirs.read_bytes()
    assert first_example(theirs) == FEATURES
    key = next(iter(FEATURES))
    assert decode_example(example.SerializeToString(), [key, "absent"]) == {key: FEATURES[key]}
    read = [record.numpy() for record in tf.data.TFRecordDataset(str(ours))]
    assert tf.train.Example.FromString(read[0]) == example


def test_a_damaged_record_costs_that_record(tmp_path):
    path = write_shard(tmp_path / "shard", [{"n": [number]} for number in range(5)])
    size = len(path.read_bytes()) // 5
    content = bytearray(path.read_bytes())
    content[size + 14] ^= 1  # the data of the second
    content[3 * size] ^= 1  # the length of the fourth
    found = list(find_frames(np.frombuffer(content, np.uint8)))
    assert found == [
        Frame(0, size - 16),
        Frame(size, size - 16),
        Frame(2 * size, size - 16),
        Damage(3 * size, size, "the length of a record does not agree with its checksum"),
        Frame(4 * size, size - 16),
    ]
    path.write_bytes(content)
    read = list(records(Shard(path, RecordForm())))
    assert [type(one) for one in read] == [Record, Rejected, Record, Rejected, Record]
    assert read[1] == Rejected(f"shard@{size}", "its data does not agree with its checksum")


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_length_beyond_the_file_is_refused_before_anything_is_allocated(length):
    import google_crc32c

    head = struct.pack("<Q", length)
    crc = google_crc32c.value(head)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    content = np.frombuffer(head + struct.pack("<I", masked) + b"data" * 4, np.uint8)
    assert list(find_frames(content)) == [Damage(0, 28, "the file is cut short")]


def test_a_file_full_of_damage_is_looked_through_once(tmp_path, monkeypatch):
    size = len(write_shard(tmp_path / "shard", [{"n": [1]}]).read_bytes())
    content = np.frombuffer((tmp_path / "shard").read_bytes() * 2000, np.uint8).copy()
    content[:: 2 * size] ^= 1  # the length of every second record
    looked_at = []
    windows = np.lib.stride_tricks.sliding_window_view

    def counted(array, width):
        looked_at.append(len(array))
        return windows(array, width)

    monkeypatch.setattr(np.lib.stride_tricks, "sliding_window_view", counted)
    assert Counter(map(type, find_frames(content))) == {Frame: 1000, Damage: 1000}
    assert sum(looked_at) < 10 * len(content)


def test_a_file_that_ends_within_a_record_is_cut_short(tmp_path):
    path = write_shard(tmp_path / "shard", [{"n": [1]}, {"n": [2]}])
    for lost in (1, 10, 20):
        found = list(find_frames(as_bytes(path)[:-lost]))
        assert isinstance(found[0], Frame)
        assert found[1:] == [Damage(30, 30 - lost, "the file is cut short")]


def test_thousands_of_mutated_shards_end_in_records_and_reasons(tmp_path):
    write_digits(tmp_path / "raw")
    write_digits(tmp_path / "png", "png")
    seeds = [next((tmp_path / name).glob("train-*")).read_bytes()[:1500] for name in ("raw", "png")]
    chance, path, outcomes = random.Random(0), tmp_path / "shard", Counter[type]()
    texts = dict(enumerate("0123456789"))
    for number in range(3000):
        content = bytearray(seeds[number % 2])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(content))
            change = chance.choice([b"", b"\0", b"\xff" * 8, content[:20], content[at : at + 40]])
            content[at : at + chance.choice([0, 1, 8, 200])] = change
        if number % 3 == 0:  # mended checksums let changes through to what is in the frame
            begin = chance.randrange(len(content) // 2)
            data = bytes(content[begin : begin + 300])
            with open(path, "wb") as file:
                write_record(file, data)
        else:
            path.write_bytes(content)
        outcomes.update(type(one) for one in pictures(Shard(path, RecordForm(), None, texts)))
    assert min(outcomes[Rejected], outcomes[tuple]) > 1000


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"height": [1 << 40]}, "its picture of 8 x 1099511627776 pixels has 64 bytes"),
        ({"height": [-8], "width": [-8]}, "its picture of -8 x -8 pixels has 64 bytes"),
        ({"height": [8, 8]}, "its 'height' is not one value of type int"),
        ({"image": [3]}, "its 'image' is not one value of type bytes"),
        ({"image": []}, "it has no picture under the key 'image'"),
        ({"encoding": [b"png"]}, f"its picture cannot be read: the file is no image that can be read ({KINDS} can)"),
    ],
)
def test_a_picture_that_is_not_what_it_announces_is_named(tmp_path, changed, reason):
    features = {"image": [bytes(64)], "height": [8], "width": [8], "encoding": [b"raw"], "label": [0], "text": [b"0"]}
    path = write_shard(tmp_path / "shard", [features, {**features, **changed}])
    first, second = pictures(Shard(path, RecordForm()))
    assert isinstance(first, tuple)
    assert first[1].shape == (8, 8)
    assert isinstance(second, Rejected)
    assert second.reason == reason


# writing


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
    assert "splits" not in json.loads((folder / "index.json").read_text())
    write_digits(folder)
    assert {file: file.stat().st_ino for file in kept} == kept
    assert content_of(folder) == content_of(tmp_path / "whole")


def test_a_full_disk_leaves_no_shard_half_written(tmp_path, monkeypatch):
    def is_full(file, data):
        file.write(data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(making, "write_record", is_full)
    with pytest.raises(DataError, match=r"No space left on device\. Finished shards are kept"):
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
    with pytest.raises(DataError, match="something else; what differs: encoding"):
        write_digits(tmp_path / "digits", "png")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="is not empty"):
        write_digits(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
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
    with pytest.raises(DataError, match="not an empty folder"):
        extract_records(open_shards(tmp_path / "digits"), tmp_path / "out")


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


# checking and relabelling


def test_characters_that_share_a_label_are_named(tmp_path):
    colliding(tmp_path / "train-00000-of-00002")
    found = check_records(open_shards(tmp_path), samples=3)
    assert list(found.problems()) == [
        "label 1 is shared by 2 characters: '日' (1), '月' (1)",
        "'日' has 2 labels: 0, 1",
        "train-00001-of-00002 is missing",
    ]
    assert found.characters == {"日": 2, "月": 1, "火": 2}
    assert [picture.shape for picture, _ in found.samples] == [(30, 24)] * 3


def test_a_label_file_of_other_records_is_named(tmp_path):
    write_digits(tmp_path / "digits")
    (tmp_path / "digits" / "labels.json").write_text('["0", "1", "2", "3", "4", "5", "6", "8", "7"]')
    assert list(check_records(open_shards(tmp_path / "digits")).problems()) == [
        "label 7 is '8' in the label file, and '7' in records",
        "label 8 is '7' in the label file, and '8' in records",
        "label 9 is nothing in the label file, and '9' in records",
    ]


def test_relabelled_records_have_the_right_labels_and_all_else_unchanged(tmp_path, capsys):
    path = colliding(tmp_path / "train-00000-of-00001")
    index, made = relabel_records(open_shards(path), tmp_path / "new", {"火": 0, "日": 1})
    assert capsys.readouterr().err == f"{tmp_path / 'new'}: preparing 5 records\n"
    assert [one.reason for one in made[0].rejected] == ["there is no label for '月'"]
    assert index["classes"] == {"火": {"train": 2}, "日": {"train": 2}}
    shards = open_shards(tmp_path / "new")
    assert list(check_records(shards).problems()) == []
    old, new = (sound(Shard(file, form_named("inception"))) for file in (path, shards[0].path))
    assert [one.label for one in new] == [(1,), (1,), (0,), (0,)]
    assert new[0].features["encoded"] == old[0].features["encoded"]
    index, _ = relabel_records(open_shards(path), tmp_path / "sorted")
    assert list(index["classes"]) == sorted("日月火")
    with pytest.raises(DataError, match="Give another folder"):
        relabel_records(open_shards(tmp_path / "new"), tmp_path / "new")


def test_label_files_of_every_kind_are_read(tmp_path):
    for name, content in {
        "a.json": '["x", "y"]',
        "b.json": '{"x": 0, "y": 1}',
        "c.txt": "x\ny\n",
        "label_output.pkl": "(dp0\nVx\np1\nI0\nsVy\np2\nI1\ns.",
    }.items():
        (tmp_path / name).write_text(content)
        assert read_labels(tmp_path / name) == {"x": 0, "y": 1}
    (tmp_path / "a.json").write_text('{"x": 0, "y": 0}')
    with pytest.raises(DataError, match="'x' and 'y' have the same id, 0"):
        read_labels(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('["x", "x"]')
    with pytest.raises(DataError, match="'x' stands twice"):
        read_labels(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(r'["x", "\ud800"]')
    with pytest.raises(DataError, match="id 1 has no text in Unicode"):
        read_labels(tmp_path / "a.json")


# training on records


def test_a_dataset_of_records_has_the_splits_of_its_shards_and_names_damage(tmp_path):
    index = write_digits(tmp_path / "digits", "png")
    shard = tmp_path / "digits" / "train-00000-of-00003"
    content = bytearray(shard.read_bytes())
    content[20] ^= 1
    shard.write_bytes(content)
    dataset = RecordsDataset(str(tmp_path / "digits"), side=16)
    assert dataset.classes == tuple("0123456789")
    dataset.prepare()
    assert [one.name for one in dataset.rejected] == ["train-00000-of-00003@0"]
    assert dataset.sizes()["test"] == index["splits"]["test"]["examples"]
    assert dataset.sizes()["train"] == index["splits"]["train"]["examples"] - 1
    assert dataset.split("train").batch(np.arange(4))["image"].shape == (4, 16, 16, 1)


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_records_on_a_server_give_the_same_batches_resume_and_are_not_kept(tmp_path, monkeypatch, capsys, scheme):
    monkeypatch.setattr(download, "RETRIES", 0)
    write_digits(tmp_path / "digits", "raw")
    local = RecordsDataset(str(tmp_path / "digits"), side=16)
    local.prepare()
    files = {f"/r/{name}": content for name, content in content_of(tmp_path / "digits").items()}
    shard = "/r/train-00001-of-00003"
    with FileServer(files) as server:
        for name, value in {"ENDPOINT_URL": server.address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        address = server.url("/r/") if scheme == "http" else "s3://r"
        server.faults[shard].append(Fault(drop_after_bytes=200))
        with pytest.raises(DataError, match="cannot read .*train-00001-of-00003"):
            RecordsDataset(address, side=16).prepare()
        streamed = RecordsDataset(address, side=16)
        streamed.prepare()
        assert [one.headers.get("Range") for one in server.requests if one.path == shard] == [None, "bytes=200-"]
    remote_shards.cache_clear()
    without_server = RecordsDataset(address, side=16)
    without_server.prepare()
    assert "index.json of the last time is used" in capsys.readouterr().err
    assert streamed.fingerprint == without_server.fingerprint == local.fingerprint
    for split in ("train", "validation", "test"):
        both = [one.split(split).batch(np.arange(local.sizes()[split])) for one in (local, streamed)]
        assert all(np.array_equal(both[0][column], both[1][column]) for column in ("image", "label"))
    assert {path.suffix for path in (tmp_path / "data" / "streamed").glob("*/*")} == {".lock", ".json"}


def test_a_shard_on_a_server_that_was_changed_after_its_index_is_refused(tmp_path):
    write_digits(tmp_path / "digits", "raw")
    files = {f"/r/{name}": content for name, content in content_of(tmp_path / "digits").items()}
    files["/r/train-00001-of-00003"] = files["/r/train-00001-of-00003"][:-1] + b"x"
    with FileServer(files) as server, pytest.raises(DataError, match=r"sha256 is \w+, index.json says \w+ \(download"):
        RecordsDataset(server.url("/r"), side=16).prepare()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"/r/labels.json": None}, "cannot read http.*labels.json: 404"),
        ({"/r/train-00000-of-00003": None}, "cannot read http.*train-00000-of-00003: 404"),
        ({"/r/train-00000-of-00003": b"short"}, "it offers 5 bytes, expected"),
        ({"/r/index.json": b"[]"}, "is no index of records"),
        ({"/r/index.json": b'{"form": {}}'}, "does not list the shards"),
        ({"/r/index.json": index_of("../x", {"bytes": 1, "examples": 1})}, "names"),
        (
            {"/r/index.json": index_of("train-00000-of-00001", {"bytes": 1, "examples": 1, "sha256": 5})},
            "64 hexadecimal",
        ),
    ],
)
def test_records_on_a_server_that_cannot_be_read_are_refused_in_a_sentence(tmp_path, changed, message):
    write_digits(tmp_path / "digits", "raw")
    files = {f"/r/{name}": content for name, content in content_of(tmp_path / "digits").items()} | changed
    with (
        FileServer({name: content for name, content in files.items() if content is not None}) as server,
        pytest.raises(DataError, match=message),
    ):
        RecordsDataset(server.url("/r"), side=16).prepare()


def test_records_with_colliding_labels_are_trained_on_by_their_texts(tmp_path):
    colliding(tmp_path / "train-00000-of-00001")
    assert RecordsDataset(str(tmp_path)).classes == tuple(sorted("日月火"))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({}, "there are no records in"),
        ({"train-00000-of-00001": b"nothing"}, "no sound record in"),
        ({"train-00000-of-00001": b"", "index.json": b"[]"}, "is no index of records"),
        ({"train-00000-of-00001": b"", "index.json": b'{"form": {"imag": ""}}'}, "is no index of records"),
    ],
)
def test_a_folder_without_records_is_refused_in_a_sentence(tmp_path, made, message):
    (tmp_path / "x").mkdir()
    for name, content in made.items():
        (tmp_path / "x" / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        _ = RecordsDataset(str(tmp_path / "x")).classes
