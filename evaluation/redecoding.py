"""Decoding a trained reader of lines in another way than it was trained with."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.datasets.base import Split
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle, build_model
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.reading_order import visual_order

MOST_TEXT_BYTES = 1 << 28


class TextLines:
    """The lines of a text file, as a decoder learns from them; characters outside the charset are left out.

    Raises:
        DataError: it cannot be read, is too large, or holds nothing to learn from.
    """

    def __init__(self, path: Path, charset: Charset) -> None:
        try:
            if path.is_file() and path.stat().st_size > MOST_TEXT_BYTES:
                raise DataError(
                    f"{path} is larger than the {MOST_TEXT_BYTES:,} bytes that are read. Give a part of it."
                )
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise DataError(f"cannot learn from the text '{path}': {reason}.") from None
        lines = [tidy_text(line, charset.normalization) for line in content.splitlines()]
        ids, offsets = charset.encode_all([visual_order(line) for line in lines])
        labels = [ids[start:end] for start, end in itertools.pairwise(offsets)]
        kept = [(line, label[label > 0]) for line, label in zip(lines, labels, strict=True) if (label > 0).any()]
        if not kept:
            raise DataError(f"'{path}' has no line with characters of the bundle's alphabet. Give another text.")
        self.texts, self._labels = [line for line, _ in kept], [label for _, label in kept]

    def __len__(self) -> int:
        return len(self.texts)

    def label(self, position: int) -> NDArray[np.int32]:
        return self._labels[position]


def decode_otherwise(model: Model, bundle: Bundle, model_args: Mapping[str, Any]) -> bool:
    """Gives a loaded model another decoder; whether that must learn and be tuned before it reads as was asked.

    Args:
        model_args: those that change: "decoding", "beam_width", "language_model", "lexicon".
    Raises:
        SpecError: the model has no decoder, or they contradict each other.
    """
    if not isinstance(model, LineModelCtc):
        raise SpecError(
            f"the model '{bundle.spec.model}' cannot be decoded otherwise: only LineModelCtc and its like can."
        )
    changes = {f"model_args.{name}": value for name, value in model_args.items()}
    fresh = build_model(bundle.spec.override(changes), bundle.data_spec)
    assert isinstance(fresh, LineModelCtc)
    old, new = model.decoder, fresh.decoder
    model.decoder = new
    learnt = old.is_ready and (old.order, old.uses_lexicon) == (new.order, new.uses_lexicon)
    if learnt and old.beam_width is not None:
        fresh.read_files(bundle.folder)
    new.is_ready = learnt or not new.needs_tuning
    return not new.is_ready


def needs_texts(model: Model) -> bool:
    """Whether the decoder of a model has anything to learn."""
    return isinstance(model, LineModelCtc) and model.decoder.needs_tuning


def learn(model: Model, lines: Split | TextLines | None, validation: Split) -> None:
    """What a decoder reads with, learnt from lines; its weights and confidences, from readings of other ones.

    Args:
        lines: None where nothing is to be learnt but how sure it may be.
    """
    if lines is not None:
        model.finish(cast(Split, lines), validation)  # of the lines, only texts and labels are asked for
    if len(validation):
        model.calibrate(validation)
