"""ALTO, PAGE XML and hOCR as text: what is read of it, and what is refused as hostile."""

import pytest

from text_recognizer.datasets.formats.xml_tree import read_xml
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.archive_pages import alto, hocr, hocr_line, read_page


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE alto [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n',
        '<!DOCTYPE alto [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n',
        '<!DOCTYPE alto [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>\n',
    ],
)
def test_entities_of_a_files_own_are_refused(tmp_path, head):
    (tmp_path / "a.xml").write_text(alto(head=head))
    with pytest.raises(DataError, match="it declares entities"):
        read_xml(tmp_path / "a.xml")


def test_a_document_type_without_entities_and_a_declared_encoding_are_fine(tmp_path):
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE form SYSTEM "form.dtd"><form id="é"/>'
    (tmp_path / "a.xml").write_bytes(text.encode("latin-1"))
    assert read_xml(tmp_path / "a.xml").get("id") == "é"
    (tmp_path / "a.xml").write_bytes(text.replace("ISO-8859-1", "UTF-8").encode("latin-1"))
    with pytest.raises(DataError, match="its XML file is damaged: .*not well-formed"):
        read_xml(tmp_path / "a.xml")


def test_corners_of_older_page_files_and_hyphens_of_alto_are_read(tmp_path):
    points = '<Coords><Point x="1" y="2"/><Point x="30" y="2"/><Point x="30" y="9"/></Coords>'
    (tmp_path / "a.xml").write_text(f'<PcGts><Page><TextLine id="l">{points}</TextLine></Page></PcGts>')
    assert read_page(tmp_path / "a.xml").lines[0].outline == ((1, 2), (30, 2), (30, 9))
    line = (
        '<TextLine><Shape><Polygon POINTS="1,2 30,2 30,9"/></Shape><String CONTENT="be"/><HYP CONTENT="-"/></TextLine>'
    )
    (tmp_path / "a.xml").write_text(alto(line))
    assert (read_page(tmp_path / "a.xml").lines[0].text, read_page(tmp_path / "a.xml").lines[0].name) == (
        "be-",
        "line.1",
    )
    assert read_page(tmp_path / "a.xml").lines[0].outline == ((1, 2), (30, 2), (30, 9))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("Oh", ",", None, "no", "!"), "Oh, no!"),
        (("all", "the", "words"), "all the words"),
        (("whole line",), "whole line"),
        ((None, "all", "the", "words", None), "all the words"),
        ((None,), ""),
    ],
)
def test_words_of_alto_are_parted_where_the_file_has_spaces_or_has_none_at_all(tmp_path, parts, text):
    strings = "".join("<SP/>" if one is None else f'<String CONTENT="{one}"/>' for one in parts)
    (tmp_path / "a.xml").write_text(alto(f"<TextLine>{strings}</TextLine>"))
    assert read_page(tmp_path / "a.xml").lines[0].text == text


def test_a_file_nested_deeper_than_any_format_is_refused(tmp_path):
    deep = "<TextLine>" * 20_000 + "</TextLine>" * 20_000
    (tmp_path / "a.xml").write_text(alto(deep))
    with pytest.raises(DataError, match="its elements are nested more than 32 deep"):
        read_page(tmp_path / "a.xml")


def test_the_kind_of_a_line_is_read_in_one_pass(tmp_path):
    def kind_of(custom):
        (tmp_path / "a.xml").write_text(f'<PcGts><Page><TextLine custom="{custom}"/></Page></PcGts>')
        return read_page(tmp_path / "a.xml").lines[0].kind

    assert kind_of("readingOrder {index:0;} structure {score:1; type:heading;}") == "heading"
    assert kind_of("structure{type: marginalia }") == "marginalia"
    assert kind_of("readingOrder {type:heading;}") == ""
    assert kind_of("structure {" * 200_000) == ""  # quadratic time would be hours


def test_corners_that_no_page_has_are_still_numbers(tmp_path):
    huge = "9" * 5_000
    line = f'<TextLine><Shape><Polygon POINTS="-{huge},2 {huge},2 30,{huge}"/></Shape></TextLine>'
    (tmp_path / "a.xml").write_text(alto(line))
    assert read_page(tmp_path / "a.xml").lines[0].outline == ((-1e9, 2), (1e9, 2), (30, 1e9))


def hocr_lines(tmp_path, *lines):
    (tmp_path / "a.hocr").write_text(hocr("".join(lines), "a; b.png"), encoding="utf-8")
    return read_page(tmp_path / "a.hocr")


def test_lines_of_hocr_have_the_text_of_their_words_and_the_baseline_that_starts_at_the_left_of_their_box(tmp_path):
    page = hocr_lines(
        tmp_path,
        hocr_line(0, (10, 10, 110, 30), "<strong>caf&eacute;</strong>&nbsp;&amp; &lt;tea&gt;", "; baseline 0.02 -5"),
        hocr_line(1, (10, 40, 110, 60), "a heading", "; poly 10 40 110 40 60 60", "ocr_header"),
        hocr_line(2, (10, 70, 20, 100), "x", "; baseline 0.1 -0.2 -3; x_descenders 5", "ocrx_line"),
        "<span class='ocr_line' title='bbox 1 2 9 8'><b class='ocrx_word'>Oh</b><b class='ocrx_word'>no</b></span>",
        "<span class='ocr_line' id='l1'>  no\n words</span>",
    )
    assert (page.image, page.width, page.height, page.format) == ("a; b.png", 200, 120, "hocr")
    assert [line.text for line in page.lines] == ["café\xa0& <tea>", "a heading", "x", "Oh no", "no words"]
    assert [line.kind for line in page.lines] == ["ocr_line", "ocr_header", "ocrx_line", "ocr_line", "ocr_line"]
    assert [line.name for line in page.lines] == ["l0", "l1", "l2", "line.4", "l1.5"]
    assert page.lines[0].outline == ((10, 10), (110, 10), (110, 30), (10, 30))
    assert page.lines[0].baseline == ((10, 25), (110, 27))
    assert (page.lines[1].outline, page.lines[1].baseline) == (((10, 40), (110, 40), (60, 60)), ())
    # 0.1 x² - 0.2 x - 3 below the corner at (10, 100): at x = 0, 5 and 10 that is -3, -1.5 and 5.
    assert [page.lines[2].baseline[at] for at in (0, 4, 8)] == [(10, 97), (15, 98.5), (20, 105)]
    assert page.lines[4].outline == ()
    endless = hocr_line(0, (1, 2, 30, 9), "a", f"; baseline {'9' * 400} {'9 ' * 400}")
    assert hocr_lines(tmp_path, endless).lines[0].baseline == ()


@pytest.mark.parametrize(
    ("angle", "baseline"),
    [(0, ((10, 85), (30, 85))), (90, ((30, 90), (30, 20))), (180, ((30, 20), (10, 20))), (270, ((10, 20), (10, 90)))],
)
def test_lines_of_hocr_that_are_turned_run_along_another_side_of_their_box(tmp_path, angle, baseline):
    line = hocr_line(0, (10, 20, 30, 90), "up", f"; textangle {angle}; baseline 0 -5")
    assert hocr_lines(tmp_path, line).lines[0].baseline == baseline


def test_hocr_of_a_part_of_an_image_is_in_pixels_and_a_line_around_lines_is_none(tmp_path):
    content = hocr(f"<div class='ocr_textfloat' title='bbox 0 0 9 9'>{hocr_line(0, (1, 2, 30, 9), 'in it')}</div>")
    (tmp_path / "a.html").write_text(content.replace("bbox 0 0 200 120; ppageno", "bbox 5 0 200 120; ppageno"))
    page = read_page(tmp_path / "a.html")
    assert (page.width, page.height, [line.text for line in page.lines]) == (0, 0, ["in it"])


def test_hocr_that_is_no_xml_or_has_an_unknown_entity_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.hocr").write_text("<html><head><meta charset='utf-8'></head><body></body></html>")
    with pytest.raises(DataError, match=r"damaged: .*mismatched tag.* hOCR must be XHTML: `tidy -asxhtml`"):
        read_page(tmp_path / "a.hocr")
    with pytest.raises(DataError, match="the entity &nonsense; is unknown"):
        hocr_lines(tmp_path, hocr_line(0, (1, 2, 30, 9), "a&nonsense;b"))
    (tmp_path / "a.hocr").write_text("<html><body/></html>")
    with pytest.raises(DataError, match="its file has no page"):
        read_page(tmp_path / "a.hocr")
