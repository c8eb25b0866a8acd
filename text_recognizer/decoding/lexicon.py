"""Lexicon: known words. A reading is penalised for each unknown word."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset
from text_recognizer.decoding.beam import Characters, Scores, States
from text_recognizer.reading_order import visual_order

_OUTSIDE, _UNKNOWN = 0, -1
LONGEST_WORD = 1000  # code points; longer runs are not words
_JOINERS = "\u200c\u200d"  # of letters within one character


class Lexicon:
    """Words as a finite-state machine, whose states are prefixes of words.

    A word is an unbroken run of letters with their combining marks; everything else separates words. Words also match
    with a capital first letter.

    Args:
        words: known words, each in visual order, like labels.
        classes: the text of each class id; the first is the blank.
    """

    start = _OUTSIDE

    def __init__(self, words: Iterable[str], classes: Sequence[str]) -> None:
        self.words = sorted(set(words))
        self._count = len(classes)
        self._is_letter = np.array(list(map(_is_letter, classes)))
        short = [word for word in self.words if len(word) <= LONGEST_WORD]
        capitals = [word[:1].upper() + word[1:] for word in short]
        letters, offsets = Charset.from_classes(classes).encode_all([*short, *capitals])
        # The prefixes of all words, one letter of every word at a time.
        firsts, lengths = offsets[:-1], np.diff(offsets)
        lengths[np.repeat(np.arange(len(lengths)), lengths)[letters < 0]] = 0  # such words cannot be output
        nodes = np.full(len(lengths), _OUTSIDE)  # of each word's prefix so far
        keys: list[NDArray[Any]] = [np.zeros(0, np.int64)]
        count = 0
        for depth in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > depth)
            found, which = np.unique(nodes[longer] * self._count + letters[firsts[longer] + depth], return_inverse=True)
            nodes[longer] = count + 1 + which
            count += len(found)
            keys.append(found)
        self._keys = np.concatenate(keys)  # in order: later nodes have larger numbers
        self._is_end = np.zeros(count + 1, bool)
        self._is_end[[_OUTSIDE, *nodes.tolist()]] = True

    @classmethod
    def of_texts(cls, texts: Iterable[str], classes: Sequence[str]) -> "Lexicon":
        """The words in texts, which are in logical order."""
        split = Charset.from_classes(classes).split
        return cls({word for text in texts for word in words_of(visual_order(text), split)}, classes)

    def step(self, states: States, characters: Characters) -> tuple[States, Scores]:
        """The prefixes (N,) after one more character each; -1 for every word that turned out to be unknown."""
        states = np.asarray(states, np.int64)
        letters = np.asarray(characters, np.int64)
        is_letter = self._is_letter[letters]
        grown = np.full(len(states), _UNKNOWN, np.int64)
        if len(self._keys):
            wanted = states * self._count + letters
            places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            found = (self._keys[places] == wanted) & (states != _UNKNOWN)
            grown[found] = places[found] + 1  # nodes are numbered in the order of their keys
        after = np.where(is_letter, grown, _OUTSIDE)
        lost = is_letter & (states != _UNKNOWN) & (after == _UNKNOWN)
        return after, -(lost | (~is_letter & self._is_unfinished(states))).astype(np.float64)

    def finish(self, states: States) -> Scores:
        """(N,) -1 if the last word is unknown."""
        return -self._is_unfinished(np.asarray(states)).astype(np.float64)

    def _is_unfinished(self, states: States) -> NDArray[np.bool_]:
        return (states > _OUTSIDE) & ~self._is_end[np.maximum(states, 0)]


def words_of(text: str, split: Callable[[str], Sequence[str]] = list) -> Iterator[str]:
    """The words of a text: runs of letters and their marks; `split` splits it into characters (code points)."""
    for letters, run in groupby(split(text), _is_letter):
        if letters:
            yield "".join(run)


def _is_letter(character: str) -> bool:
    """Whether a character of a charset, of one or several code points, is a letter or belongs to one."""
    kinds = [unicodedata.category(one)[0] for one in character if one not in _JOINERS]
    return bool(kinds) and all(kind in "LM" for kind in kinds)
