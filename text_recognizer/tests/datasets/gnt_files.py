"""Small GNT files and archives in CASIA's layout."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.gnt import write_gnt


def stroke(number: int, height: int = 30, width: int = 24) -> NDArray[np.uint8]:
    """A dark bar over the bits of a number, so that no two pictures are alike."""
    picture = np.full((height, width), 255, np.uint8)
    picture[1:4] = 60
    for bit in range(12):
        if number >> bit & 1:
            row, column = 6 + bit // 6 * 10, bit % 6 * (width // 6)
            picture[row : row + 8, column : column + width // 6] = 40
    return picture


def write_writers(folder: Path, writers: Sequence[int], texts: str, first: int = 0) -> Path:
    """One file a writer, each with every character once."""
    for place, writer in enumerate(writers):
        samples = [(text, stroke(first + place * len(texts) + number)) for number, text in enumerate(texts)]
        write_gnt(folder / f"{writer}-c.gnt", samples)
    return folder


def record(text: str, picture: NDArray[np.uint8]) -> bytes:
    """A record as the format is published, not as our writer writes it."""
    height, width = picture.shape
    code = text.encode("gb18030").ljust(2, b"\0")
    return struct.pack("<I", 10 + width * height) + code + struct.pack("<HH", width, height) + picture.tobytes()
