"""Base of the models of text lines: batches of similar widths, readings as texts."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import describe
from text_recognizer.datasets.base import WIDTH_STEP_PX, DataSpec, Split
from text_recognizer.datasets.lines.remarks import usual_written_share
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.decoding.edits import RATES, line_errors
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.models.base import Model, ScoredBatch
from text_recognizer.models.calibration import Calibration, right_characters, right_words
from text_recognizer.models.metric import Counts, Metric
from text_recognizer.models.prediction import Prediction, ReadPart, in_reading_order, words_of
from text_recognizer.reading_order import logical_order, visual_order
from text_recognizer.wording import counted

LINES_LOOKED_AT = 64  # checked for inverted ink
CALIBRATION_LINES = 2000  # of the validation split


class ReadsLines(Model):
    """A model of text lines.

    Lines of different widths are read in batches of one padded width each, so that a reading does not depend on the
    other lines of its batch. The network reads from left to right, and `decode` returns characters in this order;
    readings have texts, words and characters in logical order.
    """

    target = "line"
    unit = "line"
    score_batch_size = 64

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(name, shown=name != "sentence_error_rate") for name in RATES)

    def counts(self, scored: ScoredBatch, readings: Sequence[Prediction] | None = None) -> dict[str, Counts]:
        widths = scored.batch["width"]
        found = self.texts(scored.outputs, widths) if readings is None else [reading.text for reading in readings]
        errors = line_errors([scored.split.text(position) for position in scored.positions.tolist()], found)
        return {name: (errors[:, place, 0], errors[:, place, 1]) for place, name in enumerate(RATES)}

    def details(self, scored: ScoredBatch, readings: Sequence[Prediction]) -> list[dict[str, Any]]:
        texts = [scored.split.text(position) for position in scored.positions.tolist()]
        errors = line_errors(texts, [reading.text for reading in readings])[:, :2, 0].astype(int)
        return [
            {
                "char_errors": characters,
                "word_errors": words,
                "characters": _checked(reading.characters, right_characters(text, reading)),
                "words": _checked(reading.words, right_words(text, reading)),
                "expected_cer": reading.expected_cer,
            }
            for text, reading, (characters, words) in zip(texts, readings, errors.tolist(), strict=True)
        ]

    def data_warnings(self, train: Split, validation: Split) -> list[str]:
        lines = lines_of(train)
        return [*_inverted(self.data_spec, lines), *_unwritable(self.data_spec, [*lines.texts, *validation.texts])]

    def calibrate(self, validation: Split) -> None:
        scored = list(self.score(validation, evenly_chosen(len(validation), CALIBRATION_LINES)))
        readings = [one for part in scored for one in self._in_reading_order(part.outputs, part.batch["width"])]
        texts = [validation.text(position) for part in scored for position in part.positions.tolist()]
        share = usual_written_share(lines_of(validation), np.arange(len(validation)))
        self.calibration = replace(Calibration.of_lines(texts, readings), written_share=share)

    def readings(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None = None) -> list[Prediction]:
        decoded = self._in_reading_order(outputs, widths)
        if self.calibration is None:
            return [replace(reading, words=words_of(reading.characters)) for reading in decoded]
        return [self.calibration.of_line(reading) for reading in decoded]

    def _in_reading_order(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]] | None) -> list[Prediction]:
        readings = self.decoded(outputs, widths)
        return [replace(reading, characters=in_reading_order(reading.characters)) for reading in readings]

    @abstractmethod
    def texts(self, outputs: NDArray[Any], widths: NDArray[np.integer[Any]]) -> list[str]:
        """The readings of outputs (B, …) only as texts, by the fastest method."""

    def predict(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> list[Prediction]:
        """Readings of images (H, W, 1) of the dataset's height and of any width."""
        widths = np.array([image.shape[1] for image in images], np.int32)
        order, readings = np.argsort(widths, kind="stable"), dict[int, Prediction]()
        for start in range(0, len(order), self.score_batch_size):
            positions = order[start : start + self.score_batch_size]  # of similar widths: decoded together
            outputs = self._outputs_of_lines([images[position] for position in positions])
            readings |= zip(positions.tolist(), self.readings(outputs, widths[positions]), strict=True)
        return [readings[position] for position in range(len(images))]

    def score_order(self, split: Split, positions: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.integer[Any]]]:
        for places in by_width(self.padded_widths(lines_of(split).widths[positions]), self.score_batch_size):
            yield positions[places]

    def arranged(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {**batch, "image": self._padded(batch["image"])}

    def column_shapes(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int | None, ...]]:
        ragged = {"image": self.data_spec.input_shape, "label": (None,)}
        return {name: ragged.get(name, column.shape[1:]) for name, column in batch.items()}

    def padded_widths(self, widths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The width (n,) that the network sees of each line."""
        if self.data_spec.input_shape[1] is not None:
            return np.full(len(widths), self.data_spec.input_shape[1], np.int64)
        stepped = -(-np.asarray(widths, np.int64) // WIDTH_STEP_PX) * WIDTH_STEP_PX
        return np.maximum(stepped, self.smallest_width)

    def _text(self, label: Iterable[int]) -> str:
        """The text in logical order, from class ids in visual order."""
        return logical_order("".join(self.data_spec.classes[one] for one in label))

    @property
    def smallest_width(self) -> int:
        """Narrower images are padded to it."""
        return WIDTH_STEP_PX

    def _outputs_of_lines(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        """(B, T, …) outputs of lines in the order of their widths, padded with zeros."""
        widths = self.padded_widths(np.array([image.shape[1] for image in images]))
        groups = by_width(widths, len(images))
        found = [one for group in groups for one in self.outputs(self._padded([images[place] for place in group]))]
        padded = np.zeros((len(found), max(map(len, found)), *found[0].shape[1:]), found[0].dtype)
        for row, one in zip(padded, found, strict=True):
            row[: len(one)] = one
        return padded

    def _padded(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(B, H, W, 1) images padded to one width."""
        widths = [image.shape[1] for image in images]
        width = int(self.padded_widths(np.array([max(widths)]))[0])
        if isinstance(images, np.ndarray) and images.shape[2] == width:
            return images
        padded = np.full((len(images), self.data_spec.input_shape[0], width, 1), self.data_spec.background, np.uint8)
        for row, image in zip(padded, images, strict=True):
            row[:, : image.shape[1]] = image
        return padded


def lines_of(split: Split) -> LineSplit:
    """Narrows the type of a split whose target is "line"."""
    return cast(LineSplit, split)


def by_width(widths: NDArray[np.integer[Any]], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Positions in batches of at most `batch_size`, each of one width."""
    order = np.argsort(widths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(widths[order])) + 1):
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _checked(parts: Sequence[ReadPart], right: NDArray[np.bool_]) -> list[list[float]]:
    """(n, 2) confidences, and 1 if right, else 0."""
    return [[round(part.confidence, 4), int(flag)] for part, flag in zip(parts, right.tolist(), strict=True)]


def _inverted(data_spec: DataSpec, train: LineSplit) -> Iterator[str]:
    """Warns if most of the area of most lines is as bright as ink should be."""
    looked_at = np.linspace(0, len(train) - 1, min(len(train), LINES_LOOKED_AT)).astype(int)
    light = np.mean([np.median(train.image(position)) > 127 for position in looked_at])
    ink = data_spec.ink
    if (light if ink == "light" else 1 - light) >= 0.5:
        said = f"ink is set to {ink}, but most of each line is {ink}: is it inverted?"
        yield f"{said} See dataset_args.source_ink"


def _unwritable(data_spec: DataSpec, texts: Sequence[str]) -> Iterator[str]:
    shown = [visual_order(text) for text in texts]  # as in labels: brackets are mirrored
    known = set("".join(data_spec.classes))
    if missing := sorted(set().union(*shown) - known):
        named = ", ".join(map(describe, missing[:5])) + (", …" if len(missing) > 5 else "")
        lines = sum(not known.issuperset(text) for text in shown)
        yield (
            f"{counted(len(missing), 'character')} of the texts are not in the charset and can never be read: {named} "
            f"(in {counted(lines, 'line')} of {len(texts):,})"
        )
