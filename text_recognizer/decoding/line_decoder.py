"""LineDecoder: decodes logits of lines to labels, with the configured search and what was learnt for it."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.decoding.alignment import Alignment, align
from text_recognizer.decoding.beam import Hypothesis, Scorer, beam_search
from text_recognizer.decoding.greedy import greedy_labels, log_softmax, softmax
from text_recognizer.decoding.language_model import CharacterLanguageModel
from text_recognizer.decoding.lexicon import Lexicon
from text_recognizer.decoding.tuning import DecodingWeights, tune_weights
from text_recognizer.errors import DataError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import received

ALTERNATIVES = 5
USUAL_BEAM_WIDTH = 25
MOST_WEIGHT = 1000.0
# Frames times prefixes of the lines used for tuning: at most a minute on an idle core.
MOST_TUNING_EFFORT = 64_000 * USUAL_BEAM_WIDTH
TUNED_TOGETHER = 16
MOST_TEXT_BYTES = 1 << 28  # limit of a file to learn from
WEIGHTS_FILE, LANGUAGE_FILE, LEXICON_FILE = "decoding.json", "language_model.npz", "lexicon.txt"

Label = NDArray[np.int32]


@dataclass(frozen=True)
class Reading:
    """A decoder's reading of a line; alternatives have log-probabilities, best first, including the chosen one."""

    label: Label
    alignment: Alignment
    alternatives: tuple[tuple[Label, float], ...]


class LineDecoder:
    """Decodes greedily until `learn` or `load` has provided the language model and the lexicon.

    Args:
        classes: the text of each class id; the first is the blank.
        beam_width: None always reads greedily.
        language_model: order of the n-gram model, or None.
        lexicon: whether to use a lexicon.
    """

    def __init__(self, classes: Sequence[str], beam_width: int | None, language_model: int | None, lexicon: bool):
        self.classes = tuple(classes)
        self.beam_width = beam_width
        self.order = language_model
        self.uses_lexicon = lexicon
        self.is_ready = beam_width is None
        self.weights = DecodingWeights()
        self.language_model: CharacterLanguageModel | None = None
        self.lexicon: Lexicon | None = None

    @property
    def needs_tuning(self) -> bool:
        return self.order is not None or self.uses_lexicon

    def labels(self, outputs: NDArray[Any], frames: NDArray[np.integer[Any]]) -> list[Label]:
        """The best label of each line, from logits (B, T, classes); frames (B,) show the line."""
        if self.beam_width is None or not self.is_ready:
            return greedy_labels(outputs, frames)
        return [found[0].label for found in self._search(softmax(outputs), frames, self.weights, 1)]

    def read(
        self, outputs: NDArray[Any], frames: NDArray[np.integer[Any]], alternatives: int | None = None
    ) -> list[Reading]:
        """The best label of each line, with probabilities, positions and alternatives, also for greedy decoding."""
        log_probabilities = log_softmax(outputs)
        searches = self.beam_width is not None and self.is_ready
        found: list[list[Hypothesis]] = [[] for _ in outputs]
        if searches or alternatives is not None:
            top, asked = alternatives or ALTERNATIVES, alternatives is not None
            found = self._search(np.exp(log_probabilities), frames, self.weights, top, thorough=asked)
        labels = [hypotheses[0].label for hypotheses in found] if searches else greedy_labels(outputs, frames)
        alignments = align(log_probabilities, frames, labels)
        readings = []
        for label, alignment, hypotheses in zip(labels, alignments, found, strict=True):
            others = [one for one in hypotheses if not np.array_equal(one.label, label)]
            ranked = [(label, alignment.log_probability), *((one.label, one.log_probability) for one in others)]
            if alternatives is not None:
                ranked.sort(key=lambda one: -one[1])
            readings.append(Reading(label, alignment, tuple(ranked[:alternatives])))
        return readings

    def learn(self, labels: Sequence[Label], texts: Sequence[str]) -> None:
        """Learns the language model and the lexicon, as configured, from labels and texts of training lines."""
        if self.order is not None:
            self.language_model = CharacterLanguageModel.learn(labels, len(self.classes), self.order)
        if self.uses_lexicon:
            self.lexicon = Lexicon.of_texts(texts, self.classes)
        self.is_ready = True

    def tune(self, batches: Sequence[tuple[NDArray[Any], NDArray[np.integer[Any]]]], labels: Sequence[Label]) -> None:
        """Tunes the weights by the edits on lines: batches of outputs and frames, and their labels in order."""
        parts = [(softmax(outputs), frames) for outputs, frames in batches]
        effort = sum(int(frames.sum()) for _, frames in parts) * (self.beam_width or 0) * (1 + len(self.classes) / 2000)
        spacing = math.ceil(effort / MOST_TUNING_EFFORT)

        def read(weights: DecodingWeights, step: int) -> list[list[int]]:
            chosen, first = [], 0
            for part, frames in parts:
                rows = range(-first % (spacing * step), len(frames), spacing * step)
                chosen += [part[row, : frames[row]] for row in rows]
                first += len(frames)
            found = []
            for start in range(0, len(chosen), TUNED_TOGETHER):  # a line alone takes several times as long
                lines = chosen[start : start + TUNED_TOGETHER]
                counts = np.array([len(line) for line in lines])
                padded = np.zeros((len(lines), max(1, counts.max()), len(self.classes)), lines[0].dtype)
                for place, line in zip(padded, lines, strict=True):
                    place[: len(line)] = line
                found += self._search(padded, counts, weights, 1)
            return [hypotheses[0].label.tolist() for hypotheses in found]

        wanted = [label.tolist() for label in labels[::spacing]]
        self.weights = tune_weights(read, wanted, self.language_model is not None, self.lexicon is not None)

    def save(self, folder: Path) -> None:
        """Writes what was learnt into a folder."""
        if self.beam_width is None or not self.is_ready:
            return
        content = json.dumps({"weights": asdict(self.weights)}, indent=2) + "\n"
        (folder / WEIGHTS_FILE).write_text(content, encoding="utf-8")
        if self.language_model is not None:
            self.language_model.save(folder / LANGUAGE_FILE)
        if self.lexicon is not None:
            (folder / LEXICON_FILE).write_text("".join(f"{word}\n" for word in self.lexicon.words), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """The inverse of `save`. Raises DataError: a file is missing or damaged."""
        if self.beam_width is None or not (folder / WEIGHTS_FILE).exists():
            return
        try:
            value = parse_json_text((folder / WEIGHTS_FILE).read_text(encoding="utf-8"))
            self.weights = DecodingWeights(**value["weights"])
            if not all(abs(weight) <= MOST_WEIGHT for weight in asdict(self.weights).values()):
                raise ValueError(f"its weights must be at most {MOST_WEIGHT:g}. {received(value['weights'])}")
            if self.uses_lexicon:
                words = (folder / LEXICON_FILE).read_text(encoding="utf-8").split()
                self.lexicon = Lexicon(words, self.classes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the decoder in {folder} is damaged: {type(error).__name__}: {reason(error)}.") from error
        if self.order is not None:
            self.language_model = CharacterLanguageModel.load(folder / LANGUAGE_FILE, len(self.classes))
        self.is_ready = True

    def _search(
        self,
        probabilities: NDArray[Any],
        frames: NDArray[np.integer[Any]],
        weights: DecodingWeights,
        top: int,
        thorough: bool = False,
    ) -> list[list[Hypothesis]]:
        """The best readings; `thorough` finds as many even in a line whose characters are all clear."""
        weighted = ((self.language_model, weights.language), (self.lexicon, weights.words))
        scorers: list[tuple[Scorer, float]] = [(one, weight) for one, weight in weighted if one is not None and weight]
        width = self.beam_width or USUAL_BEAM_WIDTH
        smallest = {"smallest_probability": 1e-6} if thorough else {}
        return beam_search(
            probabilities, frames, max(width, top) if thorough else width, scorers, weights.length, top=top, **smallest
        )


class TextLines:
    """The lines of a text file to learn from. Raises DataError: unreadable, too large, or empty."""

    def __init__(self, path: Path, charset: Charset) -> None:
        try:
            if path.is_file() and path.stat().st_size > MOST_TEXT_BYTES:
                raise DataError(
                    f"{path} is larger than the {MOST_TEXT_BYTES:,} bytes that are read. Give a part of it."
                )
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise DataError(f"cannot learn from the text '{path}': {reason(error, path)}.") from None
        lines = [tidy_text(line, charset.normalization) for line in content.splitlines()]
        ids, offsets = charset.encode_all([visual_order(line) for line in lines])
        labels = [ids[start:end] for start, end in itertools.pairwise(offsets)]
        kept = [(line, label[label > 0]) for line, label in zip(lines, labels, strict=True) if (label > 0).any()]
        if not kept:
            raise DataError(f"'{path}' has no line with characters of the alphabet. Give another text.")
        self.texts, self._labels = [line for line, _ in kept], [label for _, label in kept]

    def __len__(self) -> int:
        return len(self.texts)

    def label(self, position: int) -> NDArray[np.int32]:
        return self._labels[position]
