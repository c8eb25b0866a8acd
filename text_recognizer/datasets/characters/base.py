"""Base of the datasets of single characters: stored arrays, stratified splits, batches."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Le, Lt
from numpy.typing import NDArray

from text_recognizer.datasets.base import Split, SplitName
from text_recognizer.datasets.storage.store import StoreWriter
from text_recognizer.datasets.stored import StoredDataset
from text_recognizer.errors import DataError

# The assignment of images to splits depends only on the dataset, never on the seed of a run.
SPLIT_SEED = 20_181_101

Fraction = Annotated[float, Gt(0), Lt(1)]
SubsampleFraction = Annotated[float, Gt(0), Le(1)]
Positions = NDArray[np.integer[Any]]


@dataclass(eq=False, repr=False)
class CharacterSplit(Split):
    """Images of one size with one label each.

    Args:
        stored_images: (N, H, W) uint8.
        stored_labels: (N,) their class ids.
        members: (n,) positions of those in this split, in order.
    """

    stored_images: NDArray[Any]
    stored_labels: NDArray[Any]
    members: Positions
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.members)

    def batch(self, positions: Positions) -> dict[str, NDArray[Any]]:
        """The columns "image" (B, H, W, 1) uint8 and "label" (B,) int32."""
        rows = self.members[positions]
        return {"image": self.stored_images[rows][..., None], "label": self.stored_labels[rows].astype(np.int32)}

    @property
    def labels(self) -> NDArray[np.int32]:
        """(n,) class ids."""
        return self.stored_labels[self.members].astype(np.int32)

    def text(self, position: int) -> str:
        return self.classes[int(self.stored_labels[self.members[position]])]


@dataclass(eq=False, repr=False)
class StoredCharacters(StoredDataset):
    """Base of the datasets of single characters: assigns stored images to splits.

    Args:
        subsample_fraction: keep this share of every class in every split, chosen at random (at least one of each).
        validation_fraction: share of the training images held out for validation.
        balance: for training and validation, use at most as many images of a class as the mean class has.
    """

    subsample_fraction: SubsampleFraction | None = None
    validation_fraction: Fraction = 0.1
    balance: bool = False

    @abstractmethod
    def assign(self) -> dict[SplitName, Positions]:
        """Assigns stored images to splits: positions in the part that they are stored in."""

    def prepare(self) -> None:
        super().prepare()
        _ = self.members

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self._members_key, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def members(self) -> Mapping[str, Positions]:
        """The positions of every split's samples in the part that they are stored in."""
        key = {**self._members_key, "table": self.depends_on().get("table")}
        return self.derived_arrays(key, lambda: {name: rows.astype(np.int32) for name, rows in self.assign().items()})

    @property
    def _key(self) -> dict[str, Any]:  # not cached: hashes may be recorded when files are fetched
        return self._made_of()

    @property
    def _members_key(self) -> dict[str, Any]:
        return {
            "content": self.store.content_hash,
            "seed": SPLIT_SEED,
            "validation_fraction": self.validation_fraction,
            "subsample_fraction": self.subsample_fraction,
            "balance": self.balance,
        }


@dataclass(eq=False, repr=False)
class CharacterDataset(StoredCharacters):
    """A dataset of single characters in images of one size; subclasses define where they come from."""

    @abstractmethod
    def read(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[Any]]]:
        """Images and labels: {"train": …, "test": …}, or {"all": …} to split. Raises DataError: a file is damaged.

        Images are (N, H, W) uint8, upright; labels (N,) are class ids.
        """

    def split(self, name: SplitName) -> CharacterSplit:
        images, labels = self._arrays("all" if self._is_one_part else "test" if name == "test" else "train")
        return CharacterSplit(images, labels, self.members[name], self.data_spec.classes)

    def assign(self) -> dict[SplitName, Positions]:
        random = np.random.default_rng(SPLIT_SEED)
        labels = self._arrays("all" if self._is_one_part else "train")[1]
        test_labels = labels if self._is_one_part else self._arrays("test")[1]
        rest: Positions = np.arange(len(labels))
        test: Positions = np.arange(len(test_labels))
        if self._is_one_part:
            rest, test = stratified_halves(labels, rest, 0.2, random)
        if self.balance:
            rest = balanced_members(labels, rest, random)
        train, validation = stratified_halves(labels, rest, self.validation_fraction, random)
        if self.subsample_fraction is not None and self.subsample_fraction < 1:
            train = stratified_sample(labels, train, self.subsample_fraction, random)
            validation = stratified_sample(labels, validation, self.subsample_fraction, random)
            test = stratified_sample(test_labels, test, self.subsample_fraction, random)
        return {"train": train, "validation": validation, "test": test}

    @property
    def _is_one_part(self) -> bool:
        """Whether the images come without a test split."""
        return "all.labels" in self.store.meta["arrays"]

    def _arrays(self, part: str) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.store.array(f"{part}.images"), self.store.array(f"{part}.labels")

    def _fill(self, writer: StoreWriter) -> None:
        parts = self.read()
        if not isinstance(parts, Mapping) or {*parts} not in ({"all"}, {"train", "test"}):
            what = ", ".join(map(str, parts)) if isinstance(parts, Mapping) else type(parts).__name__
            raise DataError(f"{self.name}: read() must return a dict of train and test, or of all. Received: {what}.")
        for part, given in parts.items():
            images, labels = given if isinstance(given, tuple | list) and len(given) == 2 else (given, None)
            self._check(part, images, labels)
            writer.add(f"{part}.images", images)
            writer.add(f"{part}.labels", labels.astype(np.int32))

    def _check(self, part: str, images: NDArray[Any], labels: NDArray[Any]) -> None:
        if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iub":
            kinds = " and ".join(str(getattr(one, "dtype", type(one).__name__)) for one in (images, labels))
            raise DataError(
                f"{self.name}, {part}: expected arrays of numpy, images and labels of whole numbers. Received: {kinds}."
            )
        shape, last = (len(labels), *self.data_spec.input_shape[:2]), len(self.data_spec.classes) - 1
        low, high = (labels.min(), labels.max()) if len(labels) else (0, 0)
        if images.shape != shape or images.dtype != np.uint8 or not 0 <= low <= high <= last:
            raise DataError(
                f"{self.name}, {part}: expected an image uint8 {shape[1:]} for each of {len(labels)} labels from "
                f"0 to {last}. Received: images {images.dtype} {images.shape}, labels from {low} to {high}."
            )


def stratified_halves(
    labels: NDArray[Any], members: Positions, fraction: float, random: np.random.Generator
) -> tuple[Positions, Positions]:
    """Splits a set of samples in two, stratified by class and at random.

    Args:
        labels: (N,) class ids of all samples.
        members: positions of the samples to split.
        fraction: share of each class in the second part: rounded, at least one sample, but never the last one of the
            first part.
    Returns:
        positions of the first and of the second part, each shuffled.
    """
    by_class, rank, counts = _ranked_by_class(labels, random.permutation(members))
    wanted = np.minimum(np.maximum(np.rint(fraction * counts), 1), counts - 1)
    chosen = rank < np.repeat(wanted, counts)
    return random.permutation(by_class[~chosen]), random.permutation(by_class[chosen])


def stratified_sample(
    labels: NDArray[Any], members: Positions, fraction: float, random: np.random.Generator
) -> Positions:
    """A share of every class, rounded, at least one sample, chosen at random and shuffled."""
    by_class, rank, counts = _ranked_by_class(labels, random.permutation(members))
    return random.permutation(by_class[rank < np.repeat(np.maximum(np.rint(fraction * counts), 1), counts)])


def balanced_members(labels: NDArray[Any], members: Positions, random: np.random.Generator) -> Positions:
    """At most as many samples of each class as the mean class has, chosen at random without replacement.

    Sampling with replacement and dropping duplicates, as is sometimes done, keeps only about half as many.

    Args:
        labels: (N,) class ids of all samples.
        members: positions of the samples to choose from.
    """
    by_class, rank, counts = _ranked_by_class(labels, random.permutation(members))
    return random.permutation(by_class[rank < len(members) // np.count_nonzero(counts)])


def _ranked_by_class(labels: NDArray[Any], members: Positions) -> tuple[Positions, Positions, NDArray[np.int64]]:
    """Members sorted stably by class, the rank of each within its class, and the class counts."""
    by_class = members[np.argsort(labels[members], kind="stable")]
    counts = np.bincount(labels[by_class])
    return by_class, np.arange(len(by_class)) - np.repeat(np.cumsum(counts) - counts, counts), counts
