"""Calibration: maps a model's confidences to accuracies, fitted to readings of known texts."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from text_recognizer.arguments import check_value, to_json
from text_recognizer.decoding.edits import edit_distances
from text_recognizer.decoding.greedy import log_softmax
from text_recognizer.errors import DataError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.models.prediction import Prediction, ReadPart, words_of

CALIBRATION = "calibration.json"  # in a bundle
MOST = 1e6  # limit of its numbers
_SURE = 1e-6  # minimum doubt, so that odds are finite

Number = Annotated[float, Ge(-MOST), Le(MOST)]
Curve = tuple[Number, Number]  # intercept and slope, from log-odds to log-odds
AS_IT_IS: Curve = (0.0, 1.0)


@dataclass(frozen=True)
class Calibration:
    """Curves from a model's confidences to accuracies.

    Source: Platt (1999), "Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods"; of the temperature Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks".

    Args:
        temperature: divisor of the logits, for a model that chooses one class per image.
        character, word, line: curves for the parts of a line's reading.
        errors_each: character errors in a line per character that is expected to be wrong.
        written_share: share of the height of a typical line that its writing fills; None if it was not measured.
    """

    temperature: Annotated[float, Gt(0), Le(MOST)] = 1.0
    character: Curve = AS_IT_IS
    word: Curve = AS_IT_IS
    line: Curve = AS_IT_IS
    errors_each: Number = 1.0
    written_share: Annotated[float, Ge(0), Le(1)] | None = None

    @classmethod
    def of_classes(cls, logits: NDArray[Any], labels: NDArray[np.integer[Any]]) -> "Calibration":
        """Fits to logits (n, classes) and the correct classes (n,)."""
        from scipy.optimize import minimize_scalar

        def loss(log_temperature: float) -> float:
            log_probabilities = log_softmax(logits / math.exp(log_temperature))
            return -float(np.take_along_axis(log_probabilities, labels[:, None], axis=1).mean())

        return cls(temperature=math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))

    @classmethod
    def of_lines(cls, texts: Sequence[str], readings: Sequence[Prediction]) -> "Calibration":
        """Fits to decoded lines and their texts; the identity if a confidence is not finite."""
        if not all(np.isfinite([reading.confidence, *_parts(reading.characters)]).all() for reading in readings):
            return cls()
        flags = [right_characters(*one) for one in zip(texts, readings, strict=True)]
        found = cls(character=_fitted([_parts(reading.characters) for reading in readings], flags))
        readings = [found.of_line(reading) for reading in readings]
        pairs = list(zip(texts, readings, strict=True))
        errors = edit_distances(texts, [reading.text for reading in readings]).sum()
        expected = sum((1 - _parts(reading.characters)).sum() for reading in readings)
        return replace(
            found,
            word=_fitted([_parts(reading.words) for reading in readings], [right_words(*one) for one in pairs]),
            line=_fitted([[reading.confidence] for reading in readings], [[text == one.text] for text, one in pairs]),
            errors_each=float(errors / max(expected, 1.0)),
        )

    def save(self, folder: Path) -> None:
        content = json.dumps(to_json(self), indent=2) + "\n"
        (folder / CALIBRATION).write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """The inverse of `save`. Raises DataError: the file is damaged."""
        path = folder / CALIBRATION
        try:
            found, problems = check_value(CALIBRATION, cls, parse_json_text(path.read_text(encoding="utf-8")))
        except ValueError as error:
            problems = [f"{reason(error)}."]
        if problems:
            raise DataError(f"{path} is damaged: {' '.join(problems)}")
        return found  # type: ignore[no-any-return]

    def of_line(self, reading: Prediction) -> Prediction:
        """The reading of a line with calibrated confidences."""
        characters = _with(reading.characters, _on(self.character, _parts(reading.characters)))
        words = words_of(characters)
        words = _with(words, _on(self.word, _parts(words)))
        confidence = float(_on(self.line, np.array([reading.confidence]))[0])
        doubt = float((1 - _parts(characters)).mean()) if characters else 1.0
        # The remaining probability is divided among the alternatives in proportion to the model's.
        share = (1 - confidence) / max(1 - reading.confidence, _SURE)
        others = [(text, min(share * value, confidence)) for text, value in reading.alternatives]
        return replace(
            reading,
            confidence=confidence,
            alternatives=tuple((text, confidence if text == reading.text else value) for text, value in others),
            characters=characters,
            words=words,
            expected_cer=min(self.errors_each * doubt, 1.0),
        )


def right_characters(text: str, reading: Prediction) -> NDArray[np.bool_]:
    """Whether each character of a line's reading is right, by the fewest edits."""
    parts = [one.text for one in reading.characters]
    right = _matched(text, "".join(parts))
    ends = np.cumsum([len(part) for part in parts])
    return np.array([right[end - len(part) : end].all() for part, end in zip(parts, ends, strict=True)], bool)


def right_words(text: str, reading: Prediction) -> NDArray[np.bool_]:
    """Whether each word of a line's reading is right, by the fewest edits of words."""
    return _matched(text.split(), [one.text for one in reading.words])


def _matched(right: Sequence[str], read: Sequence[str]) -> NDArray[np.bool_]:
    from rapidfuzz.distance import Levenshtein

    flags = np.zeros(len(read), bool)
    for block in Levenshtein.opcodes(right, read):
        flags[block.dest_start : block.dest_end] = block.tag == "equal"
    return flags


def _parts(parts: Sequence[ReadPart]) -> NDArray[np.float64]:
    return np.array([one.confidence for one in parts], np.float64)


def _with(parts: Sequence[ReadPart], confidences: NDArray[np.float64]) -> tuple[ReadPart, ...]:
    return tuple(replace(one, confidence=value) for one, value in zip(parts, confidences.tolist(), strict=True))


def _log_odds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(values, _SURE, 1 - _SURE)
    return np.log(inside / (1 - inside))


def _on(curve: Curve, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh((curve[0] + curve[1] * _log_odds(values)) / 2)


def _fitted(confidences: Sequence[Any], right: Sequence[Any]) -> Curve:
    """The maximum likelihood curve for confidences and correctness, with Platt's targets, which are never 0 or 1."""
    from scipy.optimize import minimize

    values, flags = np.concatenate(confidences), np.concatenate(right).astype(bool)
    if not len(values):
        return AS_IT_IS
    hits = int(flags.sum())
    targets = np.where(flags, (hits + 1) / (hits + 2), 1 / (len(flags) - hits + 2))
    odds = _log_odds(values)

    def loss(curve: NDArray[np.float64]) -> float:
        logit = curve[0] + curve[1] * odds
        return float((np.logaddexp(0, logit) - targets * logit).mean())

    intercept, slope = minimize(loss, AS_IT_IS, method="L-BFGS-B", bounds=[(None, None), (0, None)]).x.tolist()
    return intercept, slope
