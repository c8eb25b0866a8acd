"""Data sets of characters."""

import contextlib
import gzip
import io
from functools import partial
from pathlib import Path
from typing import Any

from text_recognizer.datasets.characters.files import read_character_files
from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.formats.char_dict import read_char_dict, write_char_dict
from text_recognizer.datasets.formats.emnist_mat import read_emnist_mat
from text_recognizer.datasets.formats.tfrecord import encode_example, write_record
from text_recognizer.datasets.lines.records import RecordLinesDataset
from text_recognizer.datasets.records.checking import check_records
from text_recognizer.datasets.records.relabelling import relabel_records
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.errors import DataError
from text_recognizer.images.read import png_bytes
from text_recognizer.tests.datasets import character_files
from text_recognizer.tests.datasets.line_files import picture
from training.tests.fuzzing.base import Target, prepared, written
from training.tests.fuzzing.mutators import Files


def tables_of_characters() -> list[Files]:
    """Pictures of two characters in each split."""
    splits = ("train", "validation", "test")
    names = [f"{number}{text}" for number in range(len(splits)) for text in "ab"]
    rows = [f"{name}.png,{name[1]},{splits[int(name[0])]},writer {name[0]}\r\n" for name in names]
    pictures = {f"{name}.png": png_bytes(picture(12 + number)) for number, name in enumerate(names)}
    return [{"table.csv": ("path,label,split,writer\r\n" + "".join(rows)).encode(), **pictures}]


def gnt() -> list[Files]:
    """Two writers' files: two-byte and one-byte codes; the same in a zip archive."""
    from text_recognizer.datasets.formats.gnt import write_gnt

    def files(folder: Path) -> None:
        for writer in (1, 2, 3):
            write_gnt(folder / f"{writer}-c.gnt", [(text, picture(12)[:9, writer:12]) for text in "一丁a"])

    plain = written(files)[0]
    return [plain, {"files.zip": character_files.zip_bytes(plain)}]


def matlab() -> list[Files]:
    one = character_files.part([0, 1, 2])
    return [{"emnist.mat": character_files.mat_bytes(one, one, do_compression=packed)} for packed in (True, False)]


def idx() -> list[Files]:
    one = character_files.part([0, 1, 2, 3])
    packed = character_files.idx_files(one, one)
    return [packed, {name.removesuffix(".gz"): gzip.decompress(content) for name, content in packed.items()}]


def shards() -> list[Files]:
    """One shard of each form; the last has a line."""
    shown = {"label": [1], "text": [b"b"], "height": [4], "width": [3], "encoding": [b"raw"], "image": [bytes(12)]}
    forms: list[dict[str, Any]] = [
        shown,
        {"label": [0], "text": [b"a"], "encoded": [png_bytes(picture(12))]},
        {"labels": [0, 1], "images": [bytes(2 * 32 * 3)], "imagenames": [b"1.jpg"]},
    ]
    made = []
    for features in forms:
        content = io.BytesIO()
        for _ in range(2):
            write_record(content, encode_example(features))
        made.append({"train-00000-of-00001": content.getvalue(), "labels.json": b'["a", "b"]'})
    return made


def shards_of_lines() -> list[Files]:
    """A shard for each split, of two forms."""
    names = {"{}-00000-of-00001": "image", "{}_feature_0_2.tfrecords": "images"}
    made = []
    for name, image in names.items():
        files: Files = {"labels.json": b'["a", "b"]'}
        for index, split in enumerate(("train", "validation", "test")):
            content = io.BytesIO()
            for width in (3 + index, 9 + index):
                raw = bytes(range(32 * width)[:32]) * width
                pixels: dict[str, Any] = {
                    "image": [raw],
                    "height": [32],
                    "width": [width],
                    "encoding": [b"raw"],
                    "label": [0, 1],
                }
                old: dict[str, Any] = {"images": [raw * 3], "labels": [1, 0], "imagenames": [b"1.jpg"]}
                write_record(content, encode_example(pixels if image == "image" else old))
            files[name.format(split)] = content.getvalue()
        made.append(files)
    return made


def _gnt(folder: Path) -> None:
    prepared(HwdbDataset, next((path.name for path in folder.glob("*.zip")), "."), folder)


def _records(folder: Path) -> None:
    """All shards are read, with sound checksums too, so that changes reach what the frames hold."""
    shards = open_shards(folder)
    check_records(shards, samples=2)
    with contextlib.suppress(DataError):
        relabel_records(shards, folder / "new", processes=1)
    path = next(folder.glob("train*"))
    content = path.read_bytes()
    with open(path, "wb") as file:
        for begin in (12, 30):
            write_record(file, content[begin:-4])
    check_records(shards)


_CHAR_DICTS = (partial(write_char_dict, characters="ab é"), partial(write_char_dict, characters="xyz", form="ord_map"))


TARGETS = (
    Target("character_table", tables_of_characters, partial(prepared, ImageFolderDataset, "table.csv")),
    Target("gnt", gnt, _gnt),
    Target("char_dict", partial(written, *_CHAR_DICTS), read_char_dict),
    Target("matlab", matlab, lambda folder: read_emnist_mat((folder / "emnist.mat").read_bytes(), ""), share=0.2),
    Target("idx", idx, lambda folder: read_character_files({path.name: path for path in folder.iterdir()})),
    Target("records", shards, _records),
    Target("record_lines", shards_of_lines, partial(prepared, RecordLinesDataset, "."), share=0.3),
)
