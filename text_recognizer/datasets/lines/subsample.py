"""A share of the lines, chosen before any picture is read, so that only these are prepared."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.members import UNUSED, Members
from text_recognizer.datasets.lines.pool import text_problem
from text_recognizer.datasets.storage.strings import storable


@dataclass(frozen=True)
class ListedLines:
    """What is known of lines before their pictures are read, in a LinePool's columns; which are usable (N,)."""

    names: Sequence[str]
    texts: Sequence[str]
    groups: Sequence[str]
    splits: NDArray[np.int8]
    is_usable: NDArray[np.bool_]

    @classmethod
    def of(cls, sources: Iterable[LineSource]) -> "ListedLines":
        samples = [sample for source in sources for sample in source.samples]
        names = [storable(sample.name) for sample in samples]
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        splits = ("", *SPLIT_NAMES)
        return cls(
            names,
            [storable(sample.text) for sample in samples],
            [storable(sample.group) for sample in samples],
            np.array([splits.index(sample.split) - 1 for sample in samples], np.int8),
            np.array([first[name] == row and not text_problem(samples[row]) for row, name in enumerate(names)], bool),
        )

    def __len__(self) -> int:
        return len(self.names)


def listed_texts(sources: Iterable[LineSource]) -> list[str]:
    """The texts of all lines whose pictures are looked for, whether or not they turn out to be damaged."""
    return [sample.text for source in sources for sample in source.samples if not sample.problem]


def chosen_sources(
    sources: Iterable[LineSource], members: Members, problems: dict[int, str], lines: ListedLines
) -> Iterator[LineSource]:
    """The sources of the members, each sample with its split, and of rejected ones, by the rows of `lines`."""
    splits = np.full(len(lines), UNUSED, np.int8)
    for place, name in enumerate(SPLIT_NAMES):
        splits[members[name]] = place
    row = 0
    for source in sources:
        samples = []
        for sample in source.samples:
            samples.append(_chosen(sample, int(splits[row]), problems.get(row, "") or text_problem(sample)))
            row += 1
        if any(sample.is_wanted for sample in samples):
            yield replace(source, samples=tuple(samples))


def _chosen(sample: LineSample, split: int, problem: str) -> LineSample:
    if problem:
        return replace(sample, problem=problem)
    return replace(sample, split=SPLIT_NAMES[split]) if split != UNUSED else replace(sample, is_wanted=False)
