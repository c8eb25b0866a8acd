"""Error rates of the corpus profile, pooled: all errors over all characters, words or lines."""

from collections.abc import Sequence

from text_recognizer.decoding.edits import RATES, line_errors


def pooled_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    totals = line_errors(texts, readings).sum(axis=0)  # (3, 2)
    return {name: float(part / whole) for name, (part, whole) in zip(RATES, totals, strict=True)}
