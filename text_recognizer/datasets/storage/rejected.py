"""What is not in a dataset, and why: in the store, as a table for people, and in one line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from text_recognizer.datasets.storage.strings import packed, unpacked
from text_recognizer.whole_files import replace_file
from text_recognizer.wording import counted

_COLUMNS = ("name", "reason", "text", "noun")


@dataclass(frozen=True)
class Rejected:
    """A sample that is not in the dataset, and why.

    Args:
        noun: what it is where it is no single sample of its dataset: "page" for all lines of one.
    """

    name: str
    reason: str
    text: str = ""
    noun: str = ""


def packed_rejected(rejected: Sequence[Rejected]) -> dict[str, NDArray[Any]]:
    return {
        name: array
        for column in _COLUMNS
        for name, array in packed(f"rejected.{column}", [getattr(one, column) for one in rejected]).items()
    }


def unpacked_rejected(arrays: Mapping[str, NDArray[Any]]) -> list[Rejected]:
    # Stores of before have no nouns.
    columns = [unpacked(f"rejected.{column}", arrays) for column in _COLUMNS if f"rejected.{column}" in arrays]
    return [Rejected(*row) for row in zip(*columns, strict=True)]


def summary(rejected: Sequence[Rejected], noun: str = "line") -> str:
    """How many were rejected and why, in one line, the first of each reason by name; `noun` where they have none.

    What follows a colon in a reason is about that line alone.
    """
    reasons = Counter(one.reason.partition(": ")[0] for one in rejected)
    first = {one.reason.partition(": ")[0]: one.name for one in reversed(rejected)}
    listed = [f"{count:,} x {reason} ('{first[reason]}')" for reason, count in reasons.most_common(3)]
    more = ["…"] if len(reasons) > len(listed) else []
    nouns = Counter(one.noun or noun for one in rejected)
    total = " and ".join(counted(count, each) for each, count in nouns.items()) or counted(0, noun)
    return f"{total} rejected: {'; '.join([*listed, *more])}."


def outlook_in_words(pages: int, lines: int, rejected: Sequence[Rejected], noun: str = "line") -> str:
    """What is to be converted, without rejected ones; no pages where lines come by themselves."""
    there = counted(lines, "line") if not pages else f"{counted(pages, 'page')} with {counted(lines, 'line')}"
    return f"{there} to convert" + (f". {summary(rejected, noun)}" if rejected else "")


def write_table(folder: Path, rejected: Sequence[Rejected]) -> Path | None:
    """rejected.tsv, a tab-separated table; None where there is nothing to write, or no place."""
    path = folder / "rejected.tsv"
    if not rejected or path.exists():
        return path if rejected else None
    rows = [("name", "reason", "text"), *((one.name, one.reason, one.text) for one in rejected)]
    table = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
    try:
        replace_file(path, table, durable=False)
    except OSError:
        return None
    return path
