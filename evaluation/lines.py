"""Text lines: pooled error rates, rates of other profiles, and the most frequent confusions.

Error rates are comparable only under the same definition: every rate belongs to a profile and is shown with its name.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluation.breakdown import by_character, by_group, by_length, edits, folded
from evaluation.intervals import rate_intervals
from text_recognizer.datasets.base import Split
from text_recognizer.decoding.edits import RATES, edit_distances, line_errors
from text_recognizer.models.base import Model
from text_recognizer.wording import counted


def extras(model: Model, split: Split, rows: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG001 - as of characters
    """The profile of the rates, what their intervals resample, rates of other profiles, and where errors occur."""
    texts, readings = [row["label"] for row in rows], [row["predicted"] for row in rows]
    by_line = rate_intervals(line_errors(texts, readings))
    names = split.groups
    groups = len({names[row["position"]] for row in rows}) if names is not None else 0
    return {
        "confusions": confusions(texts, readings),
        "details": {
            "profile": "corpus",
            "resampled": counted(groups, "group") if groups > 1 else "lines",
            "intervals_95_over_lines": {name: list(pair) for name, pair in zip(RATES, by_line, strict=True)},
            "profiles": {name: rates(texts, readings) for name, rates in PROFILES.items()},
            "by_length": by_length(rows),
            "by_group": by_group(rows, split.groups),
            "by_character": by_character(rows),
            **folded_lines(texts, readings),
        },
    }


def flor2020_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    """Means over lines of the edits between lower-cased texts, divided by the length of the longer text.

    This is HTR-Flor's evaluation of 2020. Words are separated by white space; a line is wrong if it differs at all.
    """
    lowered = [text.lower() for text in texts], [reading.lower() for reading in readings]
    words = [[text.split() for text in side] for side in lowered]
    return {
        "character_error_rate": _mean_over_longer(*lowered),
        "word_error_rate": _mean_over_longer(*words),
        "sentence_error_rate": float(np.mean([a != b for a, b in zip(*lowered, strict=True)])),
    }


def fsdl_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    """Mean over lines of 1 - edits / length, both stripped of blanks, "|" and "_"; below 0 for bad readings.

    This is the FSDL text recogniser's character accuracy. A text that is empty once stripped counts as one character.
    """
    stripped = [[text.strip(" |_") for text in side] for side in (texts, readings)]
    lengths = np.array([max(len(text), 1) for text in stripped[0]])
    return {"character_accuracy": float(np.mean(1 - edit_distances(*stripped) / lengths))}


def positional_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    """Mean over lines of the share of characters that the reading has at the same position.

    This is CRNN_Tensorflow's accuracy: an inserted character makes all that follow wrong. An empty text is right if
    its reading is empty.
    """
    shares = [
        sum(a == b for a, b in zip(text, reading, strict=False)) / len(text) if text else float(not reading)
        for text, reading in zip(texts, readings, strict=True)
    ]
    return {"positional_accuracy": float(np.mean(shares))}


# Profiles of older systems, for comparison with their numbers.
PROFILES: dict[str, Callable[[Sequence[str], Sequence[str]], dict[str, float]]] = {
    "flor2020": flor2020_rates,
    "fsdl": fsdl_rates,
    "positional": positional_rates,
}


def confusions(texts: Sequence[str], readings: Sequence[str], most: int = 20) -> list[tuple[str, str, int]]:
    """The most frequent edits: (label, reading, count); "" for an insertion or a deletion."""
    counts = Counter(pair for both in zip(texts, readings, strict=True) for pair in edits(*both))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(right, read, count) for (right, read), count in ranked]


def folded_lines(texts: Sequence[str], readings: Sequence[str]) -> dict[str, Any]:
    """The errors that remain when case and look-alikes are ignored."""
    sides = [folded(text) for text in texts], [folded(reading) for reading in readings]
    errors, characters = line_errors(*sides)[:, 0].sum(axis=0)
    return {
        "character_error_rate_folded": float(errors / max(characters, 1)),
        "confusions_folded": [{"label": a, "predicted": b, "count": count} for a, b, count in confusions(*sides)],
    }


def _mean_over_longer(texts: Sequence[Any], readings: Sequence[Any]) -> float:
    longer = np.array([max(len(a), len(b), 1) for a, b in zip(texts, readings, strict=True)])
    return float(np.mean(edit_distances(texts, readings) / longer))
