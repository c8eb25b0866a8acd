"""TextLines: a text file that a decoder learns the language from."""

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.errors import DataError
from text_recognizer.reading_order import visual_order

MOST_TEXT_BYTES = 1 << 28


class TextLines:
    """The lines of a text file to learn from. Raises DataError: not readable, too large, or nothing to learn from."""

    def __init__(self, path: Path, charset: Charset) -> None:
        try:
            if path.is_file() and path.stat().st_size > MOST_TEXT_BYTES:
                raise DataError(
                    f"{path} is larger than the {MOST_TEXT_BYTES:,} bytes that are read. Give a part of it."
                )
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise DataError(f"cannot learn from the text '{path}': {reason}.") from None
        lines = [tidy_text(line, charset.normalization) for line in content.splitlines()]
        ids, offsets = charset.encode_all([visual_order(line) for line in lines])
        labels = [ids[start:end] for start, end in itertools.pairwise(offsets)]
        kept = [(line, label[label > 0]) for line, label in zip(lines, labels, strict=True) if (label > 0).any()]
        if not kept:
            raise DataError(f"'{path}' has no line with characters of the alphabet. Give another text.")
        self.texts, self._labels = [line for line, _ in kept], [label for _, label in kept]

    def __len__(self) -> int:
        return len(self.texts)

    def label(self, position: int) -> NDArray[np.int32]:
        return self._labels[position]
