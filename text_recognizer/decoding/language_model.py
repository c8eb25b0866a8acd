"""CharacterLanguageModel: how probable each next character is after the last few, learnt from texts."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.decoding.ngrams import learn_ngrams
from text_recognizer.decoding.scorers import Characters, Scores, States
from text_recognizer.errors import DataError

_ARRAYS = ("arcs", "arc_scores", "arc_states", "backoff_scores", "backoff_states", "single_scores", "single_states")


class CharacterLanguageModel:
    """An n-gram model of characters as a machine: its states are what it remembers of a text so far.

    Witten-Bell smoothing: the probability after a long context is mixed with that after a shorter one, by how many
    different characters followed the long one.

    Source: Witten and Bell (1991), "The zero-frequency problem"; as backing off in arrays after Allauzen, Mohri and
    Roark (2003), "Generalized algorithms for constructing statistical language models".

    Args:
        order: characters that are looked at together; contexts are one shorter.
        classes: of the charset, the blank included. The class after the last stands for the end of a text.
        arcs: (A,) sorted; context * (classes + 1) + character of every sequence that was seen.
        arc_scores, arc_states: (A,) log-probability of that character, and the context after it.
        backoff_scores, backoff_states: (S,) of a context, for characters that were not seen after it.
        single_scores, single_states: (classes + 1,) without any context.
        start: the context at the beginning of a text.
    """

    def __init__(self, order: int, classes: int, start: int, **arrays: NDArray[Any]) -> None:
        self.order = order
        self.classes = classes
        self.start = start
        self._arcs: NDArray[np.int64] = arrays["arcs"]
        self._arc_scores: NDArray[np.float32] = arrays["arc_scores"]
        self._arc_states: NDArray[np.int32] = arrays["arc_states"]
        self._backoff_scores: NDArray[np.float32] = arrays["backoff_scores"]
        self._backoff_states: NDArray[np.int32] = arrays["backoff_states"]
        self._single_scores: NDArray[np.float32] = arrays["single_scores"]
        self._single_states: NDArray[np.int32] = arrays["single_states"]
        self._stored = arrays

    @classmethod
    def learn(cls, labels: Iterable[NDArray[np.integer[Any]]], classes: int, order: int) -> "CharacterLanguageModel":
        """A model of texts.

        Args:
            labels: class ids of each text, without blanks.
            order: at least 1.
        """
        return cls(order=order, classes=classes, **learn_ngrams(list(labels), classes, order))

    @property
    def contexts(self) -> int:
        """How many contexts the model tells apart."""
        return len(self._backoff_scores)

    def step(self, states: States, characters: Characters) -> tuple[States, Scores]:
        """The contexts (N,) after one more character each, and the characters' log-probabilities."""
        states = np.array(states, np.int64)
        characters = np.asarray(characters, np.int64)
        after, scores = np.zeros(len(states), np.int64), np.zeros(len(states))
        open_ = np.arange(len(states))
        while len(open_):
            here, letters = states[open_], characters[open_]
            wanted = here * (self.classes + 1) + letters
            places = np.minimum(np.searchsorted(self._arcs, wanted), max(len(self._arcs) - 1, 0))
            seen = self._arcs[places] == wanted if len(self._arcs) else np.zeros(len(open_), bool)
            scores[open_[seen]] += self._arc_scores[places[seen]]
            after[open_[seen]] = self._arc_states[places[seen]]
            single = ~seen & (here == 0)
            scores[open_[single]] += self._single_scores[letters[single]]
            after[open_[single]] = self._single_states[letters[single]]
            open_ = open_[~seen & ~single]
            scores[open_] += self._backoff_scores[states[open_]]
            states[open_] = self._backoff_states[states[open_]]
        return after, scores

    def finish(self, states: States) -> Scores:
        """(N,) log-probability that the text ends here."""
        return self.step(states, np.full(len(states), self.classes))[1]

    def log_probability(self, label: NDArray[np.integer[Any]]) -> float:
        """Of a whole text, its end included."""
        state, total = np.array([self.start]), 0.0
        for character in label:
            state, score = self.step(state, np.array([character]))
            total += float(score[0])
        return total + float(self.finish(state)[0])

    def save(self, path: Path) -> None:
        numbers = np.array([self.order, self.classes, self.start])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, numbers=numbers, **self._stored)
        path.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "CharacterLanguageModel":
        """
        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                order, classes, start = (int(number) for number in file["numbers"])
                return cls(order, classes, start, **{name: file[name] for name in _ARRAYS})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"the language model {path} cannot be read: {error}.") from error
