"""ALTO and PAGE XML as text: what is read of it, and what is refused as hostile."""

import pytest

from text_recognizer.datasets.formats.page_xml import read_page
from text_recognizer.datasets.formats.xml_tree import read_xml
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.archive_pages import alto


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
