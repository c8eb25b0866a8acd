"""What follows from texts, charset and splits: class ids, members of each split, lines that cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED
from text_recognizer.datasets.lines.args import LineArgs
from text_recognizer.datasets.lines.members import UNUSED, ListedLines, Members, completed_splits, without_leaks
from text_recognizer.datasets.lines.pool import LinePool
from text_recognizer.datasets.storage.rejected import Rejected, packed_rejected
from text_recognizer.errors import DataError
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import counted


@dataclass(frozen=True)
class Drawn:
    """Labels and splits, which follow from texts alone; why a row has no label, and what draws next."""

    labels: NDArray[np.int32]
    offsets: NDArray[np.int64]
    problems: dict[int, str]
    members: Members
    random: np.random.Generator


def derive(
    pool: LinePool, given: NDArray[np.int8], charset: Charset, args: LineArgs, label: str
) -> dict[str, NDArray[Any]]:
    """Arrays "labels", "label_offsets", one of members a split, and the rejected; for `given` see `drawn`."""
    found = drawn(pool, given, charset, args, label, pool.rejected)
    members, leaks = without_leaks(pool, found.members)
    rejected = [Rejected(pool.names[row], found.problems[row], pool.texts[row]) for row in sorted(found.problems)]
    return {
        "labels": found.labels,
        "label_offsets": found.offsets,
        **{name: rows.astype(np.int32) for name, rows in members.items()},
        **packed_rejected([*rejected, *leaks]),
    }


def drawn(
    pool: LinePool | ListedLines,
    given: NDArray[np.int8],
    charset: Charset,
    args: LineArgs,
    label: str,
    rejected: Sequence[Rejected] = (),
) -> Drawn:
    """Labels and splits. Raises DataError: unknown characters and no rule for them; too few writers or pages to split.

    Labels are in the order of the characters on the line, from its left end; see text_recognizer.reading_order.

    Args:
        given: (N,) the split of each line as far as it is known: a position in SPLIT_NAMES, -1 for open, -2 for unused.
        rejected: lines that are not in the pool, for messages.
    """
    texts = [visual_order(tidy_text(text, args.normalization)) for text in pool.texts]
    used = given != UNUSED
    labels, offsets, problems = _labels(pool, texts, used, charset, args, label)
    random = np.random.default_rng(SPLIT_SEED)
    fractions: dict[SplitName, float] = {"validation": args.validation_fraction, "test": args.test_fraction}
    splits = completed_splits(given, list(pool.groups), fractions, random, label, rejected)
    splits[list(problems)] = UNUSED
    members: Members = {name: np.flatnonzero(splits == index) for index, name in enumerate(SPLIT_NAMES)}
    return Drawn(labels, offsets, problems, members, random)


def _labels(
    pool: LinePool | ListedLines,
    texts: list[str],
    used: NDArray[np.bool_],
    charset: Charset,
    args: LineArgs,
    label: str,
) -> tuple[NDArray[np.int32], NDArray[np.int64], dict[int, str]]:
    ids, offsets = charset.encode_all(texts)
    rows = np.repeat(np.arange(len(texts)), np.diff(offsets))
    unknown = np.unique(rows[(ids == -1) & used[rows]])
    problems: dict[int, str] = {}
    rule = args.unknown_characters
    if len(unknown) and rule == "error":
        first = int(unknown[0])
        raise DataError(
            f"{label}: {charset.describe_unknown(texts[first], pool.names[first])} "
            f"{counted(len(unknown), 'line')} of {len(texts):,} have such characters. Set "
            f"dataset_args.unknown_characters to 'drop', 'reject', 'add' or a character to replace them, "
            f"or extend the charset."
        )
    if rule == "reject":
        for row in unknown.tolist():
            problems[row] = f"its text has characters outside the charset: {' '.join(charset.unknown_in(texts[row]))}"
    ids[ids == -1] = charset.replacement_id(rule) if rule not in ("error", "reject", "add") else 0
    lengths = np.bincount(rows[ids != 0], minlength=len(texts))
    for row in np.flatnonzero(used & (lengths == 0)).tolist():
        problems.setdefault(row, "nothing is left of its label without the characters outside the charset")
    if args.max_length is not None:
        for row in np.flatnonzero(used & (lengths > args.max_length)).tolist():
            problems.setdefault(row, f"its label is too long: {lengths[row]} of at most {args.max_length} characters")
    return ids[ids != 0], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), problems
