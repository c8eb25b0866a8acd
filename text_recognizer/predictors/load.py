"""Loads the right predictor for a bundle."""

from pathlib import Path
from typing import Literal, get_args

from text_recognizer.errors import DataError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.predictors.base import Predictor
from text_recognizer.predictors.character import CharacterPredictor
from text_recognizer.predictors.line import LinePredictor

PREDICTORS: dict[str, type[Predictor]] = {"character": CharacterPredictor, "line": LinePredictor}

Layout = Literal["character", "line", "page"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
CHARACTER_PX = 256  # maximum height of an image that is read as one character


def layout_of(height: int, width: int) -> Layout:
    """What an image of this size in pixels probably shows: text lines are at least twice as wide as high."""
    if width >= 2 * height:
        return "line"
    return "page" if height > CHARACTER_PX else "character"


def load(bundle: Bundle | str | Path, threads: int = 0) -> Predictor:
    """The predictor of a bundle; `threads` as in Predictor. Raises DataError: none, damaged, or it reads no text."""
    found = find_bundle(bundle)
    target = found.data_spec.target
    if target not in PREDICTORS:
        raise DataError(
            f"the bundle {found.folder} works on images of {target} and reads no text. "
            f"Expected one that reads: {', '.join(PREDICTORS)}."
        )
    return PREDICTORS[target](found, threads=threads)
