"""Characters in images of any size: converted in parallel, split by writer if writers are known."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from text_recognizer.charset import Characters
from text_recognizer.datasets.base import LATER, SPLIT_NAMES, DataSpec, SplitName
from text_recognizer.datasets.characters.base import (
    SPLIT_SEED,
    CharacterSplit,
    Fraction,
    Positions,
    StoredCharacters,
    SubsampleFraction,
    balanced_members,
    stratified_halves,
    stratified_sample,
)
from text_recognizer.datasets.formats.charset_files import read_charset
from text_recognizer.datasets.storage.parallel import in_processes, progress
from text_recognizer.datasets.storage.rejected import Rejected, packed_rejected, summary_of_all
from text_recognizer.datasets.storage.store import StoreWriter
from text_recognizer.datasets.storage.strings import PackedStrings, packed, storable, unpacked
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import CharacterForm
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.line_steps import Grey
from text_recognizer.wording import counted

SidePx = Annotated[int, Ge(8), Le(512)]

_OPEN = -1  # the split of an image for which the files give none
_ARRAYS = {"all.images": "uint8", "all.labels": "int32", "hashes": "uint64", "splits": "int8", "groups": "int32"}
_NAMES = {"names": "uint8", "names.offsets": "int64"}
_BATCH_PICTURES, _BATCH_PIXELS = 64, 1 << 20
_FEW_PICTURES = 4096  # below, starting processes costs more than they save


class CharacterSample(NamedTuple):
    """One image of a character.

    Args:
        name: unique in the dataset; where to find it again.
        text: the character.
        picture: (H, W) uint8, dark on white.
        group: the writer or font; "" where unknown.
    """

    name: str
    text: str
    picture: Grey
    group: str = ""


class PictureSource(ABC):
    """Some of a dataset's images, few enough to fit in memory; it is sent to another process to be read.

    Attributes:
        split: the split given by the files; None leaves it to the dataset.
    """

    split: SplitName | None

    @abstractmethod
    def __len__(self) -> int:
        """The number of images, at least approximately."""

    @abstractmethod
    def samples(self) -> Iterator[CharacterSample | Rejected]:
        """Reads the images, always in the same order. Raises DataError: none of them can be read."""


class _Converted(NamedTuple):
    arrays: dict[str, NDArray[Any]]  # (n, …) "all.images", "all.labels", "hashes", "splits"
    groups: NDArray[np.int32]  # (n,) positions in group_names
    names: PackedStrings
    group_names: list[str]
    rejected: list[Rejected]


class PictureSplit(CharacterSplit):
    """Characters with names and, if known, writers."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], members: Positions, classes: tuple[str, ...]) -> None:
        super().__init__(arrays["all.images"], arrays["all.labels"], members, classes)
        self._arrays = arrays

    @cached_property
    def ids(self) -> list[str]:
        return unpacked("names", self._arrays).take(self.members)

    @cached_property
    def groups(self) -> list[str] | None:
        names = list(unpacked("group_names", self._arrays))
        return [names[group] for group in self._arrays["groups"][self.members].tolist()] if any(names) else None


@dataclass(kw_only=True, eq=False, repr=False)
class PictureDataset(StoredCharacters):
    """Characters in images of any size; subclasses define where they come from.

    Missing splits are taken from the training images: whole writers if writers are known, otherwise a share of every
    class. An image that is also in a later split is left out of the earlier one.

    Args:
        side: side of the images in pixels.
        stretch: scales height and width independently; otherwise characters keep their proportions.
        enlarge: enlarges characters smaller than `side`; false keeps their size, for scans of one resolution.
        test_fraction: share of the images (or of the writers) held out for the test split if the files have none.
        processes: number of processes that convert the images; null uses one per core.
    """

    noun = "image"
    recipe_version = 2  # images are cropped to their strokes

    side: SidePx = 64
    stretch: bool = False
    enlarge: bool = True
    test_fraction: Fraction = 0.2
    subsample_fraction: SubsampleFraction | None = None
    validation_fraction: Fraction = 0.1
    balance: bool = False
    processes: Annotated[int, Ge(1)] | None = None

    @abstractmethod
    def sources(self) -> Sequence[PictureSource]:
        """All images, always in the same order. Raises DataError: a file is unavailable or damaged."""

    @abstractmethod
    def find_classes(self) -> tuple[str, ...]:
        """The characters by class id; determined before any image is read, so independent of the order of work."""

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The characters by class id. Raises DataError: fewer than two, or their files cannot be read."""
        found = self.find_classes()
        if len(found) < 2:
            only = f"only the character '{found[0]}'" if found else "no characters"
            raise DataError(f"{self.label} has {only}; at least two are needed. Add images of another character.")
        return found

    @cached_property
    def data_spec(self) -> DataSpec:
        return DataSpec(
            input_shape=(self.side, self.side, 1),
            classes=self.classes,
            ink="dark",
            margin_px=self.form.margin_px,
            cut=True,
            preprocessing=("stretch",) * self.stretch + ("keep_small",) * (not self.enlarge),
        )

    @property
    def form(self) -> CharacterForm:
        """The form to which images are converted."""
        return CharacterForm(self.side, max(1, self.side // 32), self.stretch, self.enlarge)

    def split(self, name: SplitName) -> PictureSplit:
        return PictureSplit(self.store.arrays(), self.members[name], self.classes)

    def assign(self) -> dict[SplitName, Positions]:
        arrays, random = self.store.arrays(), np.random.default_rng(SPLIT_SEED)
        labels, given = arrays["all.labels"], arrays["splits"]
        members: dict[SplitName, Positions] = {
            name: np.flatnonzero(given == index) for index, name in enumerate(SPLIT_NAMES)
        }
        members["train"] = np.flatnonzero((given == _OPEN) | (given == SPLIT_NAMES.index("train")))
        shares: dict[SplitName, float] = {"test": self.test_fraction, "validation": self.validation_fraction}
        for name, fraction in shares.items():
            if not len(members[name]):
                members["train"], members[name] = self._parted(members["train"], fraction, random)
        hashes, found = arrays["hashes"], sum(map(len, members.values()))
        for name, others in LATER.items():
            theirs = np.concatenate([hashes[members[other]] for other in others])
            members[name] = members[name][~np.isin(hashes[members[name]], theirs)]
        if lost := found - sum(map(len, members.values())):
            sys.stderr.write(f"{self.name}: {counted(lost, 'image')} left out: also in a later split.\n")
        if self.balance:
            members["train"] = balanced_members(labels, members["train"], random)
        for name, rows in members.items():
            if not len(rows):
                raise DataError(f"{self.name}: nothing is left for the {name} split. Give more images.")
            if self.subsample_fraction is not None and self.subsample_fraction < 1:
                members[name] = stratified_sample(labels, rows, self.subsample_fraction, random)
        if len(missing := np.setdiff1d(np.arange(len(self.classes)), labels[members["train"]])):
            named = [f"'{self.classes[label]}'" for label in missing[:10].tolist()] + ["…"] * (len(missing) > 10)
            share = f"{len(missing):,} of {len(self.classes):,} classes"
            sys.stderr.write(f"{self.name}: no training image of {share}: {', '.join(named)}\n")
        return members

    @property
    def recipe(self) -> dict[str, Any]:
        return {"form": asdict(self.form), "classes": self.classes}

    @property
    def _members_key(self) -> dict[str, Any]:
        return {**super()._members_key, "test_fraction": self.test_fraction}

    def _parted(self, members: Positions, fraction: float, random: np.random.Generator) -> tuple[Positions, Positions]:
        """Training and held-out images: of different writers, if at least two writers are known."""
        arrays = self.store.arrays()
        groups = arrays["groups"][members]
        present = np.unique(groups)
        if len(present) < 2:
            return stratified_halves(arrays["all.labels"], members, fraction, random)
        number = min(max(1, round(fraction * len(present))), len(present) - 1)
        is_out = np.isin(groups, random.choice(present, number, replace=False))
        return members[~is_out], members[is_out]

    def _fill(self, writer: StoreWriter) -> None:
        sources = self.sources()
        total = sum(map(len, sources))
        convert = partial(_convert, form=self.form, ids={text: label for label, text in enumerate(self.classes)})
        group_ids: dict[str, int] = {}
        rejected: list[Rejected] = []
        count = name_bytes = 0
        with ExitStack() as stack, progress(self.name, total, "image") as done:
            kinds, sides = _ARRAYS | _NAMES, {"all.images": (self.side, self.side)}
            append = {name: stack.enter_context(writer.grow(name, kinds[name], sides.get(name, ()))) for name in kinds}
            append["names.offsets"](np.zeros(1, np.int64))
            for converted in in_processes(convert, sources, 1 if total < _FEW_PICTURES else self.processes):
                for name, array in converted.arrays.items():
                    append[name](array)
                groups = [group_ids.setdefault(group, len(group_ids)) for group in converted.group_names]
                append["groups"](np.array(groups, np.int32)[converted.groups])
                append["names"](converted.names.content)
                append["names.offsets"](name_bytes + converted.names.offsets[1:])
                name_bytes += len(converted.names.content)
                count += len(converted.names)
                rejected += converted.rejected
                done(len(converted.names) + len(converted.rejected))
        if not count:
            why = f"none of its images can be used. {summary_of_all(rejected, 'image')}" if rejected else "no images."
            raise DataError(f"{self.name}: {why}")
        for name, array in (packed("group_names", map(storable, group_ids)) | packed_rejected(rejected)).items():
            writer.add(name, array)


def given_classes(charset: Characters, label: str) -> tuple[str, ...]:
    """Sorted classes from a spec. Raises DataError: no such file; a duplicate or empty character."""
    return tuple(sorted(read_charset(charset, "none", label).characters))


def _convert(source: PictureSource, form: CharacterForm, ids: Mapping[str, int]) -> _Converted:
    """Runs in a worker process."""
    kept: list[CharacterSample] = []
    hashes: list[bytes] = []
    rejected: list[Rejected] = []
    for batch in _batches(source.samples()):
        known = [one for one in batch if not isinstance(one, Rejected) and one.text in ids]
        formed = iter(form.apply_all(one.picture for one in known))
        for one in batch:
            if isinstance(one, Rejected):
                rejected.append(one)
            elif one.text not in ids:
                rejected.append(Rejected(one.name, "its character is not in the charset", one.text))
            elif isinstance(image := next(formed), UnfitImageError):
                rejected.append(Rejected(one.name, str(image), one.text))
            else:
                kept.append(one._replace(picture=image))
                hashes.append(blake2b(image.data, digest_size=8).digest())
    split = _OPEN if source.split is None else SPLIT_NAMES.index(source.split)
    nothing = np.empty((0, form.side), np.uint8)
    arrays: dict[str, NDArray[Any]] = {
        "all.images": np.concatenate([nothing, *(one.picture for one in kept)]).reshape(-1, form.side, form.side),
        "all.labels": np.array([ids[one.text] for one in kept], np.int32),
        "hashes": np.frombuffer(b"".join(hashes), "<u8"),
        "splits": np.full(len(kept), split, np.int8),
    }
    group_ids = {group: number for number, group in enumerate(dict.fromkeys(one.group for one in kept))}
    groups = np.array([group_ids[one.group] for one in kept], np.int32)
    names = PackedStrings.pack(storable(one.name) for one in kept)
    return _Converted(arrays, groups, names, list(group_ids), rejected)


def _batches(samples: Iterator[CharacterSample | Rejected]) -> Iterator[list[CharacterSample | Rejected]]:
    """Batches of samples, small enough for their images to stay in the processor's cache."""
    batch: list[CharacterSample | Rejected] = []
    pixels = 0
    for sample in samples:
        batch.append(sample)
        pixels += 0 if isinstance(sample, Rejected) else sample.picture.size
        if pixels >= _BATCH_PIXELS or len(batch) == _BATCH_PICTURES:
            yield batch
            batch, pixels = [], 0
    yield batch
