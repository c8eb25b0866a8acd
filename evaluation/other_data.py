"""Datasets that a bundle was not trained on, in the form that the bundle expects."""

import copy
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.arguments import arguments_of, to_json
from text_recognizer.charset import describe
from text_recognizer.datasets.base import Dataset, Split, SplitName
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import Bundle
from text_recognizer.parts import make_part
from text_recognizer.reading_order import visual_order
from text_recognizer.registry import resolve
from text_recognizer.wording import shell_word

MOST_UNKNOWN_SHARE = 0.5  # of characters that are not in the bundle's alphabet
INITIAL = "--train_args.initial_weights"
_FORM = ("target", "input_shape", "ink", "preprocessing")


def fitting_dataset(bundle: Bundle, name: str, dataset_args: Mapping[str, Any]) -> Dataset:
    """A dataset with images in the form that the bundle expects.

    Raises:
        SpecError: the dataset is unknown, or has images of another form.
        DataError: the dataset has classes that the bundle lacks.
    """
    spec, problems = bundle.data_spec, list[str]()
    known = arguments_of(resolve("dataset", name))
    height, width, _ = spec.input_shape
    usual = {"height": height, "width": width, "ink": spec.ink, "preprocessing": spec.preprocessing}
    usual |= {"normalization": spec.normalization, "charset": list(spec.classes[1:]), "unknown_characters": "drop"}
    usual |= {"max_width": bundle.spec.dataset_args.get("max_width")} if "max_width" in bundle.spec.dataset_args else {}
    filled = {key: to_json(value) for key, value in usual.items() if key in known} if spec.target == "line" else {}
    dataset, _ = make_part("dataset", name, {**filled, **dataset_args}, problems)
    if dataset is None:
        raise SpecError(problems)
    for key in _FORM:
        theirs, ours = (json.dumps(to_json(getattr(one, key))) for one in (dataset.data_spec, spec))
        if theirs != ours:
            raise SpecError(
                f"the bundle {bundle.folder} does not fit dataset '{name}': it needs {key} {ours}, the dataset has "
                f"{theirs}. Set --dataset_args so that they agree, or choose another dataset."
            )
    _class_ids(bundle, dataset)  # before anything is fetched or converted
    return dataset  # type: ignore[no-any-return]


def fitting_split(bundle: Bundle, dataset: Dataset, name: SplitName) -> tuple[Split, str | None]:
    """A split with the bundle's class ids, and a note on unknown characters. Raises DataError: it is empty or unfit."""
    split = dataset.split(name)
    if not len(split):
        sizes = dataset.sizes()
        if any(sizes.values()):
            found = ", ".join(f"{one} {size:,}" for one, size in sizes.items())
            raise DataError(
                f"the {name} split of {dataset.name} is empty ({found}). Put samples into it, or choose another "
                f"--split. Another decoding is tuned on the validation split."
            )
        raise DataError(
            f"the {name} split of {dataset.name} has no sample in the alphabet of the bundle {bundle.folder}. "
            f"{_remedy(bundle)}"
        )
    ids = _class_ids(bundle, dataset)
    if ids is not None:
        return relabelled(split, ids), None
    return split, _unwritable(bundle, split, dataset.name) if bundle.data_spec.target == "line" else None


def _class_ids(bundle: Bundle, dataset: Dataset) -> NDArray[np.int32] | None:
    """(classes,) the bundle's id of each class; None if all are the same. Raises DataError: the bundle lacks one."""
    ours, theirs = bundle.data_spec.classes, dataset.data_spec.classes
    if ours == theirs:
        return None
    missing = [text for text in theirs if text not in ours]
    if missing or bundle.data_spec.target != "character":
        shown = ", ".join(map(repr, missing[:5])) + (", …" if len(missing) > 5 else "")
        lacks = f": it lacks {shown}" if missing else ""
        raise DataError(
            f"the classes of {dataset.name} are not those of the bundle {bundle.folder}{lacks}. {_remedy(bundle)}"
        )
    return np.array([ours.index(text) for text in theirs], np.int32)


def relabelled(split: Split, ids: NDArray[np.int32]) -> Split:
    """A split with new class ids: `ids` (classes,) maps old to new ones."""
    other = copy.copy(split)

    def batch(positions: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        found = split.batch(positions)
        return {**found, "label": ids[found["label"]]}

    other.batch = batch  # type: ignore[method-assign]
    return other


def _unwritable(bundle: Bundle, split: Split, name: str) -> str | None:
    """A note on characters that are not in the bundle's alphabet, which count as errors; None if there are none."""
    charset = bundle.data_spec.charset
    found = Counter(character for text in split.texts for character in charset.split(visual_order(text)))
    known = set(charset.characters)
    missing = {character: times for character, times in found.items() if character not in known}
    if not missing:
        return None
    share = sum(missing.values()) / found.total()
    shown = ", ".join(map(describe, sorted(missing, key=lambda one: -missing[one])[:5]))
    shown += ", …" if len(missing) > 5 else ""
    words = f"{100 * share:.3g} % of the characters of {name} are not in the bundle's alphabet: {shown}"
    if share > MOST_UNKNOWN_SHARE:
        raise DataError(f"{words}. {_remedy(bundle)}")
    return f"{words}; they count as errors"


def _remedy(bundle: Bundle) -> str:
    weights = f"{INITIAL}={shell_word(bundle.folder)}"
    return f"Choose a bundle that knows them, or train one on this dataset, from its weights: {weights}"
