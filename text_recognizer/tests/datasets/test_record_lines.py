"""TFRecords of lines are trained on as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.characters.records import RecordsDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.records import RecordLinesDataset
from text_recognizer.datasets.records.forms import form_named
from text_recognizer.datasets.records.relabelling import relabel_records
from text_recognizer.datasets.records.remote import remote_shards
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.datasets.records.writing import write_records
from text_recognizer.datasets.remote import download
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.file_server import FileServer
from text_recognizer.tests.datasets.line_files import write_list
from text_recognizer.tests.datasets.record_files import (
    content_of,
    own_data,  # noqa: F401
    write_digits,
)

TEXTS = ["ab", "ba", "cab", "אב b", "abc", "bca", "a"]
PLAIN: dict[str, Any] = {"height": 32, "preprocessing": ()}


def write_lines(folder: Path, form: str = "default") -> LineListDataset:
    """Records of seven lines in folder/records, three a shard."""
    listed = write_list(folder / "lines", [(f"{number}.png", text) for number, text in enumerate(TEXTS)])
    lines = LineListDataset(str(listed), **PLAIN)
    write_records(lines, folder / "records", form_named(form), shard_size=3)
    lines.prepare()
    return lines


def read(path: object, **args) -> RecordLinesDataset:
    dataset = RecordLinesDataset(str(path), **PLAIN, **args)
    dataset.prepare()
    return dataset


def shown(dataset) -> dict[str, list[tuple[str, bytes]]]:
    """Text and picture of each line, by split."""
    return {
        name: sorted((split.text(place), split.image(place).tobytes()) for place in range(len(split)))
        for name in SPLIT_NAMES
        for split in [dataset.split(name)]
    }


def test_lines_in_records_have_the_splits_texts_and_pictures_that_were_written(tmp_path):
    lines = write_lines(tmp_path)
    dataset = read(tmp_path / "records")
    assert shown(dataset) == shown(lines)
    assert dataset.data_spec.classes == lines.data_spec.classes
    assert dataset.data_spec.max_length == 4
    assert RecordLinesDataset(str(tmp_path / "records"), height=24).store_path != dataset.store_path
    some = read(tmp_path / "records", subsample_fraction=0.4)
    assert some.sizes() == {"train": 2, "validation": 1, "test": 1}


def test_lines_without_texts_get_them_from_the_label_file(tmp_path):
    lines = write_lines(tmp_path, "crnn")
    dataset = read(tmp_path / "records")
    assert [dataset.split(name).batch(np.array([0]))["image"].shape for name in SPLIT_NAMES] == [(1, 32, 100, 1)] * 3
    assert sorted(dataset.split("train").texts) == sorted(lines.split("train").texts)
    (tmp_path / "records" / "labels.json").unlink()
    with pytest.raises(DataError, match=r"7 x it says no text, nor does a label file \(dataset_args\.labels\)"):
        read(tmp_path / "records")


@pytest.mark.parametrize("has_index", [True, False])
def test_lines_and_characters_are_not_taken_for_each_other(tmp_path, has_index):
    write_lines(tmp_path)
    write_digits(tmp_path / "digits")
    relabel_records(open_shards(tmp_path / "records"), tmp_path / "relabelled")
    for folder in ("records", "digits") if not has_index else ():
        (tmp_path / folder / "index.json").unlink()
    with pytest.raises(DataError, match=r"has records of lines, expected characters\. Take RecordLinesDataset\."):
        _ = RecordsDataset(str(tmp_path / "records")).classes
    with pytest.raises(DataError, match=r"has records of characters, expected lines\. Take RecordsDataset\."):
        _ = RecordLinesDataset(str(tmp_path / "digits")).data_spec
    assert read(tmp_path / "relabelled").sizes() == {"train": 5, "validation": 1, "test": 1}
    assert read(tmp_path / "relabelled", keys={"label": ""}).sizes() == read(tmp_path / "relabelled").sizes()
    unlabelled = RecordLinesDataset(str(tmp_path / "digits"), keys={"label": ""})
    assert len(unlabelled.data_spec.classes) == 11


def test_damaged_lines_and_shards_that_are_missing_are_named(tmp_path):
    write_lines(tmp_path)
    first, second = sorted((tmp_path / "records").glob("train*"))
    second.unlink()
    content = bytearray(first.read_bytes())
    content[20] ^= 1
    first.write_bytes(content)
    dataset = read(tmp_path / "records")
    assert dataset.sizes() == {"train": 2, "validation": 1, "test": 1}
    assert [(one.name, one.reason, one.noun) for one in dataset.rejected] == [
        (second.name, "the shard is missing", "shard"),
        (f"{first.name}@0", "its data does not agree with its checksum", ""),
    ]


def test_lines_on_a_server_give_the_same_dataset_and_their_shards_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    write_lines(tmp_path)
    write_digits(tmp_path / "digits")
    local = read(tmp_path / "records")
    files = {
        f"/{name}/{file}": one for name in ("records", "digits") for file, one in content_of(tmp_path / name).items()
    }
    with FileServer(files) as server:
        with pytest.raises(DataError, match="records of characters, expected lines"):
            _ = RecordLinesDataset(server.url("/digits")).data_spec
        streamed = read(server.url("/records"))
        assert sum("-of-" in one.path for one in server.requests) == 2 * len(open_shards(tmp_path / "records"))
    remote_shards.cache_clear()
    assert read(server.url("/records")).fingerprint == streamed.fingerprint
    assert shown(streamed) == shown(local)
    assert {path.suffix for path in (tmp_path / "data" / "streamed").glob("*/*")} == {".lock", ".json"}
