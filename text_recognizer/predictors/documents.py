"""Writes the reading of a page as a new document: ALTO 4, PAGE XML 2019 or hOCR.

Sources: "ALTO" 4.2 (Library of Congress); "PAGE" 2019-07-15 (PRImA, University of Salford); "hOCR" 1.2 (Breuel).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from text_recognizer import __version__
from text_recognizer.datasets.transcribed.page_images import box_outline
from text_recognizer.images.straighten import Points
from text_recognizer.models.prediction import ReadPart
from text_recognizer.predictors.paragraph import Box, LineOfText, PageReading
from text_recognizer.reading_order import has_right_to_left, runs_right_to_left

ALTO_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
Placed = tuple[ReadPart, Box]
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def alto(page: PageReading, image: str) -> str:
    """An ALTO file; `image` is the name of the image's file."""
    root = Element("alto", {"xmlns": ALTO_NAMESPACE, "SCHEMAVERSION": "4.2"})
    description = SubElement(root, "Description")
    SubElement(description, "MeasurementUnit").text = "pixel"
    SubElement(SubElement(description, "sourceImageInformation"), "fileName").text = legal(image)
    processing = SubElement(description, "Processing", ID="processing")
    software = SubElement(processing, "processingSoftware")
    SubElement(software, "softwareName").text = "Text Recognizer"
    SubElement(software, "softwareVersion").text = __version__
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    sheet = SubElement(SubElement(root, "Layout"), "Page", {"ID": "page", "PHYSICAL_IMG_NR": "1", **size})
    space = SubElement(sheet, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    if page.lines:
        around = _around([line.box for line in page.lines])
        block = SubElement(space, "TextBlock", {"ID": "block", **alto_place(around)})
        for number, line in enumerate(page.lines, start=1):
            _alto_line(block, f"line_{number}", line)
    return _text_of(root)


def page_xml(page: PageReading, image: str) -> str:
    """A PAGE XML file; `image` as of `alto`."""
    root = Element("PcGts", {"xmlns": PAGE_NAMESPACE})
    metadata = SubElement(root, "Metadata")
    SubElement(metadata, "Creator").text = f"Text Recognizer {__version__}"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    SubElement(metadata, "Created").text = SubElement(metadata, "LastChange").text = now
    size = {"imageWidth": str(page.width), "imageHeight": str(page.height)}
    sheet = SubElement(root, "Page", {"imageFilename": legal(image), **size})
    if page.lines:
        region = SubElement(sheet, "TextRegion", id="region")
        SubElement(region, "Coords", points=page_points(box_outline(*_around([line.box for line in page.lines]))))
        for number, line in enumerate(page.lines, start=1):
            _page_line(region, f"line_{number}", line)
    return _text_of(root)


def hocr(page: PageReading, image: str) -> str:
    """An hOCR file, which browsers show; `image` as of `alto`."""
    root = Element("html", {"xmlns": "http://www.w3.org/1999/xhtml"})
    head = SubElement(root, "head")
    SubElement(head, "title").text = legal(image)
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "ocr-system", "content": f"Text Recognizer {__version__}"})
    SubElement(head, "meta", {"name": "ocr-capabilities", "content": "ocr_page ocr_line ocrx_word ocrp_poly"})
    quoted = legal(image).replace('"', "")  # hOCR cannot represent it
    title = f'image "{quoted}"; bbox 0 0 {page.width} {page.height}; ppageno 0'
    sheet = SubElement(SubElement(root, "body"), "div", {"class": "ocr_page", "id": "page_1", "title": title})
    for number, line in enumerate(page.lines, start=1):
        title = "; ".join([_hocr_place(line.box), *_hocr_shape(line)])
        row = SubElement(sheet, "div", {"class": "ocr_line", "id": f"line_{number}", "title": title})
        if has_right_to_left(line.prediction.text) and runs_right_to_left(line.prediction.text):
            row.set("dir", "rtl")
        for word, box in line.placed(line.prediction.words):
            title = f"{_hocr_place(box)}; x_wconf {round(100 * word.confidence)}"
            SubElement(row, "span", {"class": "ocrx_word", "title": title}).text = legal(word.text)
    return _text_of(root)


DOCUMENTS: dict[str, Callable[[PageReading, str], str]] = {"alto": alto, "page": page_xml, "hocr": hocr}


def legal(text: str) -> str:
    """A text without characters that are invalid in XML."""
    return _NOT_IN_XML.sub("\ufffd", text)


def alto_place(box: Box) -> dict[str, str]:
    left, top, right, bottom = box
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}


def page_points(points: Iterable[tuple[float, float]]) -> str:
    """Points for PAGE: non-negative integers."""
    return " ".join(f"{max(round(x), 0)},{max(round(y), 0)}" for x, y in points)


def add_alto_words(row: Element, words: Sequence[Placed], prefix: str = "", name: str = "") -> None:
    """Adds words to a TextLine.

    Args:
        prefix: prefix of element names, including the colon.
        name: name of the line; without one, its words have no names either.
    """
    if not words:
        SubElement(row, f"{prefix}String", CONTENT="")  # a line must have one
    for number, (word, box) in enumerate(words):
        if number:
            SubElement(row, f"{prefix}SP")
        identity = {"ID": f"{name}_word_{number + 1}"} if name else {}
        content = {"CONTENT": legal(word.text), "WC": f"{word.confidence:.4f}"}
        SubElement(row, f"{prefix}String", {**identity, **content, **alto_place(box)})


def add_page_word(
    row: Element, name: str, word: ReadPart, box: Box, prefix: str = "", point_elements: bool = False
) -> None:
    """Adds a word to a TextLine; `point_elements` as in versions of PAGE before 2013."""
    part = SubElement(row, f"{prefix}Word", id=name)
    points = {} if point_elements else {"points": page_points(box_outline(*box))}
    coordinates = SubElement(part, f"{prefix}Coords", points)
    for x, y in box_outline(*box) if point_elements else ():
        SubElement(coordinates, f"{prefix}Point", x=str(x), y=str(y))
    add_page_text(part, word.text, word.confidence, prefix)


def add_page_text(element: Element, text: str, confidence: float | None, prefix: str = "") -> None:
    sure = {} if confidence is None else {"conf": f"{confidence:.4f}"}
    equivalent = SubElement(element, f"{prefix}TextEquiv", sure)
    SubElement(equivalent, f"{prefix}Unicode").text = legal(text)


def _alto_line(block: Element, name: str, line: LineOfText) -> None:
    baseline = {"BASELINE": _points(line.baseline)} if line.baseline else {}
    row = SubElement(block, "TextLine", {"ID": name, **alto_place(line.box), **baseline})
    if line.polygon:
        SubElement(SubElement(row, "Shape"), "Polygon", POINTS=_points(line.polygon))
    add_alto_words(row, line.placed(line.prediction.words), name=name)


def _page_line(region: Element, name: str, line: LineOfText) -> None:
    row = SubElement(region, "TextLine", id=name)
    SubElement(row, "Coords", points=page_points(line.polygon or box_outline(*line.box)))
    if len(line.baseline) > 1:
        SubElement(row, "Baseline", points=page_points(line.baseline))
    for number, (word, box) in enumerate(line.placed(line.prediction.words), start=1):
        add_page_word(row, f"{name}_word_{number}", word, box)
    add_page_text(row, line.prediction.text, line.prediction.confidence)


def _points(points: Points) -> str:
    return " ".join(f"{round(x)} {round(y)}" for x, y in points)


def _hocr_place(box: Box) -> str:
    return "bbox " + " ".join(map(str, box))


def _hocr_shape(line: LineOfText) -> list[str]:
    """The outline, and the straight line closest to the baseline, relative to the box's lower left corner.

    hOCR supports no other baselines, and no rather vertical ones.
    """
    found = [f"poly {_points(line.polygon)}"] if line.polygon else []
    across, down = np.abs(np.subtract(line.baseline[-1], line.baseline[0])) if line.baseline else (0, 0)
    if across > down:
        left, _, _, bottom = line.box
        columns, rows = np.subtract(line.baseline, (left, bottom)).T
        slope, offset = np.polyfit(columns, rows, 1)
        found.append(f"baseline {slope:.3f} {offset:.1f}")
    return found


def _around(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _text_of(root: Element) -> str:
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"
