"""Counting and smoothing of n-grams, in arrays over all positions of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

_USUAL_DISCOUNTS = (0.5, 1.0, 1.5)  # if there are too few texts to estimate them


def learn_ngrams(labels: Sequence[NDArray[np.integer[Any]]], classes: int, order: int) -> dict[str, Any]:
    """The arrays of a CharacterLanguageModel.

    Each text is between a begin mark, which occurs only in contexts, and an end mark, which is only predicted. Contexts
    are numbered from the shortest on; 0 is the empty one.

    Args:
        labels: class ids of each text.
        classes: number of classes including the blank; `classes` is the end mark, `classes` + 1 the begin mark.
    """
    text = _Text.of(labels, classes)
    states = [np.zeros(len(text.symbols), np.int64)]  # by length: the context that ends at each position
    backoff_states = [np.zeros(1, np.int64)]
    arcs = [_Arcs.of(text, states[0], 0, 0, 1)]
    for length in range(1, order):
        offset = arcs[-1].offset + arcs[-1].contexts
        state, firsts = _number_contexts(text, states[-1], length, offset)
        backoff_states.append(states[-1][firsts])
        states.append(state)
        arcs.append(_Arcs.of(text, state, length, offset, len(firsts)))
    probabilities, backoff_scores = _smoothed(text, arcs)
    # For each character without a context.
    singles = np.full(classes + 1, np.exp(backoff_scores[0][0]) / classes)
    singles[arcs[0].key] = probabilities[0]
    singles[0] = np.finfo(np.float32).tiny  # the blank is not a character
    # After a character, a context is extended by it, up to the maximum length.
    ends = [states[min(arc.length + 1, order - 1)][arc.place] for arc in arcs[1:]]
    none = np.zeros(0, np.int64)
    keys = np.concatenate([none, *(arc.key for arc in arcs[1:])])
    sorting = np.argsort(keys)
    after_single = np.zeros(classes + 1, np.int64)
    start = 0
    if order > 1:
        inside = text.symbols < classes
        after_single[text.symbols[inside]] = states[1][inside]
        start = int(states[1][0]) if len(text.symbols) else 0
    return {
        "start": start,
        "arcs": keys[sorting],
        "arc_scores": np.log(np.concatenate([np.zeros(0), *probabilities[1:]]))[sorting].astype(np.float32),
        "arc_states": np.concatenate([none, *ends])[sorting].astype(np.int32),
        "backoff_scores": np.concatenate([np.zeros(1), *backoff_scores[1:]]).astype(np.float32),
        "backoff_states": np.concatenate(backoff_states).astype(np.int32),
        "single_scores": np.log(singles).astype(np.float32),
        "single_states": after_single.astype(np.int32),
    }


@dataclass(frozen=True)
class _Text:
    """Concatenated texts: symbols (P,), and the number of symbols of the same text before each (P,)."""

    symbols: Places
    depth: Places
    classes: int

    @classmethod
    def of(cls, labels: Sequence[NDArray[np.integer[Any]]], classes: int) -> "_Text":
        marked = [np.concatenate([[classes + 1], label, [classes]]).astype(np.int64) for label in labels]
        none, depths = np.zeros(0, np.int64), [np.arange(len(one)) for one in marked]
        return cls(np.concatenate([none, *marked]), np.concatenate([none, *depths]), classes)

    def after(self, values: Places) -> Places:
        """Values shifted by one: for each position, the value of the previous one."""
        return np.concatenate([[0], values[:-1]]).astype(np.int64)


@dataclass(frozen=True)
class _Arcs:
    """The arcs after the contexts of one length; `contexts` of these, numbered from `offset` on.

    Args:
        key: (A,) context * (classes + 1) + character, sorted.
        seen: (A,) counts.
        place: (A,) one position of each.
        at: (P,) the arc at each position of the text; undefined for the first `length` symbols.
    """

    length: int
    offset: int
    contexts: int
    key: Places
    seen: Places
    place: Places
    at: Places

    @classmethod
    def of(cls, text: _Text, state: Places, length: int, offset: int, contexts: int) -> "_Arcs":
        places = np.flatnonzero(text.depth >= max(length, 1))
        keys = text.after(state)[places] * (text.classes + 1) + text.symbols[places]
        key, first, inverse, seen = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        at = np.zeros(len(text.symbols), np.int64)
        at[places] = inverse
        return cls(length, offset, contexts, key, seen, places[first], at)


def _number_contexts(text: _Text, shorter: Places, length: int, offset: int) -> tuple[Places, Places]:
    """The context of this length that ends at each position, 0 if there is none; and one position of each."""
    whole = (text.depth >= length - 1) & (text.symbols != text.classes)
    # The context that ends here is the shorter one that ends before, plus this symbol.
    keys = (text.after(shorter) * (text.classes + 2) + text.symbols)[whole]
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    state = np.zeros(len(text.symbols), np.int64)
    state[whole] = offset + numbers
    return state, np.flatnonzero(whole)[first]


def _smoothed(text: _Text, arcs: Sequence[_Arcs]) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """By length: probabilities of arcs (A,), and the remaining probability for characters not seen after a context.

    Returns:
        The probabilities, and for each context (contexts,) the logarithm of the remaining probability.
    """
    probabilities: list[NDArray[np.float64]] = []
    backoff_scores = []
    for arc, longer in zip(arcs, [*arcs[1:], None], strict=True):
        counts = arc.seen
        if longer is not None:
            # Number of contexts one symbol longer. Nothing precedes those that start with the begin mark.
            is_first = (text.depth[arc.place] == arc.length) & (arc.length > 0)
            counts = np.where(is_first, arc.seen, np.bincount(arc.at[longer.place], minlength=len(arc.key)))
        taken = _discounts(counts)[np.minimum(counts, 3)]
        owner = arc.key // (text.classes + 1) - arc.offset
        total, left = np.bincount(owner, counts, arc.contexts), np.bincount(owner, taken, arc.contexts)
        rest = np.divide(left, total, where=total > 0, out=np.ones(arc.contexts))
        shorter = probabilities[-1][arcs[arc.length - 1].at[arc.place]] if probabilities else 1 / text.classes
        probabilities.append((counts - taken) / total[owner] + rest[owner] * shorter)
        backoff_scores.append(np.log(rest))
    return probabilities, backoff_scores


def _discounts(counts: Places) -> NDArray[np.float64]:
    """(4,) discounts of counts of 0, 1, 2, and more."""
    ones, twos, threes, fours = np.bincount(np.minimum(counts, 5), minlength=5)[1:5].tolist()
    if not (ones and twos and threes and fours):
        return np.array([0.0, *_USUAL_DISCOUNTS])
    share = ones / (ones + 2 * twos)
    estimates = (1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes)
    pairs = enumerate(zip(estimates, _USUAL_DISCOUNTS, strict=True), start=1)
    return np.array([0.0, *(estimate if 0 < estimate < count else usual for count, (estimate, usual) in pairs)])
