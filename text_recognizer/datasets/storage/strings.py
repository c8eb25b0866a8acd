"""Texts packed into two arrays, so that they can be stored and shared between processes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PackedStrings:
    """Texts, decoded on access: content in UTF-8, and offsets (N + 1,) in bytes."""

    def __init__(self, content: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.content = content
        self.offsets = offsets

    @classmethod
    def pack(cls, texts: Iterable[str]) -> "PackedStrings":
        encoded = [text.encode("utf-8") for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> str:
        return self.take(np.array([range(len(self))[position]]))[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.take(np.arange(len(self))))

    def take(self, positions: NDArray[np.integer[Any]]) -> list[str]:
        """The texts at these positions."""
        starts, ends = self.offsets[positions].tolist(), self.offsets[np.asarray(positions) + 1].tolist()
        content = self.content.data
        return [str(content[start:end], "utf-8") for start, end in zip(starts, ends, strict=True)]


def packed(name: str, texts: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Packs texts into the two arrays that `unpacked` reads."""
    strings = PackedStrings.pack(texts)
    return {name: strings.content, f"{name}.offsets": strings.offsets}


def unpacked(name: str, arrays: Mapping[str, NDArray[Any]]) -> PackedStrings:
    return PackedStrings(arrays[name], arrays[f"{name}.offsets"])


def storable(text: str) -> str:
    """A text that can be encoded in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
