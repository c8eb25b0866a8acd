"""Texts written into ALTO and PAGE XML files whose lines are given, and documents of their own."""

import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.models.prediction import Prediction, ReadPart, words_of
from text_recognizer.predictors.documents import alto, hocr, page_xml
from text_recognizer.predictors.filled_xml import filled
from text_recognizer.predictors.given_page import read_given_page
from text_recognizer.predictors.paragraph import LineOfText, PageReading
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets import archive_pages
from text_recognizer.tests.datasets.archive_pages import LINES, read_page, write_page


def prediction(text: str) -> Prediction:
    characters = tuple(ReadPart(one, 0.5, 10 * at, 10 * at + 10) for at, one in enumerate(text))
    return Prediction(text, 0.25, ((text, 0.25),), characters, words_of(characters))


def line_at(index: int, text: str) -> LineOfText:
    return LineOfText(LINES[index][0], prediction(text), line_px=10 * len(text))


class Echo:
    """Reads every line as the same text."""

    bundle = SimpleNamespace(data_spec=DataSpec((40, None, 1), ("", "a"), "line", straightened=True))

    def __init__(self, text: str) -> None:
        self.text = text

    def prepared(self, image: np.ndarray) -> np.ndarray:
        if image.shape[0] < 5:
            raise DataError("the image is blank.")
        return image[..., None]

    def predict_prepared(self, lines: list[np.ndarray]) -> list[Prediction]:
        return [prediction(self.text) for _ in lines]


def only(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    assert found is not None
    return found


def texts(path: Path) -> list[str]:
    return [line.text for line in read_page(path).lines]


def rewritten(path: Path, lines: list[LineOfText | None]) -> bytes:
    return filled(path, lines, 1.0, texts(path))


def test_texts_go_into_the_lines_of_an_alto_file_and_all_else_stays_as_it_was(tmp_path):
    content = archive_pages.alto().replace("<Layout>", "<!-- kept & odd -->\r\n<Layout   >")
    (tmp_path / "a.xml").write_bytes(content.encode())
    new = rewritten(tmp_path / "a.xml", [line_at(0, 'a "b" & <c>'), None, line_at(2, "")])
    (tmp_path / "b.xml").write_bytes(new)
    assert texts(tmp_path / "b.xml") == ['a "b" & <c>', "the second", ""]
    first = only(ET.fromstring(new), ".//{*}TextLine")
    assert [word.get("WC") for word in first.findall("{*}String")] == ["0.2500", "0.0312", "0.1250", "0.0625"]
    place = {name: only(first, "{*}String").get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")}
    assert place == {"HPOS": "10", "VPOS": "10", "WIDTH": "9", "HEIGHT": "20"}  # a tenth of the line
    old_head, new_head = content.encode().partition(b"<TextLine")[0], new.partition(b"<TextLine")[0]
    assert old_head == new_head
    assert new.endswith(content.encode().rpartition(b"</TextLine>")[2])
    middle = content.encode().partition(b'<TextLine ID="l1"')[2].partition(b"</TextLine>")[0]
    assert middle in new


@pytest.mark.parametrize(
    ("line", "filled_line"),
    [
        ('<TextLine ID="x" HPOS="1" />', '<TextLine ID="x" HPOS="1" ><String CONTENT="ab"'),
        ("<TextLine></TextLine>", '<TextLine><String CONTENT="ab"'),
        ("<TextLine><Shape><Polygon POINTS=''/></Shape> </TextLine>", '</Shape><String CONTENT="ab"'),
        ('<TextLine>\n  <String CONTENT="old"/>\n  <SP/>\n  <HYP CONTENT="-"/>\n</TextLine>', "<TextLine>\n  <String"),
    ],
)
def test_a_line_may_be_written_in_any_way(tmp_path, line, filled_line):
    (tmp_path / "a.xml").write_text(archive_pages.alto(line))
    new = rewritten(tmp_path / "a.xml", [line_at(0, "ab")]).decode()
    assert filled_line in new
    assert "old" not in new
    assert "HYP" not in new
    (tmp_path / "a.xml").write_text(new)
    assert texts(tmp_path / "a.xml") == ["ab"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_a_file_keeps_its_encoding_and_the_prefix_of_its_names(tmp_path, encoding):
    content = f"""<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>
<a:alto xmlns:a="x"><a:Description>é</a:Description><a:Layout><a:Page ID="p" WIDTH="9" HEIGHT="9"><a:TextLine
 HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"/></a:Page></a:Layout></a:alto>"""
    (tmp_path / "a.xml").write_bytes(content.encode(encoding))
    new = rewritten(tmp_path / "a.xml", [line_at(0, "é字")])
    (tmp_path / "a.xml").write_bytes(new)
    assert texts(tmp_path / "a.xml") == ["é字"]
    assert "<a:Description>é</a:Description>".encode(encoding.removesuffix("-sig"))[2:] in new
    assert b"a\0:\0S\0t" in new if encoding == "utf-16" else b"<a:String" in new


def test_texts_go_into_the_lines_words_and_regions_of_a_page_xml_file(tmp_path):
    region = "</TextLine><TextEquiv><Unicode>of old</Unicode></TextEquiv></TextRegion>"
    content = archive_pages.page_xml().replace("</TextLine></TextRegion>", region)
    content = content.replace('id="v"', 'id="l0_word_1"')  # taken already
    (tmp_path / "a.xml").write_text(content.replace("</TextLine>\n  </TextRegion>", region))
    new = rewritten(tmp_path / "a.xml", [line_at(0, "one two"), line_at(1, "<3>"), None])
    (tmp_path / "b.xml").write_bytes(new)
    assert texts(tmp_path / "b.xml") == ["one two", "<3>", "third"]
    root = ET.fromstring(new)
    assert only(root, ".//{*}TextRegion").findtext("{*}TextEquiv/{*}Unicode") == "one two\n<3>\nthird"
    first = only(root, ".//{*}TextLine")
    assert [child.tag.rpartition("}")[2] for child in first] == ["Coords", "Word", "Word", "TextEquiv"]
    assert only(first, "{*}TextEquiv").get("conf") == "0.2500"
    assert [word.findtext(".//{*}Unicode") for word in first.findall("{*}Word")] == ["one", "two"]
    names = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(names) == len(set(names))


def test_words_have_point_elements_where_the_file_has_them(tmp_path):
    line = '<TextLine id="a"><Coords><Point x="1" y="2"/><Point x="9" y="8"/></Coords></TextLine>'
    content = f'<PcGts><Page imageFilename="p"><TextRegion id="r">{line}</TextRegion></Page></PcGts>'
    (tmp_path / "a.xml").write_text(content)
    word = only(ET.fromstring(rewritten(tmp_path / "a.xml", [line_at(0, "x")])), ".//Word")
    assert len(word.findall("Coords/Point")) == 4


def test_lines_are_read_by_their_outlines_and_those_that_cannot_be_are_left(tmp_path, monkeypatch):
    flat = archive_pages.alto_line(3, (0, 0, 50, 3), "flat") + '<TextLine ID="n"><String CONTENT="none"/></TextLine>'
    lines = "".join(archive_pages.alto_line(index, *line) for index, line in enumerate(LINES)) + flat
    write_page(tmp_path, "page", archive_pages.alto(lines))
    page = read_given_page(tmp_path / "page.xml", Echo("new words"))  # type: ignore[arg-type]
    assert page.reading.text == "new words\nnew words\nnew words"
    assert [problem.partition(":")[0] for problem in page.problems] == [
        "line 'l3' is left as it is",
        "line 'n' is left as it is",
    ]
    with monkeypatch.context() as patched:
        patched.setattr("text_recognizer.datasets.formats.page_xml.read_xml", None)  # the tree is not made again
        (tmp_path / "page.xml").write_bytes(page.filled())
    assert texts(tmp_path / "page.xml") == ["new words"] * 3 + ["flat", "none"]


def test_boxes_are_written_in_the_units_of_the_file(tmp_path):
    # 400 x 240 tenths of a millimetre on 200 x 120 pixels.
    content = archive_pages.alto(archive_pages.alto_line(0, (20, 20, 220, 60), "x"), size='WIDTH="400" HEIGHT="240"')
    write_page(tmp_path, "page", content.replace(">pixel<", ">mm10<"))
    page = read_given_page(tmp_path / "page.xml", Echo("ab cd"))  # type: ignore[arg-type]
    assert page.reading.lines[0].box == (10, 10, 110, 30)
    word = only(ET.fromstring(page.filled()), ".//{*}String")
    assert (word.get("HPOS"), word.get("VPOS"), word.get("HEIGHT")) == ("20", "20", "40")


REGION_OF_TEXT = (
    '<PcGts><Page imageFilename="page.png"><TextRegion id="r"><TextEquiv><Unicode>a margin</Unicode></TextEquiv>'
    "</TextRegion></Page></PcGts>"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive_pages.alto(""), "gives no lines"),
        (REGION_OF_TEXT, "gives no lines .* predict .*page.png --pages"),
        (
            archive_pages.alto().replace("</Layout>", "<Page/></Layout>"),
            "holds 2 pages, .* Write a file for each page",
        ),
        ("<mets/>", "neither ALTO nor PAGE XML nor hOCR"),
        (archive_pages.hocr(), "is hOCR, whose lines are not read. .* predict .*page.png --pages"),
        ("<alto", "its XML file is damaged"),
        (archive_pages.alto(image="none.png"), "the image file is missing"),
        (archive_pages.alto(size='WIDTH="900" HEIGHT="120"'), "its image does not fit its page"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused_in_one_sentence(tmp_path, content, message):
    write_page(tmp_path, "page", content)
    if "none.png" in content:
        (tmp_path / "page.png").rename(tmp_path / "elsewhere.png")
    with pytest.raises(DataError, match=message) as refused:
        read_given_page(tmp_path / "page.xml", Echo("x"))  # type: ignore[arg-type]
    assert str(refused.value).startswith(str(tmp_path / "page.xml"))
    with pytest.raises(DataError, match="there is no XML file"):
        read_given_page(tmp_path / "none.xml", Echo("x"))  # type: ignore[arg-type]


def test_the_command_to_read_the_image_instead_can_be_copied(tmp_path):
    folder = tmp_path / "my pages"
    folder.mkdir()
    write_page(folder, "page", archive_pages.alto(""))
    with pytest.raises(DataError, match="gives no lines") as refused:
        read_given_page(folder / "page.xml", Echo("x"))  # type: ignore[arg-type]
    command = str(refused.value).partition("then found: ")[2].removesuffix(".")
    assert shlex.split(command) == ["text-recognizer", "predict", str(folder / "page.png"), "--pages"]


def test_a_file_that_changed_while_its_lines_were_read_is_not_written_to(tmp_path):
    (tmp_path / "a.xml").write_text(archive_pages.alto())
    with pytest.raises(DataError, match="it has 3 lines now"):
        rewritten(tmp_path / "a.xml", [None])


CORNERS = ((10.0, 10.0), (110.0, 10.0), (60.0, 30.0))
PAGE = PageReading(
    (
        LineOfText(
            (10, 10, 110, 30), prediction("a \x07b"), ((10, 28), (110, 27)), ((10, 10), (110, 10), (60, 30)), 40
        ),
        LineOfText((10, 40, 60, 60), prediction("<&>"), line_px=30),
        LineOfText((10, 70, 60, 90), prediction(""), line_px=30),
    ),
    200,
    120,
)


def test_real_pages_go_in_without_text_and_come_out_with_it_and_nothing_else_changed(tmp_path):
    real = shared_data("testaments_alto") / "TestamentsDePoilus_will_AN_0050-0.xml"
    shutil.copy(real.with_suffix(".jpg"), tmp_path)
    empty = re.sub(r"<String\b.*?(/>|</String>)", "", real.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = tmp_path / real.name
    path.write_text(empty, encoding="utf-8")
    assert not any(texts(path))
    page = read_given_page(path, Echo("lu et écrit"))  # type: ignore[arg-type]
    path.write_bytes(page.filled())
    assert texts(path) == ["lu et écrit"] * 16
    without = re.sub(r"<(String|SP)\b[^>]*>", "", path.read_text(encoding="utf-8"))
    assert without == empty


@pytest.mark.parametrize("write", [alto, page_xml])
def test_a_document_is_opened_by_the_importer(tmp_path, write):
    (tmp_path / "a.xml").write_text(write(PAGE, 'päge "1".png'), encoding="utf-8")
    page = read_page(tmp_path / "a.xml")
    assert (page.image, page.width, page.height) == ('päge "1".png', 200, 120)
    assert [line.text for line in page.lines] == ["a \ufffdb", "<&>", ""]
    assert page.lines[0].outline == ((10, 10), (110, 10), (60, 30))
    assert page.lines[0].baseline == ((10, 28), (110, 27))
    assert page.lines[1].outline == ((10, 40), (60, 40), (60, 60), (10, 60))


def test_alto_has_the_order_and_the_attributes_of_its_schema():
    root = ET.fromstring(alto(PAGE, "p.png"))
    children = {one.tag.rpartition("}")[2]: [child.tag.rpartition("}")[2] for child in one] for one in root.iter()}
    assert children["alto"] == ["Description", "Layout"]
    assert children["Description"] == ["MeasurementUnit", "sourceImageInformation", "Processing"]
    lines = root.findall(".//{*}TextLine")
    assert [child.tag.rpartition("}")[2] for child in lines[0]] == ["Shape", "String", "SP", "String"]
    assert [child.tag.rpartition("}")[2] for child in lines[2]] == ["String"]  # one at least
    assert {"ID", "PHYSICAL_IMG_NR"} <= set(only(root, ".//{*}Page").keys())
    assert only(root, ".//{*}TextBlock").get("ID") == "block"
    assert all(0 <= float(sure) <= 1 for word in root.iter() if (sure := word.get("WC")))


def test_a_blank_page_is_a_document_without_lines():
    for write in (alto, page_xml, hocr):
        root = ET.fromstring(write(PageReading((), 20, 10), "p.png"))
        assert not [one for one in root.iter() if one.tag.endswith(("TextLine", "TextBlock", "TextRegion", "span"))]


def test_hocr_says_where_words_are_and_how_sure_they_are():
    root = ET.fromstring(hocr(PAGE, 'a"b.png'))
    sheet = only(root, ".//{*}div[@class='ocr_page']")
    assert sheet.get("title") == 'image "ab.png"; bbox 0 0 200 120; ppageno 0'
    first = only(root, ".//{*}span[@class='ocrx_word']")
    assert (first.text, first.get("title")) == ("a", "bbox 10 10 35 30; x_wconf 25")


def test_hocr_has_outlines_and_baselines_where_they_are_known():
    root = ET.fromstring(hocr(PAGE, "p.png"))
    assert [line.get("title") for line in root.findall(".//{*}div[@class='ocr_line']")] == [
        "bbox 10 10 110 30; poly 10 10 110 10 60 30; baseline -0.010 -2.0",
        "bbox 10 40 60 60",
        "bbox 10 70 60 90",
    ]


def test_hocr_is_read_again_as_it_was_written(tmp_path):
    (tmp_path / "p.hocr").write_text(hocr(PAGE, "p.png"))
    (tmp_path / "p.xml").write_text(alto(PAGE, "p.png"))
    again, other = read_page(tmp_path / "p.hocr"), read_page(tmp_path / "p.xml")
    assert (again.image, again.width, again.height) == (other.image, other.width, other.height) == ("p.png", 200, 120)
    assert [(one.name, one.text, one.outline) for one in again.lines] == [
        (one.name, one.text, one.outline) for one in other.lines
    ]
    assert np.allclose(again.lines[0].baseline, [[10, 28], [110, 27]])


def test_hocr_says_which_lines_run_from_right_to_left():
    lines = tuple(LineOfText((10, 10, 30, 110), prediction(text)) for text in ("ab \u05d0", "\u05d0\u05d1 a.", "1"))
    root = ET.fromstring(hocr(PageReading(lines, 40, 120), "p.png"))
    assert [line.get("dir") for line in root.findall(".//{*}div[@class='ocr_line']")] == [None, "rtl", None]


def test_hocr_has_no_baseline_of_an_upright_line():
    upright = LineOfText((10, 10, 30, 110), prediction("a"), ((28, 110), (27, 10)), ((10, 10), (30, 10), (30, 110)), 40)
    root = ET.fromstring(hocr(PageReading((upright,), 40, 120), "p.png"))
    assert only(root, ".//{*}div[@class='ocr_line']").get("title") == "bbox 10 10 30 110; poly 10 10 30 10 30 110"


def test_words_of_a_line_whose_baseline_runs_to_the_left_are_where_they_stand(tmp_path):
    x1, _, x2, y2 = LINES[0][0]
    for baseline in (f"{x1} {y2 - 4} {x2} {y2 - 4}", f"{x2} {y2 - 4} {x1} {y2 - 4}"):
        line = archive_pages.alto_line(0, LINES[0][0], "").replace("<TextLine", f'<TextLine BASELINE="{baseline}"')
        write_page(tmp_path, "page", archive_pages.alto(line))
        (read,) = read_given_page(tmp_path / "page.xml", Echo("ab c")).reading.lines  # type: ignore[arg-type]
        assert [box for _, box in read.placed(read.prediction.words)] == [(10, 10, 30, 30), (40, 10, 50, 30)]


def test_a_file_of_several_pages_is_refused_with_what_to_do(tmp_path):
    frames = [Image.fromarray(archive_pages.page_image(seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "page.tif", save_all=True, append_images=frames[1:])
    (tmp_path / "page.xml").write_text(archive_pages.alto(image="").replace("</Layout>", "<Page/></Layout>"))
    with pytest.raises(DataError, match="it holds 2 pages. Write a file for each page"):
        read_given_page(tmp_path / "page.xml", Echo("ab"))  # type: ignore[arg-type]
