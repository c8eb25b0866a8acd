"""Changes the decoding of a trained line reader."""

from collections.abc import Mapping
from typing import Any, cast

from text_recognizer.errors import SpecError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle, build_model
from text_recognizer.models.line_ctc import LineModelCtc


def decode_otherwise(model: Model, bundle: Bundle, model_args: Mapping[str, Any]) -> tuple[LineModelCtc, bool]:
    """A loaded model with another decoder; and whether the decoder must first be fitted and tuned.

    Args:
        model_args: the changes: "decoding", "beam_width", "language_model", "lexicon".
    Raises:
        SpecError: the model has no decoder, or the arguments contradict each other.
    """
    if not model.has_decoder:
        raise SpecError(
            f"the model '{bundle.spec.model}' cannot be decoded in another way: only LineModelCtc "
            "and similar models can."
        )
    changes = {f"model_args.{name}": value for name, value in model_args.items()}
    asked = {**bundle.spec.model_args, **model_args}
    if asked.get("language_model") is None and not asked.get("lexicon"):
        changes["model_args.language_model_texts"] = None  # they would not be used
    reader, fresh = (
        cast(LineModelCtc, one) for one in (model, build_model(bundle.spec.override(changes), bundle.data_spec))
    )
    old, new = reader.decoder, fresh.decoder
    reader.decoder = new
    learnt = old.is_ready and (old.order, old.uses_lexicon) == (new.order, new.uses_lexicon)
    if learnt and old.beam_width is not None:
        fresh.read_files(bundle.folder)
    new.is_ready = learnt or not new.needs_tuning
    return reader, not new.is_ready
