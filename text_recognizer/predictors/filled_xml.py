"""Replaces the texts of lines in ALTO and PAGE XML files; everything else stays byte for byte."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, tostring
from xml.parsers import expat

from text_recognizer.errors import DataError, reason
from text_recognizer.predictors.documents import add_alto_words, add_page_text, add_page_word
from text_recognizer.predictors.paragraph import Box, LineOfText

# By format, the elements of a line that contain its text, and those that must precede them.
_TEXTS = {"alto": ("String", "SP", "HYP"), "PcGts": ("Word", "TextEquiv")}
_BEFORE = {"alto": ("Shape",), "PcGts": ("AlternativeImage", "Coords", "Baseline")}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)""")

Span = tuple[int, int]
Edit = tuple[int, int, str]


@dataclass
class _Element:
    """An element of the file; all positions are byte offsets in UTF-8.

    Args:
        name: name as written.
        start: start of its start tag.
        inside: start of its content.
        texts: the children that contain its text.
        place: end of the last child that must precede them.
        lines: for a region, the numbers of its lines.
    """

    name: str
    start: int
    attributes: dict[str, str]
    inside: int = 0
    texts: list[Span] = field(default_factory=list)
    place: int = 0
    end: int = 0
    is_closed_at_once: bool = False
    has_point_elements: bool = False
    lines: list[int] = field(default_factory=list)

    @property
    def local(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def prefix(self) -> str:
        return self.name[: -len(self.local)]


def filled(path: Path, lines: Sequence[LineOfText | None], unit_px: float, old_texts: Sequence[str]) -> bytes:
    """The content of a file with the texts and confidences of its lines. Raises DataError: the file has other lines.

    Args:
        lines: one per line of the file; None leaves a line unchanged.
        unit_px: pixels per unit of the file.
        old_texts: one per line of the file.
    """
    content = path.read_bytes()
    declared = _DECLARED.match(content)
    usual = declared[1].decode("ascii") if declared else "utf-8"
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), usual)
    try:
        text = content.decode(encoding).encode()
        found = _Reader(text)
    except (LookupError, UnicodeError, expat.ExpatError) as error:
        raise DataError(f"{path} cannot be written to: {reason(error)}.") from None
    if len(found.lines) != len(lines):
        raise DataError(f"{path} has changed while it was read: it has {len(found.lines)} lines now. Run again.")
    edits: list[Edit] = []
    for element, line in zip(found.lines, lines, strict=True):
        if line is not None:
            edits += _replaced(element, _line_parts(element, line, found, unit_px), text)
    texts = [old if line is None else line.prediction.text for line, old in zip(lines, old_texts, strict=True)]
    for region in found.regions:
        if region.texts and any(lines[number] is not None for number in region.lines):
            whole = "\n".join(texts[number] for number in region.lines)
            row = Element("region")
            add_page_text(row, whole, None, region.prefix)
            edits += _replaced(region, [tostring(row[0], encoding="unicode")], text)
    pieces, at = [], 0
    for start, end, new in sorted(edits):
        pieces += [text[at:start], new.encode()]
        at = end
    return b"".join([*pieces, text[at:]]).decode().encode(encoding, "xmlcharrefreplace")


class _Reader:
    """Finds the lines and regions of a file."""

    def __init__(self, text: bytes) -> None:
        self.root = ""
        self.lines: list[_Element] = []
        self.regions: list[_Element] = []
        self.ids: set[str] = set()
        self._text = text
        self._open: list[_Element] = []
        self._started: _Element | None = None  # the element whose start tag was the last event
        self._parser = expat.ParserCreate(encoding="utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.DefaultHandler = lambda _: self._event()
        self._parser.Parse(text, True)

    def _event(self) -> bool:
        """Whether the element that was started last is still empty."""
        started, self._started = self._started, None
        if started is not None:
            started.inside = self._parser.CurrentByteIndex
        return started is not None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._event()
        element = _Element(name, self._parser.CurrentByteIndex, attributes)
        self.root = self.root or element.local
        self.ids.update(value for key, value in attributes.items() if key.lower() == "id")
        if element.local == "TextLine":
            for region in [one for one in self._open if one.local == "TextRegion"][-1:]:
                region.lines.append(len(self.lines))
            self.lines.append(element)
        elif element.local == "TextRegion":
            self.regions.append(element)
        self._open.append(element)
        self._started = element

    def _end(self, _: str) -> None:
        is_empty = self._event()
        element, at = self._open.pop(), self._parser.CurrentByteIndex
        element.is_closed_at_once = is_empty and self._text[at - 2 : at] == b"/>"
        element.end = at if element.is_closed_at_once else self._text.index(b">", at) + 1
        if not self._open:
            return
        parent = self._open[-1]
        if element.local in _TEXTS.get(self.root, ()):
            parent.texts.append((element.start, element.end))
        elif element.local in _BEFORE.get(self.root, ()):
            parent.place = element.end
        if element.local == "Coords":
            parent.has_point_elements = "points" not in element.attributes


def _replaced(element: _Element, parts: list[str], text: bytes) -> Iterator[Edit]:
    if element.is_closed_at_once:
        yield element.end - 2, element.end, f">{''.join(parts)}</{element.name}>"
        return
    place = max(element.place or element.inside, element.texts[0][0] if element.texts else 0)
    before = text[text.rfind(b"\n", 0, place) : place].decode()
    yield place, place, (before if before.startswith("\n") and before.isspace() else "").join(parts)
    for number, (start, end) in enumerate(element.texts):
        while number and text[start - 1 : start].isspace():
            start -= 1
        yield start, end, ""


def _line_parts(element: _Element, line: LineOfText, found: _Reader, unit_px: float) -> list[str]:
    placed = line.placed(line.prediction.words)
    words = [(word, cast(Box, tuple(round(value / unit_px) for value in box))) for word, box in placed]
    name = element.attributes.get("ID") or element.attributes.get("id") or f"line_{found.lines.index(element) + 1}"
    row, prefix = Element("line"), element.prefix
    if found.root == "alto":
        add_alto_words(row, words, prefix)
    else:
        for number, (word, box) in enumerate(words, start=1):
            identity = f"{name}_word_{number}"
            while identity in found.ids:
                identity += "_"
            found.ids.add(identity)
            add_page_word(row, identity, word, box, prefix, element.has_point_elements)
        add_page_text(row, line.prediction.text, line.prediction.confidence, prefix)
    return [tostring(child, encoding="unicode") for child in row]
