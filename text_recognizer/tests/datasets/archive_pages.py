"""A page with three lines, described in ALTO, in PAGE XML and in hOCR."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.formats.page_xml import PageText, read_pages
from text_recognizer.datasets.lines.alto_lines import AltoLinesDataset
from text_recognizer.tests.datasets.line_files import save

# x1, y1, x2, y2 of the lines of a page of 200 x 120 pixels, and what they say.
LINES = [((10, 10, 110, 30), "first line"), ((10, 40, 150, 60), "the second"), ((20, 70, 90, 90), "third")]
NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
AS_IT_IS: dict[str, Any] = {"height": 20, "ink": "dark", "source_ink": "dark", "preprocessing": ()}


def page_image(seed: int = 0) -> NDArray[np.uint8]:
    """Light paper with dark strokes inside each line; what lies between the lines is grey."""
    random = np.random.default_rng(seed)
    image = np.full((120, 200), 200, np.uint8)
    for (x1, y1, x2, y2), _ in LINES:
        image[y1:y2, x1:x2] = 255
        image[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4 : 3] = random.integers(
            0, 60, (y2 - y1 - 8, len(range(x1 + 4, x2 - 4, 3)))
        )
    return image


def alto(
    lines: str | None = None, image: str = "page.png", head: str = "", size: str = 'WIDTH="200" HEIGHT="120"'
) -> str:
    """An ALTO 4 file; by default with LINES."""
    lines = "".join(alto_line(index, *line) for index, line in enumerate(LINES)) if lines is None else lines
    return f"""<?xml version="1.0" encoding="UTF-8"?>
{head}<alto xmlns="{NAMESPACE}">
  <Description><MeasurementUnit>pixel</MeasurementUnit>
    <sourceImageInformation><fileName>{image}</fileName></sourceImageInformation></Description>
  <Tags><OtherTag ID="T1" LABEL="DefaultLine"/><OtherTag ID="T2" LABEL="HeadingLine"/></Tags>
  <Layout><Page {size} ID="p"><PrintSpace><TextBlock ID="b">{lines}</TextBlock></PrintSpace></Page></Layout>
</alto>
"""


def alto_line(index: int, box: tuple[int, int, int, int], text: str, shape: str = "", tag: str = "T1") -> str:
    x1, y1, x2, y2 = box
    words = "<SP/>".join(f'<String CONTENT="{word}"/>' for word in text.split(" "))
    place = f'HPOS="{x1}" VPOS="{y1}" WIDTH="{x2 - x1}" HEIGHT="{y2 - y1}"'
    return f'<TextLine ID="l{index}" TAGREFS="{tag}" {place}>{shape}{words}</TextLine>'


def polygon(points: str) -> str:
    return f'<Shape><Polygon POINTS="{points}"/></Shape>'


def page_xml(image: str = "page.png") -> str:
    """A PAGE 2019 file with LINES: the first by its own text, the second by its words, the third with two readings."""
    outlines = [f"{x1},{y1} {x2},{y1} {x2},{y2} {x1},{y2}" for (x1, y1, x2, y2), _ in LINES]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="{PAGE_NAMESPACE}"><Metadata/>
 <Page imageFilename="{image}" imageWidth="200" imageHeight="120"><TextRegion id="r">
  <TextLine id="l0" custom="readingOrder {{index:0;}} structure {{type:heading;}}"><Coords points="{outlines[0]}"/>
   <Word id="w"><TextEquiv><Unicode>wrong</Unicode></TextEquiv></Word>
   <TextEquiv><Unicode>first line</Unicode></TextEquiv></TextLine>
  <TextLine id="l1"><Coords points="{outlines[1]}"/>
   <Word id="v"><TextEquiv><Unicode>the</Unicode></TextEquiv></Word>
   <Word id="w"><TextEquiv><Unicode>second</Unicode></TextEquiv></Word></TextLine>
  <TextLine id="l2"><Coords points="{outlines[2]}"/>
   <TextEquiv index="1"><Unicode>thirst</Unicode></TextEquiv><TextEquiv index="0"><Unicode>third</Unicode></TextEquiv>
  </TextLine></TextRegion></Page></PcGts>
"""


def hocr(lines: str | None = None, image: str = "page.png") -> str:
    """An hOCR file as Tesseract writes it; by default with LINES."""
    lines = "".join(hocr_line(index, *line) for index, line in enumerate(LINES)) if lines is None else lines
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en"><head><title></title></head><body>
 <div class='ocr_page' id='page_1' title='image "{image}"; bbox 0 0 200 120; ppageno 0; scan_res 70 70'>
  <div class='ocr_carea' title="bbox 0 0 200 120"><p class='ocr_par'>{lines}</p></div></div></body></html>
"""


def hocr_line(index: int, box: tuple[int, int, int, int], text: str, more: str = "", kind: str = "ocr_line") -> str:
    words = "\n ".join(f"<span class='ocrx_word' title='x_wconf 96'>{word}</span>" for word in text.split(" "))
    place = "bbox " + " ".join(map(str, box))
    return f"""<span class='{kind}' id='l{index}' title="{place}; x_size 20{more}">{words}\n</span>"""


def write_page(folder: Path, name: str, content: str, seed: int = 0) -> None:
    """An XML file and the image of the same name."""
    save(folder / f"{name}.png", page_image(seed))
    (folder / f"{name}.xml").write_text(content, encoding="utf-8")


def read_page(path: Path) -> PageText:
    """The only page of a file."""
    [page] = read_pages(path)
    return page


def prepared(folder: Path, **args: Any) -> AltoLinesDataset:
    dataset = AltoLinesDataset(str(folder), **(AS_IT_IS | args))
    assert dataset.straightened
    dataset.prepare()
    return dataset


def lines_of(dataset: AltoLinesDataset) -> dict[str, tuple[str, NDArray[np.uint8]]]:
    """Name, text and image of every line."""
    splits = [dataset.split(name) for name in SPLIT_NAMES]
    return {
        name: (text, split.image(position)[..., 0])
        for split in splits
        for position, (name, text) in enumerate(zip(split.ids, split.texts, strict=True))
    }
