"""Counting and smoothing of n-grams, in arrays over all places of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def learn_ngrams(labels: Sequence[NDArray[np.integer[Any]]], classes: int, order: int) -> dict[str, Any]:
    """What CharacterLanguageModel is made of.

    Each text stands between a begin mark, which is only ever part of a context, and an end mark, which is only ever
    predicted. Contexts are numbered from the shortest on; 0 is the one without characters.

    Args:
        labels: class ids of each text.
        classes: of the charset, the blank included; `classes` is the end mark, `classes` + 1 the begin mark.
    """
    text = _Text.of(labels, classes)
    # Of each character without a context: its share, mixed with an even chance for all.
    counts = np.bincount(text.symbols[text.depth > 0], minlength=classes + 1).astype(np.float64)
    kinds = max(int(np.count_nonzero(counts)), 1)
    singles = (counts + kinds / classes) / (counts.sum() + kinds)  # (classes + 1,)
    singles[0] = np.finfo(np.float32).tiny  # the blank is no character
    probability = np.where(text.depth > 0, singles[np.minimum(text.symbols, classes)], 1.0)
    states = [np.zeros(len(text.symbols), np.int64)]  # of each length: the context that ends at each place
    backoff_scores, backoff_states = [np.zeros(1)], [np.zeros(1, np.int64)]
    arcs: list[_Arcs] = []
    offset = 1
    for length in range(1, order):
        state, firsts = _number_contexts(text, states[-1], length, offset)
        arc = _smoothed_arcs(text, state, length, probability, offset, len(firsts))
        backoff_scores.append(arc.backoff_scores)
        backoff_states.append(states[-1][firsts])
        arcs.append(arc)
        states.append(state)
        offset += len(firsts)
    # After a character, a context has grown by it, as long as contexts may be.
    ends = [states[min(length + 1, order - 1)][arc.place] for length, arc in enumerate(arcs, start=1)]
    none = np.zeros(0, np.int64)
    keys = np.concatenate([none, *(arc.key for arc in arcs)])
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
        "arc_scores": np.concatenate([none, *(np.log(arc.probability) for arc in arcs)])[sorting].astype(np.float32),
        "arc_states": np.concatenate([none, *ends])[sorting].astype(np.int32),
        "backoff_scores": np.concatenate(backoff_scores).astype(np.float32),
        "backoff_states": np.concatenate(backoff_states).astype(np.int32),
        "single_scores": np.log(singles).astype(np.float32),
        "single_states": after_single.astype(np.int32),
    }


@dataclass(frozen=True)
class _Text:
    """All texts one after another: symbols (P,), and how many of the same text stand before each (P,)."""

    symbols: Places
    depth: Places
    classes: int

    @classmethod
    def of(cls, labels: Sequence[NDArray[np.integer[Any]]], classes: int) -> "_Text":
        marked = [np.concatenate([[classes + 1], label, [classes]]).astype(np.int64) for label in labels]
        none, depths = np.zeros(0, np.int64), [np.arange(len(one)) for one in marked]
        return cls(np.concatenate([none, *marked]), np.concatenate([none, *depths]), classes)

    def after(self, values: Places) -> Places:
        """What the place before each place has."""
        return np.concatenate([[0], values[:-1]]).astype(np.int64)


@dataclass(frozen=True)
class _Arcs:
    """What follows the contexts of one length.

    Args:
        key: (A,) context * (classes + 1) + character, sorted.
        probability: (A,) smoothed.
        place: (A,) one of the places of each.
        backoff_scores: (contexts,) logarithm of the share that is left for characters never seen after a context.
    """

    key: Places
    probability: NDArray[np.float64]
    place: Places
    backoff_scores: NDArray[np.float64]


def _number_contexts(text: _Text, shorter: Places, length: int, offset: int) -> tuple[Places, Places]:
    """The context of this length that ends at each place, 0 where there is none; and one place of each."""
    whole = (text.depth >= length - 1) & (text.symbols != text.classes)
    # The context that ends here is the one symbol shorter that ends before, and this symbol.
    keys = (text.after(shorter) * (text.classes + 2) + text.symbols)[whole]
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    state = np.zeros(len(text.symbols), np.int64)
    state[whole] = offset + numbers
    return state, np.flatnonzero(whole)[first]


def _smoothed_arcs(
    text: _Text, state: Places, length: int, probability: NDArray[np.float64], offset: int, contexts: int
) -> _Arcs:
    """Counts what follows each context and mixes it with `probability` after shorter contexts, which it replaces."""
    places = np.flatnonzero(text.depth >= length)
    keys = text.after(state)[places] * (text.classes + 1) + text.symbols[places]
    key, first, inverse, seen = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    owner = key // (text.classes + 1) - offset
    total = np.bincount(owner, seen, contexts).astype(np.float64)
    # Different characters, as Witten and Bell count novelty.
    kinds: NDArray[np.int64] = np.bincount(owner, minlength=contexts)
    shorter = probability[places[first]]
    mixed = (seen + kinds[owner] * shorter) / (total + kinds)[owner]
    probability[places] = mixed[inverse]
    return _Arcs(key, mixed, places[first], np.log(kinds / (total + kinds)))
