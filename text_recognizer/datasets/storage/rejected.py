"""Rejected samples and reasons: in the store, as a table, and in one line."""

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
    """A rejected sample and the reason.

    Args:
        reason: text after a colon in it is specific to that sample.
        noun: what it is if it is not a single sample: "page" for all lines of a page.
    """

    name: str
    reason: str
    text: str = ""
    noun: str = ""

    @property
    def common_reason(self) -> str:
        """The part of the reason that other samples may share."""
        return self.reason.partition(": ")[0]


def packed_rejected(rejected: Sequence[Rejected]) -> dict[str, NDArray[Any]]:
    return {
        name: array
        for column in _COLUMNS
        for name, array in packed(f"rejected.{column}", [getattr(one, column) for one in rejected]).items()
    }


def unpacked_rejected(arrays: Mapping[str, NDArray[Any]]) -> list[Rejected]:
    # Older stores have no nouns.
    columns = [unpacked(f"rejected.{column}", arrays) for column in _COLUMNS if f"rejected.{column}" in arrays]
    return [Rejected(*row) for row in zip(*columns, strict=True)]


def data_arrays(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """The names of the arrays that are data, in the given order; `shapes` of all arrays of a store.

    Rejected samples are a report, not data: a reason may contain a path, and other versions may word it differently.
    Empty reports count, as they did in older stores. Paths of images are none either: their folder may be moved.
    """
    offsets = shapes.get("rejected.name.offsets", (1,))
    no_data = ("paths",) if offsets[0] == 1 else ("paths", "rejected")
    return [name for name in shapes if name.partition(".")[0] not in no_data]


def summary(rejected: Sequence[Rejected], noun: str = "line") -> str:
    """The numbers of rejected samples and reasons in one line, with an example of each; `noun`: the default noun."""
    reasons = Counter(one.common_reason for one in rejected)
    first = {one.common_reason: one.name for one in reversed(rejected)}
    listed = [f"{count:,} x {reason} ('{first[reason]}')" for reason, count in reasons.most_common(3)]
    more = ["…"] if len(reasons) > len(listed) else []
    nouns = Counter(one.noun or noun for one in rejected)
    total = " and ".join(counted(count, each) for each, count in nouns.items()) or counted(0, noun)
    return f"{total} rejected: {'; '.join([*listed, *more])}."


def summary_of_all(rejected: Sequence[Rejected], noun: str = "line") -> str:
    """The summary if nothing is left: with a whole reason, because there is no table then."""
    example = next((one for one in rejected if one.reason != one.common_reason), None)
    return summary(rejected, noun) + (f" For example '{example.name}': {example.reason}." if example else "")


def outlook_in_words(pages: int, lines: int, rejected: Sequence[Rejected], noun: str = "line") -> str:
    """What will be converted, without rejected samples; without pages if lines have their own images."""
    there = counted(lines, "line") if not pages else f"{counted(pages, 'page')} with {counted(lines, 'line')}"
    said = summary if lines else summary_of_all
    return f"{there} to convert" + (f". {said(rejected, noun)}" if rejected else "")


def write_table(folder: Path, rejected: Sequence[Rejected]) -> Path | None:
    """Writes rejected.tsv, a tab-separated table; None if there is nothing to write, or no place for it."""
    path = folder / "rejected.tsv"
    if not rejected:
        return None
    rows = [("name", "reason", "text"), *((one.name, one.reason, one.text) for one in rejected)]
    table = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
    try:
        # Stores of the same data, with other rejected samples, may share the folder.
        if not path.exists() or path.read_bytes() != table.encode(errors="backslashreplace"):
            replace_file(path, table, durable=False)
    except OSError:
        return None
    return path
