"""Charset: the characters that a line reader can output, and their class ids. Id 0 is the CTC blank."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from text_recognizer.errors import DataError
from text_recognizer.wording import counted

Normalization = Literal["none", "NFC", "NFD", "NFKC", "NFKD"]
Characters = list[str] | str
"""A list of characters, or what has them; see datasets.formats.charset_files."""

_FORMS: tuple[Normalization, ...] = ("NFC", "NFD")  # texts that look the same may be in either form

BLANK = ""
BLANK_ID = 0
_JOINER = "\u200d"
_UNSEEN = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u2060\ufeff]")  # except white space


class Charset:
    """Characters in the order of their class ids, which count from 1.

    Args:
        characters: code points, or graphemes of several code points, in any order.
        normalization: applied to every text before it is encoded.
    Raises:
        DataError: a duplicate or empty character, or one that the normalisation changes.
    """

    def __init__(self, characters: Iterable[str], normalization: Normalization = "none") -> None:
        self.characters = tuple(characters)
        self.normalization: Normalization = normalization
        self._check()

    @classmethod
    def from_texts(cls, texts: Iterable[str], normalization: Normalization = "none") -> "Charset":
        """The characters that occur in texts, sorted by code point, so that the order of the texts does not matter."""
        return cls(sorted({one for text in texts for one in tidy_text(text, normalization)}), normalization)

    @classmethod
    def from_classes(cls, classes: Sequence[str], normalization: Normalization = "none") -> "Charset":
        """The inverse of `classes`. Raises DataError: the first class is not the blank."""
        if not classes or classes[0] != BLANK:
            raise DataError("the first class of a charset is the blank, an empty text. These classes have none.")
        return cls(classes[1:], normalization)

    def to_json(self) -> dict[str, Any]:
        return {"characters": list(self.characters), "normalization": self.normalization}

    def __len__(self) -> int:
        """The number of characters, without the blank."""
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Charset) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.characters, self.normalization))

    @property
    def classes(self) -> tuple[str, ...]:
        """The text of each class id: the blank, then the characters."""
        return (BLANK, *self.characters)

    def extended(self, texts: Iterable[str]) -> "Charset":
        """The charset with the missing characters appended, sorted, so that existing ids stay."""
        found = Charset.from_texts(texts, self.normalization).characters
        return Charset((*self.characters, *(one for one in found if one not in self._ids)), self.normalization)

    def encode_all(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids (sum of lengths,) of normalised texts, -1 for unknown ones; offsets (N + 1,) of where each begins."""
        if self._longest > 1:
            split = [self.split(text) for text in texts]
            return np.array([self._ids.get(one, -1) for text in split for one in text], np.int32), _offsets(split)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4")
        known, ids = self._sorted_codes
        if not len(known):
            return np.full(len(codes), -1, np.int32), _offsets(texts)
        places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        return np.where(known[places] == codes, ids[places], -1).astype(np.int32), _offsets(texts)

    def replacement_id(self, unknown: str) -> int:
        """0 to drop unknown characters, else the id of their replacement. Raises DataError: that is unknown too."""
        if unknown == "drop":
            return BLANK_ID
        if unknown not in self._ids:
            raise DataError(
                f"unknown characters cannot be replaced by {describe(unknown)}: it is not in the charset either."
            )
        return self._ids[unknown]

    def unknown_in(self, text: str, normalization: Normalization | None = None) -> list[str]:
        """The characters of a text that are not in the charset, each once, in order.

        Args:
            normalization: another form of the text than the charset's.
        """
        parts = self.split(tidy_text(text, normalization or self.normalization))
        return list(dict.fromkeys(one for one in parts if one not in self._ids))

    def describe_unknown(self, text: str, name: str) -> str:
        """A sentence that names a line and its first unknown characters."""
        unknown = self.unknown_in(text)
        which = ", ".join(describe(one) for one in unknown[:5]) + (", …" if len(unknown) > 5 else "")
        fits = [one for one in _FORMS if one != self.normalization and not self.unknown_in(text, one)]
        hint = f" In {fits[0]} all are: dataset_args.normalization chooses the form." if fits else ""
        return f"line '{name}' has {which}, not in the charset ({counted(len(self), 'character')}).{hint}"

    def split(self, text: str) -> list[str]:
        """A text split into characters; if the charset has graphemes, the longest match is used."""
        return list(text) if self._longest <= 1 else self._pattern.findall(text)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: index for index, character in enumerate(self.characters, start=1)}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.characters), default=0)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        long = sorted((one for one in self.characters if len(one) > 1), key=len, reverse=True)
        return re.compile("|".join([*map(re.escape, long), "."]), re.DOTALL)

    @cached_property
    def _sorted_codes(self) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
        codes = np.array([ord(one) for one in self.characters], np.uint32)
        order = np.argsort(codes)
        return codes[order], (order + 1).astype(np.int32)

    def _check(self) -> None:
        seen: set[str] = set()
        for character in self.characters:
            if not isinstance(character, str) or not character:
                raise DataError(f"a character of a charset must be text that is not empty. Received: {character!r}.")
            if character in seen:
                raise DataError(f"the charset has {describe(character)} twice.")
            if normalized(character, self.normalization) != character:
                raise DataError(
                    f"the charset has {describe(character)}, which {self.normalization} turns into "
                    f"{describe(normalized(character, self.normalization))}: no text could ever hold it. "
                    f"Write the charset in {self.normalization}, or choose another normalization."
                )
            seen.add(character)


def tidy_text(text: str, normalization: Normalization = "none") -> str:
    """A text in one Unicode form, without control characters, white space collapsed and stripped.

    The width of gaps, tabs, and remains of exports between characters (byte order marks, word joiners) cannot be read
    from an image.
    """
    return " ".join(normalized(_UNSEEN.sub("", text), normalization).split())


def normalized(text: str, normalization: Normalization) -> str:
    return text if normalization == "none" else unicodedata.normalize(normalization, text)


def graphemes(text: str) -> list[str]:
    """Base characters with their combining marks; sequences with a zero-width joiner stay together.

    A subset of the rules of Unicode Standard Annex 29: enough for accents, vowel signs and joined emoji.
    """
    found: list[str] = []
    for character in text:
        joins = unicodedata.category(character).startswith("M") or character == _JOINER
        if found and (joins or found[-1].endswith(_JOINER)):
            found[-1] += character
        else:
            found.append(character)
    return found


def describe(character: str) -> str:
    """A character for messages, even if it is invisible: 'é' (U+00E9)."""
    shown = character if character.isprintable() else "?"
    return f"'{shown}' ({' '.join(f'U+{ord(one):04X}' for one in character)})"


def _offsets(texts: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, texts)], dtype=np.int64)
