"""Error rates of ten thousand lines with intervals and confusions, against a budget."""

import numpy as np

from evaluation.intervals import rate_intervals
from evaluation.lines import confusions
from text_recognizer.decoding.edits import LineErrors
from training.benchmarks.figures import Figure, medians, seconds

ROUNDS = 5
LINES, CHARACTERS = 10_000, 45
BUDGET_S = 0.3


def measure() -> list[Figure]:
    texts, readings = made_pairs()
    groups = [f"hand {index % 200}" for index in range(LINES)]
    _seconds(texts[:10], readings[:10], groups[:10])  # imports
    by_line, by_hand = medians(
        ROUNDS, lambda: _seconds(texts, readings, None), lambda: _seconds(texts, readings, groups)
    )
    what = f"{LINES:,} lines: CER, WER, SER, confusions, intervals"
    return [
        Figure(f"{what} over lines / budget", by_line, BUDGET_S, "s", "<= 1"),
        Figure(f"{what} over hands / budget", by_hand, BUDGET_S, "s", "<= 1"),
    ]


def made_pairs() -> tuple[list[str], list[str]]:
    """Texts, and readings with every tenth character wrong, left out or doubled."""
    random = np.random.default_rng(0)
    letters = np.array(list("eeeeetttaaooiinnsshhrrdlcumwfgypbvk     "))
    texts = [
        "".join(random.choice(letters, random.integers(CHARACTERS // 2, CHARACTERS * 3 // 2))) for _ in range(LINES)
    ]
    return texts, ["".join(_misread(text, random)) for text in texts]


def _misread(text: str, random: np.random.Generator) -> list[str]:
    kinds = random.choice(4, len(text), p=[0.9, 0.04, 0.03, 0.03])
    return [(one, "x", "", one + one)[kind] for one, kind in zip(text, kinds.tolist(), strict=True)]


def _seconds(texts: list[str], readings: list[str], groups: list[str] | None) -> float:
    def measured() -> None:
        rate_intervals(LineErrors.of(texts, readings).parts, groups)
        confusions(texts, readings)

    return seconds(measured)
