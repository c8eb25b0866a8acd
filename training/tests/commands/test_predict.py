"""What `text-recognizer predict` reads besides single files, and what it writes besides text."""

import io
import json
import socket
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec
from text_recognizer.models.bundle import write_bundle
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.datasets import archive_pages
from text_recognizer.tests.datasets.archive_pages import read_page, write_page
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import line_picture
from training.cli import main
from training.commands.predict_sources import sources_of

pytestmark = pytest.mark.usefixtures("unoptimised_graphs")
DIGIT = str(Path(__file__).parents[3] / "text_recognizer" / "tests" / "support" / "digits" / "3.png")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A reader with the weights that it began with, and a calibration."""
    data_spec = DataSpec((20, None, 1), ("", *"abc "), "line")
    model = LineModelCtc(data_spec, LineReader(filters=4, units=8, layers=1, dropout_amount=0.0))
    model.calibration = Calibration()
    sizes = {"filters": 4, "units": 8, "layers": 1}
    spec = ExperimentSpec("LineListDataset", "LineModelCtc", "line_reader", network_args=sizes)
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(folder, model, spec, "made", {}, "none")
    return str(folder)


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


@pytest.fixture
def pages(tmp_path):
    """A folder with an ALTO page, a PAGE page, a picture without XML, and an XML file that is no page."""
    folder = tmp_path / "pages"
    (folder / "box").mkdir(parents=True)
    write_page(folder, "one", archive_pages.alto())
    write_page(folder / "box", "two", archive_pages.page_xml("two.png"))
    save(folder / "line.png", line_picture("abcab"))
    (folder / "mets.xml").write_text("<mets/>")
    return folder


def test_a_folder_is_read_into_a_folder_and_given_pages_keep_their_own_format(bundle, pages, tmp_path, capfd):
    before = (pages / "one.xml").read_bytes()
    assert predict(pages, "--bundle", bundle, "--output", tmp_path / "out") == 0
    assert "wrote 3 files into" in capfd.readouterr().err
    names = sorted(one.relative_to(tmp_path / "out").as_posix() for one in (tmp_path / "out").rglob("*.*"))
    assert names == ["box/two.xml", "line.txt", "one.xml"]
    assert (pages / "one.xml").read_bytes() == before
    for path in (pages / "one.xml", pages / "box" / "two.xml"):
        old, new = read_page(path), read_page(tmp_path / "out" / path.relative_to(pages))
        assert [line.outline for line in new.lines] == [line.outline for line in old.lines]
        assert [line.text for line in new.lines] != [line.text for line in old.lines]
    assert predict(pages / "one.xml", "--bundle", bundle) == 0
    assert capfd.readouterr().out.encode() == (tmp_path / "out" / "one.xml").read_bytes()


def test_each_xml_file_of_a_folder_is_read_once_to_find_what_is_to_be_read(pages, monkeypatch):
    (pages / "damaged.xml").write_text("<alto")
    write_page(pages, "hocr", archive_pages.hocr())
    read, read_bytes = [], Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert [one.place.name for one in sources_of([str(pages)])] == ["two", "damaged", "hocr", "line", "one"]
    assert sorted(read) == ["damaged.xml", "hocr.xml", "mets.xml", "one.xml", "two.xml"]


def test_a_web_page_in_a_folder_is_passed_over(pages):
    (pages / "about.xml").write_text("<html xmlns='http://www.w3.org/1999/xhtml'><body><p>about</p></body></html>")
    assert [one.place.name for one in sources_of([str(pages)])] == ["two", "line", "one"]


def test_an_image_whose_page_lies_elsewhere_in_a_folder_is_read_once(bundle, tmp_path, capfd):
    write_page(tmp_path / "page", "0001", archive_pages.page_xml("scan 1.png"))
    (tmp_path / "page" / "0001.png").rename(tmp_path / "scan 1.png")  # as Transkribus exports them
    write_page(tmp_path / "xml", "two", archive_pages.alto(image="../scans/second.png"))
    (tmp_path / "scans").mkdir()
    (tmp_path / "xml" / "two.png").rename(tmp_path / "scans" / "second.png")
    assert predict(tmp_path, "--bundle", bundle, "--output", tmp_path / "out") == 0
    assert "wrote 2 files into" in capfd.readouterr().err
    names = sorted(one.relative_to(tmp_path / "out").as_posix() for one in (tmp_path / "out").rglob("*.*"))
    assert names == ["page/0001.xml", "xml/two.xml"]


def test_given_pages_are_shown_as_text_json_or_another_document_too(bundle, pages, capfd):
    page = pages / "one.xml"
    assert predict(page, "--bundle", bundle, "--json") == 0
    row = json.loads(capfd.readouterr().out)
    assert [line["box"] for line in row["lines"]] == [[10, 10, 110, 30], [10, 40, 150, 60], [20, 70, 90, 90]]
    assert all(line["time_ms"] > 0 and "expected_cer" in line for line in row["lines"])
    assert predict(page, "--bundle", bundle, "--format", "text") == 0
    assert capfd.readouterr().out == row["text"] + "\n"
    assert predict(page, "--bundle", bundle, "--format", "page") == 0
    assert "<PcGts" in capfd.readouterr().out


@pytest.mark.parametrize("kind", ["alto", "page"])
def test_pages_whose_lines_are_found_become_documents(bundle, pages, tmp_path, capfd, kind):
    assert predict(pages / "one.png", "--pages", "--bundle", bundle, "--format", kind) == 0
    (tmp_path / "found.xml").write_text(capfd.readouterr().out, encoding="utf-8")
    page = read_page(tmp_path / "found.xml")
    assert (page.image, page.width, page.height) == ("one.png", 200, 120)
    assert all(line.outline for line in page.lines)


def test_a_line_is_a_document_of_one_line(bundle, pages, capfd):
    assert predict(pages / "line.png", "--bundle", bundle, "--format", "hocr") == 0
    root = ET.fromstring(capfd.readouterr().out)
    (line,) = [one for one in root.iter() if one.get("class") == "ocr_line"]
    assert line.get("title") == "bbox 0 0 80 36"


def test_confidences_of_words_are_shown_when_asked_for(bundle, pages, capfd):
    assert predict(pages / "line.png", "--bundle", bundle, "--json") == 0
    row = json.loads(capfd.readouterr().out)
    assert predict(pages / "line.png", "--bundle", bundle, "--confidence") == 0
    assert capfd.readouterr().out.splitlines()[1:] == [
        f"  {word['confidence']:.3f}\t{word['text']}" for word in row.get("words", [])
    ]
    assert predict(pages / "one.xml", "--bundle", bundle, "--format", "text", "--confidence") == 0
    assert capfd.readouterr().out.count("expected CER") == 3


def test_an_image_comes_from_standard_input(monkeypatch, capfd):
    def typed(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    typed(Path(DIGIT).read_bytes())
    assert predict("-", "--json") == 0
    assert json.loads(capfd.readouterr().out)["text"] == "3"
    typed(b"")
    assert predict("-") == 2
    assert "standard input is empty" in capfd.readouterr().err


def test_an_image_comes_from_an_address_that_may_be_asked_and_a_refusal_names_it(monkeypatch, capfd):
    async def fetched(fetcher: object, url: str) -> bytes:
        return Path(DIGIT).read_bytes()

    assert predict("http://127.0.0.1/3.png") == 2
    assert "allow the host: --allow-host 127.0.0.1." in capfd.readouterr().err
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/3.png"
        assert predict(url, "--allow-host", "127.0.0.1") == 2
    assert f"{url} could not be fetched" in capfd.readouterr().err
    monkeypatch.setattr("text_recognizer.serving.fetching.Fetcher.fetch", fetched)
    assert predict("http://example.org/3.png", "--json") == 0
    assert json.loads(capfd.readouterr().out)["text"] == "3"


def test_an_image_is_read_by_its_form_unless_its_layout_is_given(tmp_path, capfd):
    line = save(tmp_path / "line.png", np.pad(line_picture("abc"), ((0, 0), (0, 40)), constant_values=255))
    page = save(tmp_path / "page.png", np.full((300, 300), 255, np.uint8))
    assert predict(DIGIT, line, page, "--json") == 0
    output = capfd.readouterr()
    digit, read_line, read_page = map(json.loads, output.out.splitlines())
    assert digit["text"] == "3"
    assert "expected_cer" in read_line
    assert read_page["lines"] == []
    assert [note.split(" because of its shape")[0] for note in output.err.splitlines()] == [
        f"note: {DIGIT} is read as a digit",
        f"note: {page} is read as a page",
    ]
    assert predict(DIGIT, "--layout", "line", "--json") == 0
    output = capfd.readouterr()
    assert "expected_cer" in json.loads(output.out)
    assert output.err == ""


def test_a_reader_of_lines_finds_those_of_a_page(bundle, tmp_path, capfd):
    page = save(tmp_path / "page.png", np.full((300, 300), 255, np.uint8))
    assert predict(page, "--bundle", bundle, "--json") == 0
    assert json.loads(capfd.readouterr().out)["lines"] == []
    assert predict(page, "--bundle", bundle, "--layout", "line") == 2
    assert "cannot be read as a line" in capfd.readouterr().err
    assert predict(DIGIT, "--bundle", bundle, "--layout", "character") == 2
    assert "reads a line, it does not read a character" in capfd.readouterr().err


def test_every_page_of_a_tiff_file_is_read_but_no_small_picture_of_one(tmp_path, capfd):
    three, eight = (Image.open(DIGIT.replace("3.png", f"{digit}.png")).convert("L") for digit in (3, 8))
    small = three.resize((4, 4))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    three.save(tmp_path / "scans.tif", save_all=True, append_images=[small, eight])
    assert predict(tmp_path / "scans.tif", "--json") == 0
    read = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    path = str(tmp_path / "scans.tif")
    assert [(one["image"], one["text"]) for one in read] == [(f"{path}, page 1", "3"), (f"{path}, page 2", "8")]
    assert predict(tmp_path, "--output", tmp_path / "read") == 0
    assert sorted(one.name for one in (tmp_path / "read").iterdir()) == ["scans-1.txt", "scans-2.txt"]
    capfd.readouterr()
    Image.new("L", (60, 20)).save(tmp_path / "blank.tif")
    assert predict(tmp_path / "blank.tif", "--layout", "line") == 2
    assert f"error: {tmp_path / 'blank.tif'}: the image cannot be read as a line" in capfd.readouterr().err


def test_one_image_that_cannot_be_read_does_not_keep_the_others_from_it(tmp_path, capfd):
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert predict(tmp_path / "broken.png", DIGIT, "--json") == 2
    output = capfd.readouterr()
    assert json.loads(output.out)["text"] == "3"
    assert output.err.count("error: ") == 1


def test_a_link_that_leads_to_itself_does_not_keep_a_folder_from_being_read(tmp_path, capfd):
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "three.png").write_bytes(Path(DIGIT).read_bytes())
    assert predict(tmp_path, "--output", tmp_path / "read") == 2
    said = capfd.readouterr().err
    assert said.count("error: ") == 1
    assert "wrote 1 file into" in said


def test_of_a_folder_what_was_not_read_is_said(tmp_path, capfd):
    for name in ("a.JP2", "b.pdf", "._three.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "three.PNG").write_bytes(Path(DIGIT).read_bytes())
    assert predict(tmp_path, "--output", tmp_path / "read") == 2
    warning, reading, error, note, wrote, failed = capfd.readouterr().err.splitlines()
    assert warning == (
        f"warning: 2 files in {tmp_path}, like a.JP2, cannot be read (PNG, JPEG, TIFF, BMP, GIF, WebP, PNM can)."
    )
    assert reading == "predict: reading 2 images"
    assert error.startswith("error: the file is not an image")
    assert note.startswith("note: ")
    assert wrote == f"wrote 1 file into {tmp_path / 'read'}"
    assert failed == "1 of 2 images could not be read; see the errors above."


def test_what_is_wrong_with_several_pages_is_said_once(bundle, tmp_path, capfd):
    for name in ("a", "b", "c"):
        write_page(tmp_path, name, archive_pages.alto(size="").replace(">pixel<", ">mm10<"))
    (tmp_path / "d.xml").write_text("<alto")
    assert predict(tmp_path, "--bundle", bundle, "--output", tmp_path / "read") == 2
    _, first, second, third, other, _, failed = capfd.readouterr().err.splitlines()
    assert first.startswith(f"error: {tmp_path / 'a.xml'} cannot be read: its outlines are in the unit 'mm10' but its")
    for name, said in (("b.xml", second), ("c.xml", third)):
        assert said == f"error: {tmp_path / name} cannot be read for the same reason as {tmp_path / 'a.xml'}."
    assert "d.xml cannot be read: its XML file is damaged" in other
    assert failed == "4 of 4 images could not be read; see the errors above."


def test_the_same_reason_is_recognised_whatever_the_names(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "e"):  # letters of the error itself
        Path(name).write_bytes(b"no image")
    assert predict("a", "e", "r", "s") == 2
    _, other, missing, too, _ = capfd.readouterr().err.splitlines()
    assert other == "error: e cannot be read for the same reason as a."
    assert (missing, too) == (
        "error: the image file is missing: r.",
        "error: s cannot be read for the same reason as r.",
    )


def test_what_would_be_written_over_is_refused_before_anything_is_read(bundle, pages, tmp_path, capfd):
    save(tmp_path / "line.png", np.full((9, 9), 9, np.uint8))
    twice = [pages / "line.png", tmp_path / "line.png"]
    assert predict(*twice, "--bundle", bundle, "--output", tmp_path / "out") == 2
    assert "would overwrite" in capfd.readouterr().err
    assert predict(pages / "one.xml", "--bundle", bundle, "--output", pages) == 2
    assert "would overwrite" in capfd.readouterr().err
    (tmp_path / "line.txt").write_text("transcribed by hand")
    assert predict(tmp_path / "line.png", "--bundle", bundle, "--output", tmp_path) == 2
    assert "line.txt already exists. Choose another --output folder, or add --overwrite" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_reading_that_was_corrected_by_hand_is_replaced_only_on_request(tmp_path, capfd):
    assert predict(DIGIT, "--output", tmp_path / "read") == 0
    (read,) = (tmp_path / "read").iterdir()
    read.write_text("corrected")
    assert predict(DIGIT, "--output", tmp_path / "read") == 2
    assert f"{read} already exists" in capfd.readouterr().err
    assert read.read_text() == "corrected"
    assert predict(DIGIT, "--output", tmp_path / "read", "--overwrite") == 0
    assert read.read_text() == "3\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((DIGIT, "--format", "alto", "--bundle", DEFAULT_BUNDLE), "--format alto is for lines and pages"),
        ((DIGIT, "--format", "alto", "--layout", "character"), "--format alto is for lines and pages"),
        (("PAGES/one.xml", "--layout", "character"), "XML files give lines, but the bundle"),
        (("PAGES/one.xml", "--layout", "line", "--bundle", DEFAULT_BUNDLE), "XML files give lines, but the bundle"),
        (("PAGES/one.xml", "--bundle", DEFAULT_BUNDLE), "XML files give lines, but the bundle"),
        (("PAGES", "--format", "alto"), "3 documents cannot be printed together"),
        (("EMPTY",), "holds no images"),
        (("http://[x",), "address cannot be read"),
        (("PAGES/mets.xml", "--bundle", "READER"), "neither ALTO nor PAGE XML"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(bundle, pages, tmp_path, capfd, arguments, message):
    (tmp_path / "empty").mkdir()
    names = {"PAGES": str(pages), "EMPTY": str(tmp_path / "empty"), "READER": bundle}
    filled = [next((one.replace(key, names[key]) for key in names if one.startswith(key)), one) for one in arguments]
    assert predict(*filled) == 2
    output = capfd.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not output.out
