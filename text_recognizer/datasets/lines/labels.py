"""Derives class ids, members of each split and rejected lines from texts, charset and splits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED
from text_recognizer.datasets.lines.args import LineArgs
from text_recognizer.datasets.lines.members import UNUSED, Members, completed_splits, subsampled, without_leaks
from text_recognizer.datasets.lines.pool import LinePool
from text_recognizer.datasets.storage.rejected import Rejected, packed_rejected
from text_recognizer.errors import DataError
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import counted


def derive(
    pool: LinePool, given: NDArray[np.int8], charset: Charset, args: LineArgs, label: str
) -> dict[str, NDArray[Any]]:
    """Arrays "labels", "label_offsets", the members of each split, and the rejected lines.

    Labels are in visual order, from the left end of the line; see text_recognizer.reading_order.

    Args:
        given: (N,) the split of each line, if given: a position in SPLIT_NAMES, -1 for none, -2 for unused.
    Raises:
        DataError: unknown characters without a rule for them; too few writers or pages to split.
    """
    texts = [visual_order(tidy_text(text, args.normalization)) for text in pool.texts]
    labels, offsets, problems = _labels(pool, texts, given != UNUSED, charset, args, label)
    random = np.random.default_rng(SPLIT_SEED)
    fractions: dict[SplitName, float] = {"validation": args.validation_fraction, "test": args.test_fraction}
    splits = completed_splits(
        given, list(pool.groups), fractions, random, label, pool.rejected, grouped_by=args.grouped_by
    )
    if args.unknown_characters == "drop":  # a text that cannot be written at all is not learnt, but counts as misread
        for row in np.flatnonzero((np.diff(offsets) == 0) & (splits > 0)).tolist():
            problems.pop(row, None)
    splits[list(problems)] = UNUSED
    members: Members = {name: np.flatnonzero(splits == index) for index, name in enumerate(SPLIT_NAMES)}
    members, leaks = without_leaks(pool, members)
    rejected = [Rejected(pool.names[row], problems[row], pool.texts[row]) for row in sorted(problems)]
    return {
        "labels": labels,
        "label_offsets": offsets,
        **{name: rows.astype(np.int32) for name, rows in subsampled(members, args.subsample_fraction, random).items()},
        **packed_rejected([*rejected, *leaks]),
    }


def _labels(
    pool: LinePool,
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
