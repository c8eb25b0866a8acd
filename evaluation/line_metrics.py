"""Error rates of texts: characters, words, whole lines; pooled over a corpus, or as older systems computed them.

A number without its definition cannot be compared: every rate here belongs to a profile, and is shown with its name.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evaluation.intervals import rate_intervals
from text_recognizer.decoding.edits import RATES, LineErrors, edit_distances
from text_recognizer.wording import counted, did_you_mean

Profile = Literal["corpus", "flor2020", "fsdl", "positional"]


@dataclass(frozen=True)
class LineFigures:
    """Error rates of a set of lines.

    Args:
        profile: how they are defined.
        rates: by name.
        intervals: 95 % intervals, by name.
        count: lines.
        resampled: what the intervals take as independent: "lines", or groups like "12 groups".
    """

    profile: Profile
    rates: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    count: int
    resampled: str


def pooled_rates(errors: LineErrors) -> dict[str, float]:
    """Error rates of a corpus: all errors over all characters, words or lines.

    Summed before dividing, so long lines weigh more than short ones; the mean of per-line rates is another number.
    Above 1 when insertions outnumber the text.

    Raises:
        ValueError: the texts hold no characters at all.
    """
    totals = errors.parts.sum(axis=0)  # (3, 2)
    if not totals[0, 1]:
        raise ValueError("the error rate of texts without characters is undefined.")
    return {name: float(part / whole) for name, (part, whole) in zip(RATES, totals, strict=True)}


def corpus_figures(errors: LineErrors, groups: Sequence[str] | None = None) -> LineFigures:
    """Pooled rates with their 95 % intervals.

    Args:
        groups: (n,) writer or page of each line. Lines of one hand are right and wrong together, so groups are
            resampled where there are several.
    """
    count = len(errors.wrong)
    kinds = len(set(groups)) if groups is not None else 0
    intervals = dict(zip(RATES, rate_intervals(errors.parts, groups), strict=True))
    resampled = counted(kinds, "group") if kinds > 1 else "lines"
    return LineFigures("corpus", pooled_rates(errors), intervals, count, resampled)


def profile_figures(
    profile: str, texts: Sequence[str], readings: Sequence[str], groups: Sequence[str] | None = None
) -> LineFigures:
    """The figures of a profile.

    Args:
        profile: "corpus" pools all lines. "flor2020", "fsdl" and "positional" are those of older systems, for
            comparison with their numbers; see the functions below.
    Raises:
        ValueError: there is no such profile, or there are no lines.
    """
    if not texts:
        raise ValueError("the error rate of no lines is undefined.")
    if profile == "corpus":
        return corpus_figures(LineErrors.of(texts, readings), groups)
    if profile not in PROFILES:
        known = ["corpus", *PROFILES]
        raise ValueError(f"there is no profile '{profile}'.{did_you_mean(profile, known)} Known: {', '.join(known)}.")
    rates = PROFILES[profile](texts, readings)
    return LineFigures(profile, rates, {}, len(texts), "lines")  # type: ignore[arg-type]


def flor2020_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    """Of each line: edits of lower-cased texts over the length of the longer one; then the mean over lines.

    That is HTR-Flor's evaluation of 2020. Words are what white space parts; a line is wrong as soon as it differs.
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

    That is the FSDL text recogniser's character accuracy. A text that is empty once stripped counts as one character.
    """
    stripped = [[text.strip(" |_") for text in side] for side in (texts, readings)]
    lengths = np.array([max(len(text), 1) for text in stripped[0]])
    return {"character_accuracy": float(np.mean(1 - edit_distances(*stripped) / lengths))}


def positional_rates(texts: Sequence[str], readings: Sequence[str]) -> dict[str, float]:
    """Mean over lines of the share of characters that the reading has at the very same place.

    That is CRNN_Tensorflow's accuracy: one character too many spoils all that follow. An empty text is right when its
    reading is empty.
    """
    shares = [
        sum(a == b for a, b in zip(text, reading, strict=False)) / len(text) if text else float(not reading)
        for text, reading in zip(texts, readings, strict=True)
    ]
    return {"positional_accuracy": float(np.mean(shares))}


def confusions(texts: Sequence[str], readings: Sequence[str], most: int = 20) -> list[tuple[str, str, int]]:
    """The most frequent (right, read, count) of the edits; "" stands for a character that was left out or added."""
    from rapidfuzz.distance import Levenshtein

    counts: Counter[tuple[str, str]] = Counter()
    for text, reading in zip(texts, readings, strict=True):
        if text == reading:
            continue
        for edit in Levenshtein.editops(text, reading):
            right = "" if edit.tag == "insert" else text[edit.src_pos]
            read = "" if edit.tag == "delete" else reading[edit.dest_pos]
            counts[right, read] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(right, read, count) for (right, read), count in ranked]


def _mean_over_longer(texts: Sequence[Any], readings: Sequence[Any]) -> float:
    longer = np.array([max(len(a), len(b), 1) for a, b in zip(texts, readings, strict=True)])
    return float(np.mean(edit_distances(texts, readings) / longer))


PROFILES: dict[str, Callable[[Sequence[str], Sequence[str]], dict[str, float]]] = {
    "flor2020": flor2020_rates,
    "fsdl": fsdl_rates,
    "positional": positional_rates,
}
