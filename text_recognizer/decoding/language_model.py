"""CharacterLanguageModel: probabilities of the next character given the previous ones, learnt from texts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.beam import Characters, Scores, States
from text_recognizer.decoding.ngrams import learn_ngrams
from text_recognizer.errors import DataError, reason

# Kind and length of each array.
_ARRAYS = {
    "arcs": (np.int64, "arcs"),
    "arc_scores": (np.float32, "arcs"),
    "arc_states": (np.int32, "arcs"),
    "backoff_scores": (np.float32, "contexts"),
    "backoff_states": (np.int32, "contexts"),
    "single_scores": (np.float32, "characters"),
    "single_states": (np.int32, "characters"),
}
LONGEST_ORDER = 12
_LEAST_SCORE = 1000.0  # the logarithm of the smallest float is -745
# Real models compress to a fifth to a half of their size; a file that unpacks to far more is malicious.
_MOST_PACKED, _ALWAYS_ALLOWED_BYTES = 32, 1 << 26


@dataclass(frozen=True, eq=False)
class CharacterLanguageModel:
    """An n-gram model of characters as a finite-state machine, whose states are contexts.

    Modified Kneser-Ney smoothing: each count after a long context is discounted in favour of the shorter context, where
    a character counts once for every different context in which it was seen.

    Source: Chen and Goodman (1999), "An empirical study of smoothing techniques for language modeling"; as backing off
    in arrays after Allauzen, Mohri and Roark (2003), "Generalized algorithms for constructing statistical language
    models".

    Args:
        order: length of the n-grams; contexts are one shorter.
        classes: number of classes of the charset, including the blank. The next id stands for the end of a text.
        arcs: (A,) sorted; context * (classes + 1) + character of every observed sequence.
        arc_scores, arc_states: (A,) log-probability of that character, and the context after it.
        backoff_scores, backoff_states: (S,) per context, for characters not seen after it.
        single_scores, single_states: (classes + 1,) without context.
        start: the context at the beginning of a text.
    """

    order: int
    classes: int
    start: int
    arcs: NDArray[np.int64]
    arc_scores: NDArray[np.float32]
    arc_states: NDArray[np.int32]
    backoff_scores: NDArray[np.float32]
    backoff_states: NDArray[np.int32]
    single_scores: NDArray[np.float32]
    single_states: NDArray[np.int32]

    @classmethod
    def learn(cls, labels: Iterable[NDArray[np.integer[Any]]], classes: int, order: int) -> "CharacterLanguageModel":
        """Learns a model of an order of at least 1 from texts, given as class ids without blanks."""
        return cls(order=order, classes=classes, **learn_ngrams(list(labels), classes, order))

    @property
    def contexts(self) -> int:
        return len(self.backoff_scores)

    def step(self, states: States, characters: Characters) -> tuple[States, Scores]:
        """The contexts (N,) after one more character each, and the characters' log-probabilities."""
        states = np.array(states, np.int64)
        characters = np.asarray(characters, np.int64)
        after, scores = np.zeros(len(states), np.int64), np.zeros(len(states))
        open_ = np.arange(len(states))
        while len(open_):
            here, letters = states[open_], characters[open_]
            wanted = here * (self.classes + 1) + letters
            places = np.minimum(np.searchsorted(self.arcs, wanted), max(len(self.arcs) - 1, 0))
            seen = self.arcs[places] == wanted if len(self.arcs) else np.zeros(len(open_), bool)
            scores[open_[seen]] += self.arc_scores[places[seen]]
            after[open_[seen]] = self.arc_states[places[seen]]
            single = ~seen & (here == 0)
            scores[open_[single]] += self.single_scores[letters[single]]
            after[open_[single]] = self.single_states[letters[single]]
            open_ = open_[~seen & ~single]
            scores[open_] += self.backoff_scores[states[open_]]
            states[open_] = self.backoff_states[states[open_]]
        return after, scores

    def finish(self, states: States) -> Scores:
        """(N,) log-probability that the text ends here."""
        return self.step(states, np.full(len(states), self.classes))[1]

    def save(self, path: Path) -> None:
        numbers = np.array([self.order, self.classes, self.start])
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with open(path, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, numbers=numbers, **arrays)

    @classmethod
    def load(cls, path: Path, classes: int) -> "CharacterLanguageModel":
        """The inverse of `save`. Raises DataError: the file is missing, damaged, or of other classes.

        Args:
            classes: expected number of classes, including the blank.
        """
        try:
            arrays = _unpacked(path)
            order, own_classes, start = arrays.pop("numbers").tolist()
            model = cls(order, own_classes, start, **arrays)
            model._check(classes)
        except Exception as error:
            # Deliberate: zipfile, zlib and numpy raise errors of a dozen kinds for unexpected bytes.
            raise DataError(
                f"the language model {path} cannot be read: {reason(error)}. Copy the bundle again."
            ) from error
        return model

    def _check(self, classes: int) -> None:
        """Raises a ValueError unless every step terminates and finds its arc."""
        _expect(self.classes == classes, f"it is of {self.classes} classes, the charset has {classes}")
        _expect(1 <= self.order <= LONGEST_ORDER, f"its order is {self.order}")
        lengths = {"arcs": len(self.arcs), "contexts": self.contexts, "characters": classes + 1}
        _expect(self.contexts > 0, "it has no contexts")
        for name, (kind, length) in _ARRAYS.items():
            array = getattr(self, name)
            fits = array.dtype == kind and array.shape == (lengths[length],)
            _expect(fits, f"'{name}' is {array.dtype} of {array.shape}")
            if kind is np.float32:
                _expect(bool(np.all(np.abs(array) <= _LEAST_SCORE)), f"'{name}' has values that are no scores")
            elif name != "arcs":
                inside = not len(array) or (array.min() >= 0 and array.max() < self.contexts)
                _expect(bool(inside), f"'{name}' leads to contexts that there are not")
        _expect(0 <= self.start < self.contexts, f"it starts in the context {self.start}")
        keys = np.concatenate([[-1], self.arcs, [self.contexts * (classes + 1)]])
        _expect(bool(np.all(keys[1:] > keys[:-1])), "'arcs' is not sorted, or of contexts that there are not")
        left: NDArray[Any] = np.arange(self.contexts)
        for _ in range(self.order - 1):  # each step back leaves a shorter context
            left = self.backoff_states[left]
        _expect(not left.any(), "'backoff_states' does not lead back to the beginning")


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, whose sizes are checked before anything is unpacked."""
    allowed_bytes = max(_ALWAYS_ALLOWED_BYTES, _MOST_PACKED * path.stat().st_size)
    names = ("numbers", *_ARRAYS)
    with open(path, "rb") as opened, np.load(opened) as file:
        total_bytes = sum(file.zip.getinfo(f"{name}.npy").file_size for name in names)
        _expect(total_bytes <= allowed_bytes, f"it unpacks to {total_bytes:,} bytes")
        return {name: file[name] for name in names}


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
