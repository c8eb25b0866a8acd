"""ALTO, PAGE XML and hOCR, the exchange formats of transcribed pages: the position and text of each line.

Sources: "ALTO" 2 to 4 (Library of Congress); "PAGE" 2010 to 2019 (PRImA, University of Salford); "hOCR" 1.2 (Breuel).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from text_recognizer.datasets.formats.xml_tree import read_xml
from text_recognizer.errors import DataError

Points = tuple[tuple[float, float], ...]

_OF_DOCUMENT = {"mets", "trpDocMetadata"}
_FAR = 1e9  # outside of any page
_STRUCTURE_TYPE = re.compile(r"(?:^|\})\s*structure\s*\{(?:[^}]*;)?\s*type\s*:([^;}]*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_HOCR_LINES = {"ocr_line", "ocrx_line", "ocr_header", "ocr_caption", "ocr_textfloat"}  # Tesseract has the last three
_HOCR_PROPERTY = re.compile(r"""([a-z_]+)\s+((?:"[^"]*"|[^";])*)""")
_MOST_COEFFICIENTS = 4  # of a baseline; more overflow
_HTML_SPACE = re.compile(r"[ \t\r\n\f]+")


class OtherFormatError(DataError):
    """A file is in none of the formats of pages."""


class OfDocumentError(OtherFormatError):
    """A file is about a document, not about one of its pages."""


@dataclass(frozen=True)
class PageLine:
    """A line of a page.

    Args:
        name: its ID, made unique in the page.
        outline: corners in the page's units: a polygon, or the four of a box; empty when the file has none.
        kind: its type in the file: DefaultLine, heading, …
        baseline: in the page's units; empty if the file has none.
    """

    name: str
    text: str
    outline: Points
    kind: str = ""
    baseline: Points = ()


@dataclass(frozen=True)
class PageText:
    """A transcribed page.

    Args:
        image: the name of the image file, as in the XML; may be empty.
        width, height: size of the page in the units of the outlines; 0 if not given: then the units are pixels.
        whole_regions: the IDs of regions whose text is not divided into lines.
        format: "alto", "page" or "hocr"; "" if it is from no such file.
    """

    image: str = ""
    width: float = 0
    height: float = 0
    lines: tuple[PageLine, ...] = ()
    whole_regions: tuple[str, ...] = ()
    format: str = ""


def read_pages(path: Path) -> list[PageText]:
    """The pages of an ALTO, PAGE XML or hOCR file; usually there is one.

    Raises:
        DataError: it is damaged or in none of the three formats, has no page, or measures lines in millimetres or
            inches on a page without a size. The message names what the file describes.
    """
    try:
        root = read_xml(path)
    except DataError as error:
        if path.suffix.lower() != ".hocr":
            raise
        raise DataError(f"{error} hOCR must be XHTML: `tidy -asxhtml` converts HTML.") from None
    reader = {"alto": _read_alto, "PcGts": _read_page, "html": _read_hocr}.get(root.tag)
    if reader is None:
        refused = OfDocumentError if root.tag in _OF_DOCUMENT else OtherFormatError
        raise refused(f"its file is neither ALTO nor PAGE XML nor hOCR: {path} begins with <{root.tag}>.")
    pages = list(reader(root, path))
    if not pages:
        raise (OtherFormatError if root.tag == "html" else DataError)(f"its file has no page: {path}.")
    return pages


def _read_alto(root: Element, path: Path) -> Iterator[PageText]:
    labels = {tag.get("ID", ""): tag.get("LABEL", "") for tags in root.iter("Tags") for tag in tags}
    image = next((one.text or "" for one in root.iter("fileName")), "").strip()
    unit = next((one.text or "" for one in root.iter("MeasurementUnit")), "").strip()
    for page in root.iter("Page"):
        width, height = _number(page.get("WIDTH")), _number(page.get("HEIGHT"))
        lines = [_alto_line(line, labels) for line in page.iter("TextLine")]
        if lines and not width and not height and unit.lower() not in ("pixel", ""):
            # The resolution in an image's metadata is often not the one of the scan.
            why = f"its outlines are in the unit '{unit}' but its page has no size"
            raise DataError(
                f"{why}: {path}. Give <Page> its WIDTH and HEIGHT in that unit, or all numbers in pixels "
                f"(<MeasurementUnit>pixel</MeasurementUnit>).",
                common=why,
            )
        yield PageText(image, width, height, _with_unique_names(lines), format="alto")


def _alto_line(line: Element, labels: Mapping[str, str]) -> PageLine:
    kind = next((labels[ref] for ref in line.get("TAGREFS", "").split() if labels.get(ref)), "")
    parts = [one for one in line.iter() if one.tag in ("String", "SP")]
    strings = [place for place, one in enumerate(parts) if one.tag == "String"]
    between = parts[strings[0] : strings[-1]] if strings else []
    gap = "" if any(one.tag == "SP" for one in between) else " "  # files of single words may omit the spaces
    text = gap.join(" " if one.tag == "SP" else one.get("CONTENT", "") for one in parts).strip()
    text += "".join(hyphen.get("CONTENT", "-") for hyphen in line.iter("HYP"))  # stands for itself
    baseline = _points(line.get("BASELINE", ""))  # before ALTO 4.2 a single number, the height of the row
    return PageLine(line.get("ID", ""), text, _alto_outline(line), kind, baseline)


def _alto_outline(line: Element) -> Points:
    polygon = line.find("Shape/Polygon")
    sides = [line.get(key) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    points = _points(polygon.get("POINTS", "")) if polygon is not None else ()
    if points or None in sides:
        return points
    x, y, width, height = map(_number, sides)
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def _read_page(root: Element, path: Path) -> Iterator[PageText]:  # noqa: ARG001 - as of the others
    for page in root.findall("Page"):
        lines = []
        for line in page.iter("TextLine"):
            text = _text_equivalent(line)
            if text is None:
                text = " ".join(_text_equivalent(word) or "" for word in line.findall("Word"))
            outline, baseline = _outline(line, "Coords"), _outline(line, "Baseline")
            kind = _STRUCTURE_TYPE.search(line.get("custom", ""))
            lines.append(PageLine(line.get("id", ""), text, outline, kind[1].strip() if kind else "", baseline))
        width, height = _number(page.get("imageWidth")), _number(page.get("imageHeight"))
        regions = [region for region in page.iter("TextRegion") if _text_equivalent(region)]
        whole = tuple(region.get("id", "") for region in regions if next(region.iter("TextLine"), None) is None)
        yield PageText(page.get("imageFilename", ""), width, height, _with_unique_names(lines), whole, "page")


def _read_hocr(root: Element, path: Path) -> Iterator[PageText]:  # noqa: ARG001 - as of the others
    for page in root.iter():
        if "ocr_page" not in _classes(page):
            continue
        title = _properties(page)
        left, top, width, height = (*_numbers(title.get("bbox", "")), 0, 0, 0, 0)[:4]
        if left or top:  # only a part of the image
            width = height = 0
        lines = []
        for line in page.iter():
            kind = next((one for one in _classes(line) if one in _HOCR_LINES), "")
            if kind and not any(_HOCR_LINES.intersection(_classes(one)) for one in line.iter() if one is not line):
                lines.append(_hocr_line(line, kind))
        image = title.get("image", "").strip(" \"'")
        yield PageText(image, width, height, _with_unique_names(lines), format="hocr")


def _hocr_line(line: Element, kind: str) -> PageLine:
    text, title = _hocr_text(line), _properties(line)
    words = [_hocr_text(one) for one in line.iter() if "ocrx_word" in _classes(one)]
    if len(words) > 1 and " " not in text:  # a file without white space between its elements
        text = " ".join(words)
    box, polynomial = _numbers(title.get("bbox", "")), _numbers(title.get("baseline", ""))
    outline: Points = _points(title.get("poly", ""))
    baseline: Points = ()
    if len(box) == 4:
        x1, y1, x2, y2 = box
        outline = outline or ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
        turned: dict[int, Points] = {90: ((x2, y2), (x2, y1)), 180: ((x2, y1), (x1, y1)), 270: ((x1, y1), (x1, y2))}
        baseline = turned.get(int(_number(title.get("textangle"))), ())
        if 0 < len(polynomial) <= _MOST_COEFFICIENTS and not baseline:  # seen from the lower left corner of the box
            columns = np.linspace(0, x2 - x1, 2 if len(polynomial) < 3 else 9)
            rows = y2 + np.polyval(polynomial, columns)
            baseline = tuple((_bounded(x1 + x), _bounded(y)) for x, y in zip(columns, rows, strict=True))
    return PageLine(line.get("id", ""), text, outline, kind, baseline)


def _hocr_text(element: Element) -> str:
    return _HTML_SPACE.sub(" ", "".join(element.itertext())).strip(" ")


def _classes(element: Element) -> list[str]:
    return element.get("class", "").split()


def _properties(element: Element) -> dict[str, str]:
    return dict(_HOCR_PROPERTY.findall(element.get("title", "")))


def _text_equivalent(element: Element) -> str | None:
    """The first of several readings: the one with the lowest index."""
    readings = sorted(element.findall("TextEquiv"), key=lambda one: _number(one.get("index")))
    return next((text for one in readings if (text := one.findtext("Unicode"))), None)


def _outline(line: Element, tag: str) -> Points:
    if (coordinates := line.find(tag)) is None:
        return ()
    points = tuple((_number(point.get("x")), _number(point.get("y"))) for point in coordinates.findall("Point"))
    return _points(coordinates.get("points", "")) or points


def _points(text: str) -> Points:
    """Corners written as "x,y x,y" or "x y x y"."""
    numbers = _numbers(text)
    return tuple(zip(numbers[::2], numbers[1::2], strict=False))


def _numbers(text: str) -> list[float]:
    return [_bounded(number) for number in _NUMBER.findall(text)]


def _number(text: str | None) -> float:
    found = _NUMBER.search(text or "")
    return _bounded(found[0]) if found else 0.0


def _bounded(number: str | float) -> float:
    """A finite number for any input: infinity breaks arithmetic."""
    return min(max(float(number), -_FAR), _FAR)


def _with_unique_names(lines: list[PageLine]) -> tuple[PageLine, ...]:
    seen: set[str] = set()
    renamed = []
    for number, line in enumerate(lines, start=1):
        name = line.name if line.name and line.name not in seen else f"{line.name or 'line'}.{number}"
        seen.add(name)
        renamed.append(replace(line, name=name))
    return tuple(renamed)
