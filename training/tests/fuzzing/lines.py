"""Data sets of lines and pages, and the lists of characters and words that go with them."""

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.formats.charset_files import read_charset
from text_recognizer.datasets.formats.lexicon import read_lexicon
from text_recognizer.datasets.formats.page_xml import read_pages
from text_recognizer.datasets.lines.alto_lines import AltoLinesDataset
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.iam import IamLinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.sentences import SentenceSource, words_of
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.errors import DataError
from text_recognizer.images.read import png_bytes
from text_recognizer.tests.datasets import archive_pages, iam_files
from text_recognizer.tests.datasets.line_files import picture, write_list
from training.tests.fuzzing.base import Target, as_files, as_json, only, prepared, written
from training.tests.fuzzing.mutators import Files


def pages(page_xml: bool) -> list[Files]:
    content = archive_pages.page_xml() if page_xml else archive_pages.alto()
    shape = archive_pages.polygon("10,10 110,12 110,30 10,28")
    lines = "".join(archive_pages.alto_line(n, *line, shape=shape) for n, line in enumerate(archive_pages.LINES))
    others = [content, content if page_xml else archive_pages.alto(lines)]
    files = {f"{name}.png": png_bytes(archive_pages.page_image()) for name in "abc"}
    files |= {f"{name}.xml": content.replace("page.png", f"{name}.png").encode() for name in "abc"}
    return [{**files, "b.xml": text.replace("page.png", "b.png").encode()} for text in others]


def line_lists() -> list[Files]:
    rows = [("a.png", "first", "train"), ("b.png", "second", "test"), ("c.png", "the third", "validation")]

    def sample(folder: Path) -> None:
        write_list(folder, rows).rename(folder / "sample.txt")
        (folder / "sample.txt").write_text("\n".join(f"{name} {text}" for name, text, _ in rows))

    def objects(folder: Path) -> None:
        write_list(folder, rows).unlink()
        listed = [{"file": name, "text": text, "split": split, "writer": 1} for name, text, split in rows]
        (folder / "lines.json").write_text(json.dumps(listed))

    return written(lambda folder: write_list(folder, rows, "file\ttext\tsplit"), sample, objects)


def csv_lists() -> list[Files]:
    text = b'file,text,split\r\na.png,"first, ""quoted""",train\r\nb.png,second,test\r\nc.png,x,validation\r\n'
    return [{"lines.csv": text, **{f"{name}.png": png_bytes(picture(20)) for name in "abc"}}]


def page_lists() -> list[Files]:
    lines = [{"x1": 10, "y1": 10, "x2": 110, "y2": 30, "text": "first"}, {"x1": 10, "y1": 40, "x2": 150, "y2": 60}]
    page = {"width": 200, "height": 120, "lines": lines, "writer": "a"}
    listed = {f"{split}1": {**page, "split": split, "writer": split} for split in ("train", "validation", "test")}
    image = png_bytes(archive_pages.page_image())
    return [{"pages.json": as_json(listed), **{f"{name}.png": image for name in listed}}]


def charsets() -> list[Files]:
    values: list[Any] = [["a", "b", " "], {"characters": ["a", "é", "ب"]}, {"data_spec": {"classes": ["", "a"]}}]
    return [*as_files("charset.json", *values), {"charset.txt": "a\nb\n \né\n".encode()}]


def texts() -> list[Files]:
    counted = "the quick\t12\nbrown fox\t3\n日本\t1\n".encode()
    return [{"texts.txt": counted}, {"texts.txt": b"jumps over\nthe lazy dog\n"}]


def hdf5() -> list[Files]:
    import h5py

    def made(compression: str | None, texts: Any, **more: Any) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            with h5py.File(folder / "lines.hdf5", "w") as file:
                for part in ("train", "valid", "test"):
                    group = file.create_group(part)
                    images = np.stack([np.full((60, 24), 255, np.uint8)] * 3)
                    images[:, 5:40, 4:20] = 9
                    group.create_dataset("dt", data=images, chunks=(1, 60, 24), compression=compression, **more)
                    group.create_dataset("gt", data=texts)

        return make

    def elsewhere(folder: Path) -> None:
        made(None, ["a"] * 3)(folder)
        with h5py.File(folder / "lines.hdf5", "r+") as file:
            file["train/away"] = h5py.ExternalLink("/etc/hostname", "/x")
            del file["valid/dt"]
            file.create_dataset("valid/dt", (3, 60, 24), "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])

    def fsdl(folder: Path) -> None:
        with h5py.File(folder / "lines.hdf5", "w") as file:
            for part in ("train", "test"):
                images = np.zeros((4, 24, 60), np.uint8)
                images[:, 4:20, 5:40] = np.arange(4)[:, None, None] + 200
                file.create_dataset(f"x_{part}", data=images, compression="lzf")
                file.create_dataset(f"y_{part}", data=np.eye(80, dtype="u1")[np.full((4, 6), 79)], compression="lzf")

    plain = np.array([b"one", b"two", b"three"], "S5")
    return written(
        made("gzip", plain), made(None, plain), made("lzf", ["one", "two", "x"], shuffle=True), elsewhere, fsdl
    )


def _pages(folder: Path) -> None:
    for path in sorted(folder.glob("*.xml")):
        with contextlib.suppress(DataError):
            read_pages(path)
    prepared(AltoLinesDataset, ".", folder)


def _sentences(folder: Path) -> None:
    source = SentenceSource("abcdefghijklmnopqrstuvwxyz ", words_of(folder / "texts.txt"))
    list(source.sentences(20, 32, np.random.default_rng(0)))


TARGETS = (
    Target("page_xml", partial(pages, True), _pages, share=0.3),
    Target("alto_xml", partial(pages, False), _pages, share=0.3),
    Target("page_list", page_lists, partial(prepared, PageListDataset, "pages.json"), share=0.3),
    Target("iam", partial(written, iam_files.write_iam), partial(prepared, IamLinesDataset, "."), share=0.3),
    Target("line_list", line_lists, partial(prepared, LineListDataset, "."), share=0.3),
    Target("csv", csv_lists, partial(prepared, LineListDataset, "lines.csv"), share=0.3),
    Target("charset", charsets, lambda folder: read_charset(str(only(folder)), "NFC", "dataset")),
    Target("lexicon", texts, lambda folder: read_lexicon(folder / "texts.txt")),
    Target("sentences", texts, _sentences),
    Target("hdf5", hdf5, partial(prepared, Hdf5LinesDataset, "lines.hdf5")),
)
