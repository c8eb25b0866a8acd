"""Files of transcribed pages: which count, which image belongs to each, and files of several pages."""

import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.formats.page_xml import read_pages
from text_recognizer.datasets.lines.alto_lines import AltoLinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.pages.alto_paragraphs import AltoParagraphsDataset
from text_recognizer.datasets.transcribed.alto_files import AltoFiles
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.archive_pages import (
    LINES,
    alto,
    alto_line,
    hocr,
    lines_of,
    page_image,
    page_xml,
    prepared,
    write_page,
)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_images_beside_the_folders_page_and_alto_of_transkribus_are_found(folder):
    for name in ("page", "alto", "other"):
        (folder / name).mkdir()
        (folder / name / "p1.xml").write_text(alto(image="scan.png"))
    (folder / "scan.png").touch()
    pages = {page.name: page for page in AltoLinesDataset(str(folder)).files.pages}
    assert {pages[name].image for name in ("page/p1", "alto/p1")} == {folder / "scan.png"}
    assert pages["other/p1"].problem == f"the image file is missing: {folder / 'other' / 'scan.png'}"
    (folder / "page" / "scan.png").touch()  # one beside the XML file comes first
    assert AltoLinesDataset(str(folder / "page")).files.pages[0].image == folder / "page" / "scan.png"


def test_an_image_is_found_by_a_name_that_macos_has_decomposed(folder):
    (folder / "p1.xml").write_text(alto(image="caf\u00e9.png"), encoding="utf-8")
    (folder / "cafe\u0301.png").touch()
    assert AltoLinesDataset(str(folder)).files.pages[0].image == folder / "cafe\u0301.png"


def test_an_image_is_named_from_the_workspace_that_ocr_d_keeps_its_pages_in(folder):
    for name in ("OCR-D-GT/p1.xml", "OCR-D-IMG/scan.tif", "other.tif"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    for image, place in (("OCR-D-IMG/scan.tif", "OCR-D-IMG/scan.tif"), ("other.tif", "OCR-D-GT/other.tif")):
        (folder / "OCR-D-GT" / "p1.xml").write_text(page_xml(image))
        assert AltoLinesDataset(str(folder / "OCR-D-GT")).files.pages[0].image == folder / place


def test_an_image_lies_as_deep_in_its_folder_as_the_page_in_that_of_xml_files_or_above(folder):
    xml, scans = folder / "read", folder / "scans"
    expected = ["box1/a.png", "box1/b ä.png", "box2/a.png"]
    for place in ("a.png", *expected):
        (scans / place).parent.mkdir(exist_ok=True, parents=True)
        (scans / place).touch()
    for page, image in (("box1/1", "a.png"), ("box1/2", "b%20%C3%A4.png"), ("box2/1", "a.png")):
        (xml / page).parent.mkdir(exist_ok=True, parents=True)
        (xml / f"{page}.xml").write_text(alto(image=image))

    def images():
        pages = AltoLinesDataset(str(xml), image_folder=str(scans)).files.pages
        return [page.image.relative_to(scans).as_posix() for page in pages]

    assert images() == expected
    (scans / "box2" / "a.png").unlink()
    assert images() == [*expected[:2], "a.png"]


def test_files_about_the_document_in_an_export_are_no_pages(folder):
    for index in range(3):
        write_page(folder, f"good{index}", alto(image=""), seed=index)
    (folder / "mets.xml").write_text('<ns3:mets xmlns:ns3="http://www.loc.gov/METS/"/>')
    (folder / "metadata.xml").write_text("<trpDocMetadata/>")
    assert str(AltoLinesDataset(str(folder)).outlook()) == "3 pages with 9 lines to convert"
    assert not prepared(folder).rejected
    with pytest.raises(DataError, match=r"neither ALTO nor PAGE XML nor hOCR \('mets'\)"):
        prepared(folder / "mets.xml")
    for index in range(3):
        (folder / f"good{index}.xml").unlink()
    for dataset in (AltoLinesDataset, AltoParagraphsDataset):
        with pytest.raises(DataError, match=r"holds files about whole documents \(metadata.xml\) but none of pages"):
            dataset(str(folder)).prepare()


def test_the_image_of_a_page_is_not_looked_for_any_further_once_it_is_found(folder, monkeypatch):
    write_page(folder, "é", alto(image=unicodedata.normalize("NFD", "é.png")))
    looked_for, isfile = set(), os.path.isfile

    def noted(path: Path) -> bool:
        looked_for.add(path.suffix)
        return isfile(path)

    monkeypatch.setattr(os.path, "isfile", noted)
    (page,) = AltoFiles(str(folder), None, None, None).pages
    assert (page.problem, page.image.name, looked_for) == ("", "é.png", {".png"})


@pytest.mark.parametrize("given", ["pages.zip", "."])
@pytest.mark.parametrize("dataset", [AltoLinesDataset, LineListDataset])
def test_an_archive_is_to_be_unpacked(folder, dataset, given):
    (folder / "pages.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"pages.zip is an archive. Unpack it and give the folder"):
        dataset(str(folder / given)).prepare()


def test_files_called_xml_in_capitals_are_pages_too(folder):
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
        (folder / f"p{index}.xml").rename(folder / f"p{index}.XML")
    assert prepared(folder).sizes() == {"train": 3, "validation": 3, "test": 3}


def test_an_image_that_is_missing_is_known_at_once_also_where_no_disk_can_hold_its_name(folder):
    for index in range(4):
        write_page(folder, f"p{index}", alto(image="a" * 300 + ".png"), seed=index)
    (folder / "p3.png").unlink()
    expected = "3 pages with 9 lines to convert. 1 page rejected: 1 x the image file is missing ('p3')."
    assert AltoLinesDataset(str(folder)).outlook() == expected
    dataset = prepared(folder)
    assert sum(dataset.sizes().values()) == 9  # the others have images of their own names beside them
    assert [(one.name, one.noun) for one in dataset.rejected] == [("p3", "page")]


@pytest.mark.parametrize("dataset", [AltoLinesDataset, AltoParagraphsDataset])
def test_if_all_images_are_missing_the_error_says_where_one_was_looked_for_and_how_to_name_their_folder(
    folder, dataset
):
    scans = folder.parent / "scans"
    scans.mkdir()
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
        (folder / f"p{index}.png").rename(scans / f"p{index}.png")
    expected = re.escape(f"the image of 'p0' is not at {folder / 'p0.jpg'}. dataset_args.image_folder names the folder")
    with pytest.raises(DataError, match=expected) as raised:
        dataset(str(folder)).prepare()
    assert dataset(str(folder)).outlook() == str(raised.value)
    dataset(str(folder), image_folder=str(scans)).prepare()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_page_of_the_size_before_the_turn_by_exif_is_rejected_with_what_to_do(folder, suffix):
    image, exif = Image.fromarray(page_image()).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter: as it was
    write_page(folder, "upright", alto(image=f"a.{suffix}"))
    write_page(folder, "stored", alto(image=f"a.{suffix}", size='WIDTH="120" HEIGHT="200"'))
    image.save(folder / f"a.{suffix}", exif=exif)
    (folder / "stored.png").unlink()
    dataset = AltoParagraphsDataset(str(folder), side=32)
    dataset.prepare()
    [rejected] = dataset.rejected
    assert rejected.name == "stored"
    assert "the file says 120 x 200, the size without the quarter turn in the EXIF orientation" in rejected.reason


def test_hocr_files_count_where_no_xml_file_has_their_name(folder):
    for index in range(3):
        write_page(folder, f"p{index}", hocr(image=f"p{index}.png"), seed=index)
        (folder / f"p{index}.xml").rename(folder / f"p{index}.hocr")
    (folder / "p0.xml").write_text(alto(alto_line(0, LINES[0][0], "in ALTO"), ""))
    found = {name: text for name, (text, _) in lines_of(prepared(folder)).items()}
    assert found == {"p0#l0": "in ALTO"} | {f"p{at}#l{index}": LINES[index][1] for at in (1, 2) for index in range(3)}


@pytest.mark.parametrize("dataset", [AltoLinesDataset, LineListDataset])
def test_a_data_set_that_kraken_compiled_is_refused_with_what_it_was_made_from(folder, dataset):
    (folder / "lines.arrow").write_bytes(b"ARROW1\0\0")
    for path in (folder, folder / "lines.arrow"):
        with pytest.raises(DataError, match=r"lines.arrow is a data set compiled by kraken.*\(AltoLinesDataset\)"):
            dataset(str(path)).prepare()


def with_pages(content, count):
    """The same file with its page so many times."""
    tag = "<div class='ocr_page'" if "ocr_page" in content else "<Page "
    begin, last = content.index(tag), "</div></div>" if "ocr_page" in content else "</Page>"
    end = content.index(last) + len(last)
    return content[:begin] + content[begin:end] * count + content[end:]


@pytest.mark.parametrize("content", [alto(), page_xml(), hocr()], ids=["ALTO", "PAGE", "hOCR"])
def test_the_pages_of_a_file_are_those_of_its_tiff_file(folder, content):
    frames = [Image.fromarray(page_image(seed)) for seed in range(3)]
    folder.mkdir(exist_ok=True)
    frames[0].save(folder / "scan.tif", save_all=True, append_images=frames[1:])
    (folder / "scan.xml").write_text(with_pages(content.replace("page.png", "scan.tif"), 3))
    found = lines_of(prepared(folder))
    assert {name: text for name, (text, _) in found.items()} == {
        f"scan-{page}#l{index}": text for page in (1, 2, 3) for index, (_, text) in enumerate(LINES)
    }
    (x1, y1, x2, y2), _ = LINES[1]
    for page in (1, 2, 3):
        assert np.array_equal(found[f"scan-{page}#l1"][1], page_image(page - 1)[y1:y2, x1:x2])
    pages = AltoParagraphsDataset(str(folder), side=64, margin=0)
    pages.prepare()
    assert sum(pages.sizes().values()) == 3  # each in a split of its own
    by_writer = AltoFiles(str(folder), None, None, "sc").pages
    assert [page.group for page in by_writer] == ["sc"] * 3


def test_pages_of_hocr_may_have_an_image_each(folder):
    for index in range(3):
        write_page(folder, f"p{index}", "", seed=index)
        (folder / f"p{index}.xml").unlink()
    content = with_pages(hocr(), 3)
    for index in range(3):
        content = content.replace("page.png", f"p{index}.png", 1)
    (folder / "book.hocr").write_text(content)
    assert [(one.name, one.image.name, one.frame) for one in AltoFiles(str(folder), None, None, None).pages] == [
        (f"book-{index + 1}", f"p{index}.png", None) for index in range(3)
    ]


@pytest.mark.parametrize("content", [alto(), page_xml()])
def test_a_file_with_more_pages_than_its_image_is_rejected_whole(folder, content):
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
    write_page(folder, "two", with_pages(content, 2).replace("page.png", "two.png"))
    dataset = prepared(folder)
    expected = f"its file holds 2 pages, its image 1: {folder / 'two.png'}. Write a file for each page"
    assert [(one.name, one.reason) for one in dataset.rejected] == [("two", expected)]
    (folder / "none.xml").write_text(with_pages(content, 0))
    with pytest.raises(DataError, match="its file has no page: "):
        read_pages(folder / "none.xml")
