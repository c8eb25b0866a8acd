"""A bundle of digits on digits whose classes are in another order, or are others."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from evaluation.other_data import fitting_dataset, fitting_split
from text_recognizer.datasets.base import Dataset, DataSpec
from text_recognizer.datasets.characters.base import CharacterSplit
from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import find_bundle

BUNDLE = find_bundle("CharacterModel_DigitsDataset_lenet")


@dataclass
class Few:
    """A dataset of one image of each class."""

    classes: str
    name: str = "Few"

    @property
    def data_spec(self) -> Any:
        return SimpleNamespace(classes=tuple(self.classes))

    def split(self, name: str) -> CharacterSplit:
        count = len(self.classes)
        return CharacterSplit(
            np.zeros((count, 8, 8), np.uint8), np.arange(count), np.arange(count), tuple(self.classes)
        )

    def sizes(self) -> dict[str, int]:
        return {"train": len(self.classes)}


def split_of(classes):
    return fitting_split(BUNDLE, cast(Dataset, Few(classes)), "test")


def test_classes_in_another_order_get_the_ids_of_the_bundle():
    split, note = split_of("927")
    assert note is None
    assert split.texts == ["9", "2", "7"]
    assert split.batch(np.array([0, 2]))["label"].tolist() == [9, 7]
    assert split.image(1).shape == (8, 8, 1)


def test_a_class_that_the_bundle_lacks_is_named_with_a_remedy():
    with pytest.raises(
        DataError, match=r"classes of Few are not those of the bundle .*lacks 'a', 'b'.*initial_weights="
    ):
        split_of("9a2b")
    with pytest.raises(DataError, match="the test split of Few has no sample"):
        split_of("")


class Letters(DigitsDataset):
    """Digits by other names."""

    @property
    def data_spec(self) -> DataSpec:
        return replace(super().data_spec, classes=("a", "b"))


def test_a_dataset_with_classes_that_the_bundle_lacks_is_refused_before_it_is_prepared():
    with pytest.raises(DataError, match=r"classes of Letters are not those of the bundle .*: it lacks 'a', 'b'"):
        fitting_dataset(BUNDLE, f"{__name__}:Letters", {})


def test_pictures_of_another_form_are_refused_before_anything_is_fetched():
    with pytest.raises(SpecError, match=r"it needs input_shape \[8, 8, 1\], the dataset has \[28, 28, 1\]"):
        fitting_dataset(BUNDLE, "MnistDataset", {})
    with pytest.raises(SpecError, match="Did you mean 'MnistDataset'"):
        fitting_dataset(BUNDLE, "MnistDatset", {})
    with pytest.raises(SpecError, match="no argument 'heigth'"):
        fitting_dataset(BUNDLE, "DigitsDataset", {"heigth": 3})
