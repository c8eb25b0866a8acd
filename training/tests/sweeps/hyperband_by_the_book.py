"""Hyperband's rule as W&B's engine states it, over whole histories; the product keeps a table up to date instead."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from training.sweeps.stopping_rules.hyperband import Hyperband, HyperbandDecision, threshold_index


def told(rule: Hyperband, histories: Iterable[Iterable[Any]]) -> Hyperband:
    """The rule, with the reports of runs named "0", "1" and so on."""
    for index, history in enumerate(histories):
        rule.report(str(index), history)
    return rule


def threshold_by_the_book(rule: Hyperband, band: int, histories: Iterable[Sequence[float]]) -> float:
    """What a run must not be worse than at a band; infinitely bad where no run has reached it."""
    at_band = sorted(rule.sign * history[band - 1] for history in histories if len(history) >= band)
    return rule.sign * (at_band[threshold_index(len(at_band), rule.eta)] if at_band else math.inf)


def decision_by_the_book(
    rule: Hyperband, history: Sequence[float], histories: Iterable[Sequence[float]]
) -> HyperbandDecision:
    """
    Args:
        history: usable values of a run, in the order they were reported.
        histories: those of all runs in any state, this run among them.
    """
    band = max((band for band in rule.bands if band <= len(history)), default=None)
    if band is None:
        return HyperbandDecision(rule, False, len(history))
    others = list(histories)
    value = history[band - 1] if rule.strict else rule.sign * min(rule.sign * value for value in history)
    threshold = threshold_by_the_book(rule, band, others)
    stop = rule.sign * value > rule.sign * threshold
    reached = sum(len(other) >= band for other in others)
    return HyperbandDecision(rule, stop, len(history), band, value, threshold, reached)
