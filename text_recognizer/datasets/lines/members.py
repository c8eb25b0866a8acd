"""Assigns lines to splits as given by the files, or by writer or page; chooses subsamples."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import LATER, SPLIT_NAMES, SplitName
from text_recognizer.datasets.lines.pool import LinePool
from text_recognizer.datasets.storage.rejected import Rejected, summary
from text_recognizer.errors import DataError
from text_recognizer.wording import counted

Members = dict[SplitName, NDArray[np.int64]]
UNUSED = -2  # the split of a line that a split scheme leaves out


def completed_splits(
    given: NDArray[np.int8],
    groups: Sequence[str],
    fractions: Mapping[SplitName, float],
    random: np.random.Generator,
    label: str,
    rejected: Sequence[Rejected] = (),
    noun: str = "line",
    grouped_by: str | None = None,
) -> NDArray[np.int8]:
    """Completes the splits that the files do not give. Raises DataError: too few groups to split.

    Lines without a split go to training; a split that is then empty gets its share of the training lines, whole groups
    at a time. A line without a group counts as a group. If the files give only validation and test, lines stay there:
    they can be used for evaluation.

    Args:
        given: (N,) positions in SPLIT_NAMES, -1 for none, UNUSED.
        fractions: shares of all training lines for "validation" and "test".
        rejected: lines that were left out, for messages.
        noun: what a line is called in messages.
        grouped_by: the dataset's argument that chooses the groups, if any, for messages.
    Returns:
        (N,) positions in SPLIT_NAMES, UNUSED if given.
    """
    splits = np.where(given == -1, 0, given).astype(np.int8)
    total = int((splits == 0).sum())
    used = np.flatnonzero(splits != UNUSED)
    names = [groups[row] or f"\0{index}" for index, row in enumerate(used.tolist())]
    group_of = np.full(len(splits), UNUSED)
    group_of[used] = np.unique(names, return_inverse=True)[1]
    for name in ("test", "validation"):
        target = SPLIT_NAMES.index(name)
        if not total or (splits == target).any():
            continue
        moved = _whole_groups(group_of, splits == 0, fractions[name] * total, random)
        if moved is None:
            rest = np.flatnonzero(splits == 0)
            of_whom = f", all of '{groups[int(rest[0])]}'" if len(rest) and groups[int(rest[0])] else ""
            why = f" {summary(rejected)}" if rejected else ""
            remedy = f"Group them otherwise (dataset_args.{grouped_by}), or add" if grouped_by else "Add"
            raise DataError(
                f"{label}: a {name} split needs whole writers or pages, but only {counted(len(rest), noun)} would be "
                f"left{of_whom}. {remedy} {noun}s of others.{why}"
            )
        splits[moved] = target
    return splits


def without_leaks(pool: LinePool, members: Members) -> tuple[Members, list[Rejected]]:
    """Removes lines from training and validation whose identical image is also in a later split."""
    rejected: list[Rejected] = []
    kept = dict(members)
    for name, others in LATER.items():
        for other in others:
            mine, theirs = kept[name], kept[other]
            same = np.isin(pool.hashes[mine], pool.hashes[theirs])
            if not same.any():
                continue
            twins = dict(zip(pool.hashes[theirs[::-1]].tolist(), theirs[::-1].tolist(), strict=True))
            rejected += [
                Rejected(pool.names[row], f"the same image is in the {other} split: '{pool.names[twins[digest]]}'")
                for row, digest in zip(mine[same].tolist(), pool.hashes[mine[same]].tolist(), strict=True)
            ]
            kept[name] = mine[~same]
    return kept, rejected


def subsampled(members: Members, fraction: float | None, random: np.random.Generator) -> Members:
    """A random share of every split, at least one line of each, in their order."""
    if fraction is None or fraction >= 1:
        return members
    return {
        name: np.sort(random.choice(rows, max(1, round(fraction * len(rows))), replace=False)) if len(rows) else rows
        for name, rows in members.items()
    }


def _whole_groups(
    group_of: NDArray[np.int64], candidates: NDArray[np.bool_], wanted: float, random: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Lines of randomly chosen groups, about as many as requested, never all; None with fewer than two groups.

    Groups are stratified by size, so that a split has its share of both groups and lines.
    """
    counts = np.bincount(group_of[candidates])
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return None
    number = min(max(1, round(len(present) * wanted / candidates.sum())), len(present) - 1)
    if number == 1:
        chosen = [int(present[np.argmin(np.abs(counts[present] - wanted))])]
    else:
        by_size = random.permutation(present)
        by_size = by_size[np.argsort(counts[by_size], kind="stable")]
        chosen = [int(random.choice(layer)) for layer in np.array_split(by_size, number)]
    return candidates & np.isin(group_of, chosen)
