"""ALTO and PAGE XML, the formats in which archives exchange transcribed pages: where each line is and what it says.

Sources: "ALTO" 2 to 4 (Library of Congress); "PAGE" 2010 to 2019 (PRImA, University of Salford).
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from text_recognizer.datasets.formats.xml_tree import read_xml
from text_recognizer.errors import DataError

Points = tuple[tuple[float, float], ...]

_FAR = 1e9  # outside of any page
_STRUCTURE_TYPE = re.compile(r"(?:^|\})\s*structure\s*\{(?:[^}]*;)?\s*type\s*:([^;}]*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class PageLine:
    """A line of a page.

    Args:
        name: its ID, made unique in the page.
        outline: corners in the page's units: a polygon, or the four of a box; empty when the file has none.
        kind: what the file calls it: DefaultLine, heading, …
        baseline: in the page's units; empty when the file has none.
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
        image: the name of the image file, as the XML has it; may be empty.
        width, height: of the page in the units of the outlines; 0 where the file says nothing: then they are pixels.
        whole_regions: the IDs of regions whose text is not divided into lines.
    """

    image: str = ""
    width: float = 0
    height: float = 0
    lines: tuple[PageLine, ...] = ()
    whole_regions: tuple[str, ...] = ()


def read_page(path: Path) -> PageText:
    """The page of an ALTO or PAGE XML file.

    Raises:
        DataError: it is damaged or neither of the two, has no page or several, or measures lines in millimetres or
            inches on a page without a size. The message is about what the file describes.
    """
    root = read_xml(path)
    reader = {"alto": _read_alto, "PcGts": _read_page}.get(root.tag)
    if reader is None:
        raise DataError(f"its file is neither ALTO nor PAGE XML: {path} begins with <{root.tag}>.")
    return reader(root, path)


def _only_page(pages: list[Element], path: Path, kind: str) -> Element:
    """The page of a file. Either format names one image only: where the lines of a second page are is unknown."""
    if len(pages) > 1:
        raise DataError(
            f"its {kind} file holds {len(pages)} pages but can name only one image: {path}. Write a file for each page."
        )
    if not pages:
        raise DataError(f"its {kind} file has no page: {path}.")
    return pages[0]


def _read_alto(root: Element, path: Path) -> PageText:
    labels = {tag.get("ID", ""): tag.get("LABEL", "") for tags in root.iter("Tags") for tag in tags}
    page = _only_page(list(root.iter("Page")), path, "ALTO")
    image = next((one.text or "" for one in root.iter("fileName")), "")
    lines = []
    for line in page.iter("TextLine"):
        kind = next((labels[ref] for ref in line.get("TAGREFS", "").split() if labels.get(ref)), "")
        parts = [one for one in line.iter() if one.tag in ("String", "SP")]
        strings = [place for place, one in enumerate(parts) if one.tag == "String"]
        between = parts[strings[0] : strings[-1]] if strings else []
        gap = "" if any(one.tag == "SP" for one in between) else " "  # files of single words may leave out the spaces
        text = gap.join(" " if one.tag == "SP" else one.get("CONTENT", "") for one in parts).strip()
        text += "".join(hyphen.get("CONTENT", "-") for hyphen in line.iter("HYP"))  # stands for itself
        baseline = _points(line.get("BASELINE", ""))  # before ALTO 4.2 a single number, the height of the row
        lines.append(PageLine(line.get("ID", ""), text, _alto_outline(line), kind, baseline))
    width, height = _number(page.get("WIDTH")), _number(page.get("HEIGHT"))
    unit = next((one.text or "" for one in root.iter("MeasurementUnit")), "").strip()
    if lines and not width and not height and unit.lower() not in ("pixel", ""):
        # The resolution that an image states is often not the one it was scanned at.
        raise DataError(
            f"its outlines are in the unit '{unit}' but its page has no size: {path}. Give <Page> its WIDTH and "
            f"HEIGHT in that unit, or all numbers in pixels (<MeasurementUnit>pixel</MeasurementUnit>)."
        )
    return PageText(image.strip(), width, height, _with_unique_names(lines))


def _alto_outline(line: Element) -> Points:
    polygon = line.find("Shape/Polygon")
    sides = [line.get(key) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    points = _points(polygon.get("POINTS", "")) if polygon is not None else ()
    if points or None in sides:
        return points
    x, y, width, height = map(_number, sides)
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def _read_page(root: Element, path: Path) -> PageText:
    page = _only_page(root.findall("Page"), path, "PAGE XML")
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
    return PageText(page.get("imageFilename", ""), width, height, _with_unique_names(lines), whole)


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
    numbers = [_bounded(number) for number in _NUMBER.findall(text)]
    return tuple(zip(numbers[::2], numbers[1::2], strict=False))


def _number(text: str | None) -> float:
    found = _NUMBER.search(text or "")
    return _bounded(found[0]) if found else 0.0


def _bounded(number: str) -> float:
    """A finite number, whatever was written: infinity breaks arithmetic."""
    return min(max(float(number), -_FAR), _FAR)


def _with_unique_names(lines: list[PageLine]) -> tuple[PageLine, ...]:
    seen: set[str] = set()
    renamed = []
    for number, line in enumerate(lines, start=1):
        name = line.name if line.name and line.name not in seen else f"{line.name or 'line'}.{number}"
        seen.add(name)
        renamed.append(replace(line, name=name))
    return tuple(renamed)
