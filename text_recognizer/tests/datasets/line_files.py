"""Small pictures of lines and lists of them, in the exact formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.formats.char_dict import write_char_dict
from text_recognizer.datasets.lines.line_list import LineListDataset

# As in the file: neither scaled nor inverted.
AS_IT_IS: dict[str, Any] = {"height": 8, "ink": "dark", "source_ink": "dark", "preprocessing": ()}
SPLITS = "file\ttext\tsplit"


def picture(width: int, height: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    """Dark strokes on white paper that nothing else looks like; the first column is ink, the last one paper."""
    random = np.random.default_rng([seed, width, height])
    image = np.full((height, width), 255, np.uint8)
    image[1:-1, : width // 2] = random.integers(0, 120, (height - 2, width // 2))
    image[:, 0] = 10
    return image


def save(path: Path, image: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_list(folder: Path, rows: Sequence[tuple[str, ...]], header: str = "file\ttext") -> Path:
    """lines.tsv with a picture for each row, which begins with file and text; widths 20, 21, …"""
    for index, row in enumerate(rows):
        save(folder / row[0], picture(20 + index, seed=index))
    table = "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"
    (folder / "lines.tsv").write_text(table, encoding="utf-8")
    return folder / "lines.tsv"


def with_splits(folder: Path, texts: Sequence[str], split: str = "train") -> Path:
    """A list with these lines in one split, and one line "ab" in each of the others."""
    rows = [(f"{index}.png", text, split) for index, text in enumerate(texts)]
    others = [(f"{name}.png", "ab", name) for name in SPLIT_NAMES if name != split]
    return write_list(folder / "lines", [*rows, *others], SPLITS)


def prepared(path: Path, **args: Any) -> LineListDataset:
    dataset = LineListDataset(str(path), **(AS_IT_IS | args))
    dataset.prepare()
    return dataset


def write_poems(data: Path, texts: Sequence[str], tested: Sequence[int]) -> Path:
    """The folder of a CRNN recogniser of poems: rows relative to it, and a test list drawn from the training list."""
    rows = [f"pic/{index}/0_{noisy}.jpg {text}\n" for index, text in enumerate(texts) for noisy in (0, 1)]
    for number, row in enumerate(rows):
        save(data / row.split(" ")[0], np.stack([picture(60 + number, 50, seed=number)] * 3, axis=2))
    for name, chosen in (("Train", rows), ("Test", [rows[index] for index in tested])):
        (data / name).mkdir()
        (data / name / "sample.txt").write_text("".join(chosen), encoding="utf-8")
    characters = sorted({character for text in texts for character in text})
    (data / "chinese.txt").write_text("".join(f"{one}\n" for one in reversed(characters)), encoding="utf-8")
    write_char_dict(data / "char_dict", characters)
    return data


def read_poems(data: Path, split: str) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Pictures and texts as that recogniser reads them."""
    rows = [row.split(" ") for row in (data / split / "sample.txt").read_text(encoding="utf-8").splitlines(True)]
    assert {len(row) for row in rows} == {2}
    return [np.asarray(Image.open(data / file)) for file, _ in rows], [text.split("\n")[0] for _, text in rows]
