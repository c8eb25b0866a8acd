"""Lists of texts, one per line, optionally with a tab and a count, like THUOCL."""

import re
from dataclasses import dataclass
from pathlib import Path

from text_recognizer.charset import tidy_text
from text_recognizer.datasets.formats.line_lists import ENCODING_ADVICE, read_text
from text_recognizer.errors import DataError

_COUNT = re.compile(r"\d{1,15}")  # sums of them are exact even as floats


@dataclass(frozen=True)
class LexiconEntry:
    """A text of the list, its count (1 if not given), and why the row is not an entry."""

    text: str
    count: int = 1
    problem: str = ""


def read_lexicon(path: Path, encoding: str = "utf-8") -> list[LexiconEntry]:
    """Each text of a list once, with its counts added. Raises DataError: it cannot be read, or contains no text."""
    found: dict[str, LexiconEntry] = {}
    for row in read_text(path, encoding, ENCODING_ADVICE).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        text, tab, count = row.partition("\t")
        text = tidy_text(text)
        if not text:
            continue
        if tab and not _COUNT.fullmatch(count.strip()):
            entry = LexiconEntry(
                text, problem=f"its count is no whole number of at most 15 digits: '{count.strip()[:20]}'"
            )
        else:
            entry = LexiconEntry(text, int(count) if tab else 1)
        before = found.get(text)
        found[text] = entry if before is None else LexiconEntry(text, before.count + entry.count, before.problem)
    if not found:
        raise DataError(f"{path} holds no texts.")
    return list(found.values())
