"""A few lines and pages that can be told apart at a glance, for runs of a second or two."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.tests.datasets.line_files import save

STROKES = {"a": (4, 20), "b": (16, 32), "c": (4, 32), " ": None}  # rows of a character that are ink
CHARACTER_PX = 16
HEIGHT_PX = 36


def line_picture(text: str) -> NDArray[np.uint8]:
    """Dark ink on white paper: a block for each character, high, low or both."""
    image = np.full((HEIGHT_PX, CHARACTER_PX * len(text)), 255, np.uint8)
    for index, character in enumerate(text):
        rows = STROKES[character]
        if rows is not None:
            left = CHARACTER_PX * index
            image[rows[0] : rows[1], left + 2 : left + 12] = 20
    return image


def write_lines(folder: Path, count: int = 40, longest: int = 6) -> Path:
    """A list with pictures, by eight writers; texts of 3 to `longest` characters."""
    random = np.random.default_rng(0)
    rows = ["file\ttext\twriter"]
    for index in range(count):
        text = "".join(random.choice(list("abc"), random.integers(3, longest + 1)))
        save(folder / f"line{index:03d}.png", line_picture(text))
        rows.append(f"line{index:03d}.png\t{text}\tw{index % 8}")
    (folder / "lines.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "lines.tsv"


def page_picture(texts: list[str]) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """A white page with a line below the other, and the boxes of the lines."""
    page = np.full((240, 240), 255, np.uint8)
    lines = []
    for index, text in enumerate(texts):
        line = line_picture(text)
        top, left = 12 + 56 * index, 20
        page[top : top + line.shape[0], left : left + line.shape[1]] = line
        lines.append({"x1": left, "y1": top, "x2": left + line.shape[1], "y2": top + line.shape[0], "text": text})
    return page, lines


def write_pages(folder: Path, count: int = 12) -> Path:
    """A list of pages with one to four lines each."""
    random = np.random.default_rng(0)
    listed = {}
    for index in range(count):
        texts = ["".join(random.choice(list("abc"), 10)) for _ in range(1 + index % 4)]
        page, lines = page_picture(texts)
        save(folder / f"page{index}.png", page)
        listed[f"page{index}"] = {"width": 240, "height": 240, "lines": lines, "writer": f"w{index}"}
    (folder / "pages.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder / "pages.json"
