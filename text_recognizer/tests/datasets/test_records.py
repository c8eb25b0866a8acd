"""TFRecords are checked, given other labels and trained on; damage is named."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.formats.char_dict import write_char_dict
from text_recognizer.datasets.formats.tfrecord import encode_example, write_record
from text_recognizer.datasets.records.checking import check_records
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.label_files import read_labels
from text_recognizer.datasets.records.reading import Shard
from text_recognizer.datasets.records.relabelling import relabel_records
from text_recognizer.datasets.records.remote import remote_shards
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.datasets.remote import download
from text_recognizer.errors import DataError
from text_recognizer.images.read import png_bytes
from text_recognizer.tests.datasets.file_server import Fault, FileServer
from text_recognizer.tests.datasets.gnt_files import stroke
from text_recognizer.tests.datasets.record_files import (
    content_of,
    own_data,  # noqa: F401
    sound,
    write_digits,
    write_shard,
)


def index_of(shard: str, about: Mapping[str, Any]) -> bytes:
    return json.dumps({"form": {}, "splits": {"": {"shards": {shard: about}}}}).encode()


def colliding(path: Path) -> Path:
    """Records as a run with two threads left them: the first character got a new label each time."""
    labels = [("日", 0), ("日", 1), ("月", 1), ("火", 2), ("火", 2)]
    examples = [
        {"label": [label], "text": [text.encode()], "encoded": [png_bytes(stroke(number))]}
        for number, (text, label) in enumerate(labels)
    ]
    return write_shard(path, examples)


def test_characters_that_share_a_label_are_named(tmp_path):
    colliding(tmp_path / "train-00000-of-00002")
    found = check_records(open_shards(tmp_path), samples=3)
    assert list(found.problems()) == [
        "label 1 is shared by 2 characters: '日' (1), '月' (1)",
        "'日' has 2 labels: 0, 1",
        "1 shard missing: train-00001-of-00002",
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
    _, kept = relabel_records(open_shards(path), tmp_path / "new", {"火": 0, "日": 1})
    assert kept == [made[0]._replace(is_new=False)]  # what was left out is named after a kill too
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
    for form in ("maps", "ord_map"):
        write_char_dict(tmp_path / form, "xy", form)
        for path in (tmp_path / form, tmp_path / form / "char_dict.json"):
            assert read_labels(path) == {"x": 0, "y": 1}
    (tmp_path / "a.json").write_text('{"x": 0, "y": 0}')
    with pytest.raises(DataError, match="'x' and 'y' have the same id, 0"):
        read_labels(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"x": "0"}')
    with pytest.raises(DataError, match=r"the id of each text, a whole number\. Received: \{'x': '0'\}"):
        read_labels(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('["x", "x"]')
    with pytest.raises(DataError, match="'x' occurs twice"):
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
    for side, stretch, enlarge in ((24, False, True), (16, True, True), (16, False, False)):
        other = RecordsDataset(str(tmp_path / "digits"), side=side, stretch=stretch, enlarge=enlarge)
        other.prepare()
        assert (other.store_path != dataset.store_path, other.split("train").image(0).shape[0]) == (True, other.side)


def test_shards_that_are_missing_are_named_in_checks_and_training_and_others_are_no_business_of_one_shard(tmp_path):
    write_digits(tmp_path / "digits")
    names = ["test-00000-of-00001", "train-00001-of-00003"]
    for name in names:
        (tmp_path / "digits" / name).unlink()
    dataset = RecordsDataset(str(tmp_path / "digits"), side=16)
    dataset.prepare()
    assert [(one.name, one.reason, one.noun) for one in dataset.rejected] == [
        (name, "the shard is missing", "shard") for name in names
    ]
    assert list(check_records(open_shards(tmp_path / "digits")).problems()) == [f"2 shards missing: {', '.join(names)}"]
    write_digits(tmp_path / "whole")
    assert not list(check_records(open_shards(tmp_path / "whole" / "train-00001-of-00003")).problems())


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
        ({"/r/index.json": b"[]"}, "is not an index of records"),
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


def test_a_character_with_two_ids_among_others_does_not_make_them_lines(tmp_path):
    file = colliding(tmp_path / "train-00000-of-00001")
    with open(file, "ab") as more:
        one = encode_example({"label": [1, 2], "text": ["月火".encode()], "encoded": [png_bytes(stroke(5))]})
        write_record(more, one)
    assert set("日月火") <= set(RecordsDataset(str(tmp_path)).classes)


def test_records_with_colliding_labels_are_trained_on_by_their_texts(tmp_path):
    colliding(tmp_path / "train-00000-of-00001")
    assert RecordsDataset(str(tmp_path)).classes == tuple(sorted("日月火"))
    with pytest.raises(DataError, match=r"the records of .* do not hold their texts\. Give labels"):
        _ = RecordsDataset(str(tmp_path), record_form="inception", keys={"text": ""}).classes


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({}, "there are no records in"),
        ({"train-00000-of-00001": b"nothing"}, "no sound record in"),
        ({"train-00000-of-00001": b"", "index.json": b"[]"}, "is not an index of records"),
        ({"train-00000-of-00001": b"", "index.json": b'{"form": {"imag": ""}}'}, "is not an index of records"),
    ],
)
def test_a_folder_without_records_is_refused_in_a_sentence(tmp_path, made, message):
    (tmp_path / "x").mkdir()
    for name, content in made.items():
        (tmp_path / "x" / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        _ = RecordsDataset(str(tmp_path / "x")).classes
