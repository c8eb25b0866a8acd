"""Small pictures of lines and lists of them, in the exact formats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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
