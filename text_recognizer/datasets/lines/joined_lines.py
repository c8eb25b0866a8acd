"""Lines of several datasets as one, to train a reader for many writers."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from text_recognizer.charset import Charset
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset, DataSpec, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED
from text_recognizer.datasets.lines.split import LineSplit, Positions
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import Problem, SpecError
from text_recognizer.parts import make_part
from text_recognizer.wording import received

# Properties that images of one batch, and texts of one charset, must share.
_COMMON = ("input_shape", "target", "ink", "normalization")


@dataclass(frozen=True)
class JoinedPart:
    """A dataset of lines that is joined with others.

    Args:
        dataset, dataset_args: as in a spec; the name of a registered dataset.
        train_only: all its lines are trained with, those of its validation and test split too.
        train_lines: at most this many of them are used for training, chosen at random: 16 are among 64. null is all.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, not a field

    dataset: str
    dataset_args: dict[str, Any] = field(default_factory=dict)
    train_only: bool = False
    train_lines: Annotated[int, Ge(1)] | None = None


@dataclass(eq=False, repr=False)
class JoinedLinesDataset(Dataset):
    """Lines of several datasets, each with its own splits, under one charset that has the characters of all.

    An image in the test split of one dataset is in no other split of the joined dataset. Foreign images are prepared as
    those of the first dataset are.

    Args:
        parts: the datasets: {"dataset": …, "dataset_args": {…}, "train_only": false, "train_lines": null} each.
            All must have the same height, width, ink and normalization.
    Raises:
        SpecError: a part is unknown, or no dataset of lines, or its images have another form.
    """

    parts: tuple[JoinedPart, ...]

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.parts:
            problems.append(Problem("parts must name at least one dataset of lines.", "parts"))
        self.joined: list[Dataset] = [_made(index, part, problems) for index, part in enumerate(self.parts)]
        if problems:
            raise SpecError(problems)

    @cached_property
    def data_spec(self) -> DataSpec:
        first, *others = specs = [dataset.data_spec for dataset in self.joined]
        problems = [
            Problem(f"{label}: {key} is {getattr(spec, key)}, that of the first part {getattr(first, key)}.", label)
            for label, spec in zip(map("parts.{}".format, range(1, len(specs))), others, strict=True)
            for key in _COMMON
            if getattr(spec, key) != getattr(first, key)
        ]
        if first.target != "line":
            problems.insert(0, Problem(f"parts.0: the images show a {first.target}, expected lines.", "parts.0"))
        if problems:
            raise SpecError(problems)
        characters = sorted({one for spec in specs for one in spec.charset.characters})
        longest = [spec.max_length for spec in specs if spec.max_length is not None]
        classes = Charset(characters, first.normalization).classes
        return replace(first, classes=classes, max_length=max(longest, default=None))

    def prepare(self) -> None:
        _ = self.data_spec  # raises if the parts do not fit together, before anything is converted
        for dataset in self.joined:
            dataset.prepare()

    def outlook(self) -> str | None:
        found = [(dataset.name, dataset.outlook()) for dataset in self.joined if not dataset.is_prepared()]
        return "; ".join(f"{name}: {outlook or 'not prepared yet'}" for name, outlook in found)

    def is_prepared(self) -> bool:
        return all(dataset.is_prepared() for dataset in self.joined)

    def split(self, name: SplitName) -> "JoinedLineSplit":
        later = SPLIT_NAMES[SPLIT_NAMES.index(name) + 1 :]
        held_out = [one.digests for other in later for _, one in self._splits(other)]
        most = [part.train_lines if name == "train" else None for part in self.parts]
        digests = np.concatenate([*held_out, np.zeros(0, np.uint64)])
        return JoinedLineSplit(self._splits(name), self.data_spec, digests, most)

    def _splits(self, name: SplitName) -> list[tuple[int, LineSplit]]:
        """The contributions of the parts to a split, each with the number of its part."""
        return [(number, cast(LineSplit, self.joined[number].split(one))) for number, one in self._given(name)]

    def _given(self, name: SplitName) -> Iterator[tuple[int, SplitName]]:
        """The splits of the parts, by number, that make up a split."""
        for number, part in enumerate(self.parts):
            yield from ((number, one) for one in SPLIT_NAMES if (one if not part.train_only else "train") == name)

    @property
    def rejected(self) -> list[Rejected]:
        given = enumerate(self.joined)
        return [replace(one, name=f"{number}/{one.name}") for number, dataset in given for one in dataset.rejected]

    def remarks(self, name: SplitName) -> list[str]:
        given = [(self.joined[number], one) for number, one in self._given(name)]
        return [f"{dataset.name}: {remark}" for dataset, one in given for remark in dataset.remarks(one)]

    @cached_property
    def fingerprint(self) -> str:
        made_of = [
            (dataset.fingerprint, part.train_only) for part, dataset in zip(self.parts, self.joined, strict=True)
        ]
        return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]

    @property
    def store_path(self) -> str:
        return ", ".join(self.store_paths)

    @property
    def store_paths(self) -> tuple[str, ...]:
        return tuple(path for dataset in self.joined for path in dataset.store_paths)


class JoinedLineSplit(LineSplit):
    """Concatenated splits of several datasets, with their class ids mapped to those of the joined dataset.

    Args:
        numbered: the splits with the numbers of their datasets, which prefix the names of lines and groups.
        data_spec: of the joined dataset.
        held_out: hashes of images to leave out.
        most: maximum number of lines from each dataset; None for all.
    """

    def __init__(
        self,
        numbered: Sequence[tuple[int, LineSplit]],
        data_spec: DataSpec,
        held_out: NDArray[np.uint64],
        most: Sequence[int | None],
    ) -> None:
        self._numbers = [number for number, _ in numbered]
        self._splits = [split for _, split in numbered]
        places = {text: place for place, text in enumerate(data_spec.classes)}
        self._ids = [np.array([places[text] for text in split.data_spec.classes], np.int32) for split in self._splits]
        self.data_spec = data_spec
        bounds = {split.max_width for split in self._splits} - {None}
        self.max_width = bounds.pop() if len(bounds) == 1 else None
        allowed = [np.flatnonzero(~np.isin(split.digests, held_out)) for split in self._splits]
        self._of = np.repeat(np.arange(len(allowed)), list(map(len, allowed)))  # which of the splits has a line
        self._row = np.concatenate(allowed)  # and where
        numbers = np.array(self._numbers)[self._of]
        drawn = np.random.default_rng(SPLIT_SEED).permutation(len(numbers))
        chosen = [drawn[numbers[drawn] == number][:count] for number, count in enumerate(most)]
        kept = np.sort(np.concatenate(chosen))
        self._of, self._row = self._of[kept], self._row[kept]

    def __len__(self) -> int:
        return len(self._row)

    def batch(self, positions: Positions) -> dict[str, NDArray[Any]]:
        of, rows = self._of[positions], self._row[positions]
        found = []
        for one in np.unique(of):
            batch = self._splits[one].batch(rows[of == one])
            found.append((np.flatnonzero(of == one), {**batch, "label": self._ids[one][batch["label"]]}))
        fills = {"image": self.data_spec.background}
        return {
            name: _together([(places, batch[name]) for places, batch in found], len(positions), fills.get(name, 0))
            for name in ("image", "width", "label", "label_length")
        }

    def image(self, position: int) -> NDArray[np.uint8]:
        of, row = self._place(position)
        return self._splits[of].image(row)

    def text(self, position: int) -> str:
        of, row = self._place(position)
        return self._splits[of].text(row)

    def label(self, position: int) -> NDArray[np.int32]:
        of, row = self._place(position)
        return self._ids[of][self._splits[of].label(row)]

    @property
    def texts(self) -> list[str]:
        return self._all([split.texts for split in self._splits])

    @property
    def ids(self) -> list[str]:
        pairs = zip(self._numbers, self._splits, strict=True)
        return self._all([[f"{number}/{one}" for one in split.ids] for number, split in pairs])

    @property
    def groups(self) -> list[str] | None:
        named = [
            [f"{number}/{group}" if group else "" for group in split.groups or [""] * len(split)]
            for number, split in zip(self._numbers, self._splits, strict=True)
        ]
        groups = self._all(named)
        return groups if any(groups) else None

    @cached_property
    def widths(self) -> NDArray[np.int32]:
        return np.array(self._all([split.widths for split in self._splits]), np.int32)

    @property
    def digests(self) -> NDArray[np.uint64]:
        return np.array(self._all([split.digests for split in self._splits]), np.uint64)

    def _place(self, position: int) -> tuple[int, int]:
        return int(self._of[position]), int(self._row[position])

    def _all(self, values: Sequence[Any]) -> list[Any]:
        return [values[of][row] for of, row in zip(self._of.tolist(), self._row.tolist(), strict=True)]


def _together(placed: list[tuple[Positions, NDArray[Any]]], count: int, fill: int) -> NDArray[Any]:
    """(count, …) arrays at their rows, padded to the largest."""
    largest = np.max([values.shape[1:] for _, values in placed], axis=0).astype(int)
    whole = np.full((count, *largest), fill, placed[0][1].dtype)
    for places, values in placed:
        index: Any = (places, *map(slice, values.shape[1:]))
        whole[index] = values
    return whole


def _made(index: int, part: JoinedPart, problems: list[str]) -> Any:
    label = f"parts.{index}"
    if ":" in part.dataset:  # otherwise a spec from elsewhere could import any code
        text = f"{label}: dataset must be the name of a registered dataset. {received(part.dataset)}"
        problems.append(Problem(text, f"{label}.dataset"))
        return None
    found: list[str] = []
    dataset, _ = make_part("dataset", part.dataset, part.dataset_args, found)
    problems += [Problem(f"{label}: {one}", f"{label}.{getattr(one, 'key', None) or 'dataset'}") for one in found]
    return dataset
