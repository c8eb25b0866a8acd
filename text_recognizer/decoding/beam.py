"""Prefix beam search: the most probable texts, not the most probable paths, with or without a language model.

Source: Graves (2012), "Supervised sequence labelling with recurrent neural networks", section 7.5; with scorers as in
Hannun, Maas, Jurafsky and Ng (2014), "First-pass large vocabulary continuous speech recognition using bi-directional
recurrent DNNs".

All lines of a batch are searched together, frame by frame, in array operations. A prefix is identified by a hash of its
characters and of its parent prefix. Probabilities are stored linearly and rescaled to 1 at every frame, with the
logarithm of the scale beside them: as safe as adding logarithms, and much faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

States = NDArray[np.int64]
Characters = NDArray[np.integer[Any]]
Scores = NDArray[np.float64]

_KEY_FACTOR, _KEY_STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_MAX_EXPONENT = 600.0  # limit of scores, beyond which doubles overflow


class Scorer(Protocol):
    """A score of a reading besides the image, by character: larger is better, at most 0."""

    @property
    def start(self) -> int:
        """The state before the first character."""

    def step(self, states: States, characters: Characters) -> tuple[States, Scores]:
        """The states (N,) after one more character, class ids (N,), and their scores."""

    def finish(self, states: States) -> Scores:
        """(N,) score of the end of the text."""


@dataclass(frozen=True)
class Hypothesis:
    """One reading of a line.

    Args:
        label: class ids without blanks.
        log_probability: from the image alone, over the paths kept by the search.
        score: the ranking score, including scorers and length.
    """

    label: NDArray[np.int32]
    log_probability: float
    score: float


def beam_search(
    probabilities: NDArray[np.floating[Any]],
    frames: NDArray[np.integer[Any]],
    beam_width: int = 25,
    scorers: Sequence[tuple[Scorer, float]] = (),
    length_bonus: float = 0.0,
    smallest_probability: float = 1e-3,
    top: int = 1,
) -> list[list[Hypothesis]]:
    """The best readings of each line, best first.

    Args:
        probabilities: (B, T, classes), class 0 being the blank.
        frames: (B,) number of frames that show the line.
        beam_width: prefixes kept after each frame.
        scorers: scorers and their weights relative to the image's log-probability.
        length_bonus: added to the score for each character.
        smallest_probability: characters with a lower probability in a frame do not begin there.
        top: number of readings to return.
    """
    if not len(probabilities):
        return []
    counts = np.asarray(frames, np.int64)
    order = np.argsort(-counts, kind="stable")  # unfinished lines come first: a slice
    probabilities, counts = probabilities[order], counts[order]
    candidates = _Candidates(probabilities, counts, smallest_probability)
    search = _Search(probabilities, candidates, beam_width, scorers, length_bonus)
    for frame in range(int(counts.max(initial=0))):
        search.step(frame, int(np.searchsorted(-counts, -frame, side="left")))
    found = search.hypotheses(top)
    return [found[place] for place in np.argsort(order)]


class _Candidates:
    """The characters that may begin in each frame: by frame, (B, K) class ids and probabilities, 0 where fewer."""

    def __init__(self, probabilities: NDArray[Any], frames: NDArray[np.int64], smallest: float) -> None:
        likely = probabilities[:, :, 1:] > smallest
        likely &= (np.arange(likely.shape[1]) < frames[:, None])[:, :, None]
        frame, classes = np.divmod(np.flatnonzero(likely), max(likely.shape[2], 1))  # faster than three indices at once
        counts = np.bincount(frame, minlength=likely.shape[0] * likely.shape[1]).reshape(likely.shape[:2])  # (B, T)
        lines, places = np.divmod(frame, likely.shape[1])
        self.most = counts.max(axis=0, initial=0)  # (T,)
        starts = np.cumsum(counts) - counts.ravel()
        ranks = np.arange(len(classes)) - np.repeat(starts, counts.ravel())
        self.ids = np.zeros((*counts.shape, int(self.most.max(initial=0))), np.int64)
        self.ids[lines, places, ranks] = classes + 1
        self.probabilities = np.zeros(self.ids.shape)
        self.probabilities[lines, places, ranks] = probabilities[lines, places, classes + 1]


@dataclass
class _Beams:
    """The prefixes of all lines, (B, W) each.

    Args:
        blank, character: probability of the prefix over paths that end in a blank, or in its last character.
        last: class id of the last character; 0 for the empty prefix, -1 for an unused beam.
        key, parent: hashes of the prefix and of its parent.
        bonus: scores so far.
    """

    blank: NDArray[np.float64]
    character: NDArray[np.float64]
    last: NDArray[np.int64]
    key: NDArray[np.uint64]
    parent: NDArray[np.uint64]
    bonus: NDArray[np.float64]

    def first(self, count: int) -> "_Beams":
        return _Beams(*(getattr(self, one.name)[:count] for one in fields(self)))

    def put(self, new: "_Beams") -> None:
        for one in fields(self):
            getattr(self, one.name)[: len(new.blank)] = getattr(new, one.name)


class _Search:
    def __init__(
        self,
        probabilities: NDArray[Any],
        candidates: _Candidates,
        beam_width: int,
        scorers: Sequence[tuple[Scorer, float]],
        length_bonus: float,
    ) -> None:
        shape = (len(probabilities), beam_width)
        self._probabilities, self._candidates = probabilities, candidates
        self._scorers, self._length_bonus = scorers, length_bonus
        self._only_lose = bool(scorers) and all(weight >= 0 for _, weight in scorers)
        self._states = [np.full(shape, scorer.start, np.int64) for scorer, _ in scorers]
        self._log_scale = np.zeros(len(probabilities))
        self._history: list[tuple[NDArray[np.int64], NDArray[np.int64]] | None] = []
        blank, character, bonus = np.zeros((3, *shape))
        key, parent = np.zeros((2, *shape), np.uint64)
        last = np.full(shape, -1, np.int64)
        blank[:, 0], last[:, 0], key[:, 0] = 1.0, 0, 1  # the empty prefix
        self._beams = _Beams(blank, character, last, key, parent, bonus)

    def step(self, frame: int, lines: int) -> None:
        """Processes a frame for the first `lines` lines."""
        beams = self._beams.first(lines)
        probabilities = self._probabilities[:lines, frame]
        total = beams.blank + beams.character
        own = np.take_along_axis(probabilities, np.maximum(beams.last, 0), axis=1)
        stay_blank, stay_character = total * probabilities[:, :1], beams.character * own
        count = int(self._candidates.most[frame])
        if count:
            ids = self._candidates.ids[:lines, frame, :count]  # (B, K)
            begin = self._candidates.probabilities[:lines, frame, :count]
            # A repeated character needs a blank between.
            like = ids[:, None, :] == beams.last[:, :, None]
            extended = begin[:, None, :] * np.where(like, beams.blank[:, :, None], total[:, :, None])  # (B, W, K)
            # If a prefix and its parent are both in the beam, the extension is merged into the prefix.
            is_parent = beams.parent[:, :, None] == beams.key[:, None, :]  # (B, child, parent)
            is_parent &= (beams.last > 0)[:, :, None] & (beams.last >= 0)[:, None, :]
            line, child, parent = np.nonzero(is_parent)
            repeated = beams.last[line, child] == beams.last[line, parent]
            came = np.where(repeated, beams.blank[line, parent], total[line, parent])
            stay_character[line, child] += own[line, child] * came
            pair, place = np.nonzero(like[line, child])  # the candidate that is the child's last character
            extended[line[pair], parent[pair], place] = 0.0
            self._select(beams, ids, stay_blank, stay_character, extended)
        else:
            beams.blank[:], beams.character[:] = stay_blank, stay_character
            self._history.append(None)
        scale = np.maximum((beams.blank + beams.character).max(axis=1, keepdims=True), 1e-300)
        beams.blank[:] /= scale
        beams.character[:] /= scale
        self._log_scale[:lines] += np.log(scale[:, 0])

    def _select(
        self,
        beams: _Beams,
        ids: NDArray[np.int64],
        stay_blank: NDArray[np.float64],
        stay_character: NDArray[np.float64],
        extended: NDArray[np.float64],
    ) -> None:
        """Keeps the best of the unchanged and the extended prefixes."""
        lines, width, count = extended.shape
        offset = np.where(beams.last >= 0, beams.bonus, -np.inf).max(axis=1, keepdims=True)
        stayed = (stay_blank + stay_character) * np.exp(np.minimum(beams.bonus - offset, _MAX_EXPONENT))
        if self._only_lose:  # most extensions are already worse than all unchanged prefixes
            most = np.exp(np.minimum(beams.bonus - offset + self._length_bonus, _MAX_EXPONENT))
            extended *= extended * most[:, :, None] >= stayed.min(axis=1)[:, None, None]
        gained, next_states = self._gains(extended, ids, lines)
        bonuses = beams.bonus[:, :, None] + gained if self._scorers or self._length_bonus else beams.bonus[:, :, None]
        grown = extended * np.exp(np.minimum(bonuses - offset[:, :, None], _MAX_EXPONENT))
        ranked = np.concatenate([stayed, grown.reshape(lines, width * count)], axis=1)
        chosen = np.argpartition(-ranked, width - 1, axis=1)[:, :width]
        grew = chosen >= width
        place = np.where(grew, chosen - width, 0)
        origin = np.where(grew, place // count, chosen)  # (B, W) which prefix it was
        letter = np.where(grew, np.take_along_axis(ids, place % count, axis=1), 0)
        in_use = np.take_along_axis(ranked, chosen, axis=1) > 0

        def kept(values: NDArray[Any]) -> NDArray[Any]:
            return np.take_along_axis(values, origin, axis=1)

        def flat(values: NDArray[Any]) -> NDArray[Any]:
            return np.take_along_axis(np.broadcast_to(values, extended.shape).reshape(lines, -1), place, axis=1)

        keys = kept(beams.key)
        new = _Beams(
            blank=np.where(grew, 0.0, kept(stay_blank)) * in_use,
            character=np.where(grew, flat(extended), kept(stay_character)) * in_use,
            last=np.where(in_use, np.where(grew, letter, kept(beams.last)), -1),
            key=np.where(grew, (keys + letter.astype(np.uint64)) * _KEY_FACTOR + _KEY_STEP, keys),
            parent=np.where(grew, keys, kept(beams.parent)),
            bonus=np.where(grew, flat(bonuses), kept(beams.bonus)),
        )
        for state, following in zip(self._states, next_states, strict=True):
            state[:lines] = np.where(grew, flat(following), kept(state[:lines]))
        beams.put(new)
        self._history.append((origin, np.where(grew, letter, -1)))

    def _gains(
        self, extended: NDArray[np.float64], ids: NDArray[np.int64], lines: int
    ) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
        """(B, W, K) scores of the extensions, and the states of the scorers after them."""
        gained = np.full(extended.shape, self._length_bonus)
        if not self._scorers:
            return gained, []
        line, beam, place = np.nonzero(extended)
        characters = ids[line, place]
        next_states = []
        for (scorer, weight), states in zip(self._scorers, self._states, strict=True):
            following = np.zeros(extended.shape, np.int64)
            after, scores = scorer.step(states[:lines][line, beam], characters)
            following[line, beam, place] = after
            gained[line, beam, place] += weight * scores
            next_states.append(following)
        return gained, next_states

    def hypotheses(self, top: int) -> list[list[Hypothesis]]:
        """The best prefixes of every line as readings."""
        beams = self._beams
        ends = beams.bonus.copy()
        for (scorer, weight), states in zip(self._scorers, self._states, strict=True):
            ends += weight * scorer.finish(states.ravel()).reshape(states.shape)
        with np.errstate(divide="ignore"):
            log_probability = np.log(beams.blank + beams.character) + self._log_scale[:, None]
        score = np.where(beams.last >= 0, log_probability + ends, -np.inf)
        order = np.argsort(-score, axis=1, kind="stable")[:, :top]
        labels = self._labels(order)
        return [
            [
                Hypothesis(labels[line][rank], float(log_probability[line, beam]), float(score[line, beam]))
                for rank, beam in enumerate(order[line])
                if np.isfinite(score[line, beam])
            ]
            for line in range(len(order))
        ]

    def _labels(self, beams: NDArray[np.int64]) -> list[list[NDArray[np.int32]]]:
        """The characters of chosen beams (B, N), traced back to the first frame."""
        beams = beams.copy()
        letters = np.full((len(self._history), *beams.shape), -1, np.int64)
        for frame in range(len(self._history) - 1, -1, -1):
            step = self._history[frame]
            if step is not None:
                origin, letter = step
                lines = len(origin)
                letters[frame, :lines] = np.take_along_axis(letter, beams[:lines], axis=1)
                beams[:lines] = np.take_along_axis(origin, beams[:lines], axis=1)
        return [
            [column[column > 0].astype(np.int32) for column in letters[:, line].T] for line in range(letters.shape[1])
        ]
