"""Lines of archives: ALTO and PAGE XML, outlines, writers, pages that are wrong."""

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.lines.alto_lines import AltoLinesDataset
from text_recognizer.datasets.pages.alto_paragraphs import AltoParagraphsDataset
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.datasets.transcribed.alto_files import AltoFiles
from text_recognizer.datasets.transcribed.page_images import cut_out, in_pixels, inside_image
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.archive_pages import (
    LINES,
    alto,
    alto_line,
    hocr,
    lines_of,
    page_image,
    page_xml,
    polygon,
    prepared,
    read_page,
    write_page,
)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("content", [alto(), page_xml(), hocr()], ids=["ALTO", "PAGE", "hOCR"])
def test_lines_are_cut_out_where_the_file_says(folder, content):
    for index in range(3):
        write_page(folder, f"p{index}", content.replace("page.png", f"p{index}.png"), seed=index)
    dataset = prepared(folder)
    found = lines_of(dataset)
    assert {name: text for name, (text, _) in found.items()} == {
        f"p{page}#l{index}": text for page in range(3) for index, (_, text) in enumerate(LINES)
    }
    x1, y1, x2, y2 = LINES[1][0]
    assert np.array_equal(found["p2#l1"][1], page_image(2)[y1:y2, x1:x2])
    assert dataset.sizes() == {"train": 3, "validation": 3, "test": 3}  # whole pages


def test_what_is_outside_a_polygon_gets_the_paper_of_its_inside(folder):
    # The left half of the first line's box, cut along a diagonal from its lower left to its upper right corner.
    for index in range(3):
        line = alto_line(0, LINES[0][0], "first line", polygon("10 10 60 10 10 30"))
        write_page(folder, f"p{index}", alto(line, f"p{index}.png"), seed=index)
    picture = lines_of(prepared(folder))["p0#l0"][1]
    assert picture.shape == (20, 50)
    assert (picture[8:, 32:] == np.median(picture[:4, :4])).all()
    assert page_image(0)[18:30, 42:60].min() < 60  # where the page has strokes
    assert np.array_equal(picture[5:8, 2:25], page_image(0)[15:18, 12:35])
    box = lines_of(prepared(folder, crop="box"))["p0#l0"][1]
    assert np.array_equal(box, page_image(0)[10:30, 10:60])


def test_lines_of_a_page_upside_down_are_cut_out_as_they_are_read(folder):
    (x1, y1, x2, y2), _ = LINES[0]
    outline = f"{200 - x1},{120 - y1} {200 - x2},{120 - y1} {200 - x2},{120 - y2} {200 - x1},{120 - y2}"
    baseline = f"{200 - x1},{120 - y2 + 5} {200 - x2},{120 - y2 + 5}"
    for index, text in enumerate(("first", "line", "\u05d0\u05d1")):
        content = (
            f'<PcGts><Page imageFilename="p{index}.png"><TextLine id="l0"><Coords points="{outline}"/>'
            f'<Baseline points="{baseline}"/><TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine></Page></PcGts>'
        )
        write_page(folder, f"p{index}", content, seed=index)
        Image.fromarray(page_image(index)[::-1, ::-1]).save(folder / f"p{index}.png")
    found = lines_of(prepared(folder))
    for index in (0, 1):
        expected = page_image(index)[y1:y2, x1:x2].astype(int)
        assert np.abs(found[f"p{index}#l0"][1][:, :95] - expected[:, :95]).mean() < 20
    hebrew = page_image(2)[::-1, ::-1][120 - y2 : 120 - y1, 200 - x2 : 200 - x1]
    assert np.array_equal(found["p2#l0"][1], hebrew)  # its baseline may run either way


def page_of_lines(image, *lines):
    """PAGE XML of lines: outline, baseline, text."""
    return (
        f'<PcGts><Page imageFilename="{image}">'
        + "".join(
            f'<TextLine id="l{number}"><Coords points="{outline}"/><Baseline points="{baseline}"/>'
            f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
            for number, (outline, baseline, text) in enumerate(lines)
        )
        + "</Page></PcGts>"
    )


def test_vertical_lines_from_right_to_left_are_cut_out_upright_whichever_way_their_baseline_runs(folder):
    outline, up, down = "10,10 40,10 40,110 10,110", "35,110 35,10", "35,10 35,110"
    for name, baseline, text in (("a", up, "\u05d0\u05d1"), ("b", down, "\u05d0\u05d1"), ("c", down, "downwards")):
        write_page(folder, name, page_of_lines(f"{name}.png", (outline, baseline, text)))
    upwards, from_the_right, downwards = (page.cut().read(0) for page in AltoFiles(str(folder), None, None, None).pages)
    assert np.array_equal(upwards, from_the_right)
    assert not np.array_equal(upwards, downwards)
    (folder / "c.xml").write_text((folder / "b.xml").read_text().replace("\u05d0\u05d1", ""))
    page = AltoFiles(str(folder / "c.xml"), None, None, None).pages[0]
    assert np.array_equal(page.cut(alphabet="\u05d0\u05d1").read(0), upwards)
    assert np.array_equal(page.cut().read(0), downwards)  # nothing says that it is Hebrew


def test_one_latin_line_does_not_turn_a_page_of_right_to_left_lines(folder):
    (x1, y1, x2, y2), _ = LINES[0]
    outline, baseline = f"{x1},{y1} {x2},{y1} {x2},{y2} {x1},{y2}", f"{x2},{y1 + 8} {x1},{y1 + 8}"  # more is below it
    for index in range(3):
        lines = [(outline, baseline, text) for text in ("Latin", "\u05d0\u05d1")]
        write_page(folder, f"p{index}", page_of_lines(f"p{index}.png", *lines), seed=index)
    found = lines_of(prepared(folder))
    for index in range(3):
        assert np.array_equal(found[f"p{index}#l1"][1], page_image(index)[y1:y2, x1:x2])


def test_outlines_are_scaled_to_an_image_of_another_size(folder):
    for index in range(3):
        write_page(folder, f"p{index}", alto(image=f"p{index}.png"), seed=index)
        whole = Image.fromarray(page_image(index))
        whole.resize((400, 240), Image.Resampling.NEAREST).save(folder / f"p{index}.png")
    picture = lines_of(prepared(folder, height=40))["p1#l2"][1]
    assert picture.shape == (40, 140)
    assert np.array_equal(picture[::2, ::2], page_image(1)[70:90, 20:90])


def test_pages_of_a_writer_go_into_one_split(folder):
    for index in range(8):
        write_page(folder, f"{('ann', 'bob', 'eve')[index % 3]}{index}-x", alto(image=""), seed=index)
    dataset = prepared(folder, writer_pattern=r"([a-z]+)\d")
    writers = [set(dataset.split(name).groups or ()) for name in SPLIT_NAMES]
    assert [len(names) for names in writers] == [1, 1, 1]
    assert set.union(*writers) == {"ann", "bob", "eve"}


def test_too_few_pages_to_split_are_refused_without_naming_what_the_dataset_does_not_have(folder):
    for index in range(2):
        write_page(folder, f"p{index}", alto(image=""), seed=index)
    with pytest.raises(DataError, match=r"only 3 lines would be left, all of '\w+'\. Add lines of others\.$"):
        prepared(folder)
    pages = AltoParagraphsDataset(str(folder), side=64)
    pages.prepare()
    with pytest.raises(DataError, match=r"only 1 page would be left, all of '\w+'\. Add pages of others\.$"):
        pages.split("train")


def test_folders_called_like_a_split_give_it(folder):
    for index, split in enumerate(("train", "val", "test")):
        write_page(folder / split, "page", alto(), seed=index)
    dataset = prepared(folder)
    assert dataset.sizes() == {"train": 3, "validation": 3, "test": 3}
    assert dataset.split("validation").ids[0] == "val/page#l0"


def test_line_types_choose_lines_by_what_the_files_call_them(folder):
    mixed = "".join(alto_line(index, *line, tag=f"T{1 + (index == 1)}") for index, line in enumerate(LINES))
    for index in range(3):
        write_page(folder, f"p{index}", alto(mixed, ""), seed=index)
    assert {text for text, _ in lines_of(prepared(folder, line_types=("HeadingLine",))).values()} == {"the second"}
    write_page(folder, "p0", page_xml("p0.png"))
    assert read_page(folder / "p0.xml").lines[0].kind == "heading"


def test_line_types_that_no_line_has_are_refused_with_those_that_there_are(folder):
    write_page(folder, "p0", alto())
    dataset = AltoLinesDataset(str(folder), line_types=("Defaultline",))
    expected = (
        f"{folder} has no lines of dataset_args.line_types. Did you mean 'DefaultLine'? Received: ['Defaultline']. "
        f"Its lines have the types: DefaultLine."
    )
    with pytest.raises(DataError) as error:
        dataset.scan()
    assert str(error.value) == expected


def test_regions_whose_text_is_not_divided_into_lines_are_rejected_by_name(folder):
    for index in range(3):
        write_page(folder, f"good{index}", page_xml(f"good{index}.png"), seed=index)
    region = '<TextRegion id="whole"><TextEquiv><Unicode>a margin</Unicode></TextEquiv></TextRegion>'
    blank = '<TextRegion id="blank"><TextEquiv><Unicode/></TextEquiv></TextRegion>'
    begin, end = page_xml("").split("<TextRegion")[0], "</Page></PcGts>"
    write_page(folder, "good0", page_xml("good0.png").replace("</Page>", f"{region}{blank}</Page>"))
    write_page(folder, "whole", f"{begin}{region}{end}")
    write_page(folder, "blank", f"{begin}{blank}{end}")
    assert str(AltoLinesDataset(str(folder)).outlook()) == (
        "3 pages with 9 lines to convert. 1 region and 1 page rejected: "
        "2 x its text is not divided into lines (TextLine) ('good0#whole')."
    )
    dataset = prepared(folder)
    assert [(one.name, one.noun) for one in dataset.rejected] == [("good0#whole", "region"), ("whole", "page")]
    pages = AltoParagraphsDataset(str(folder), side=32)
    pages.prepare()
    assert [one.name for one in pages.rejected] == ["whole"]  # it is no example of a blank page


def test_whatever_is_wrong_with_a_page_is_rejected_by_name_and_reason(folder):
    for index in range(3):
        write_page(folder, f"good{index}", alto(image=""), seed=index)
    box = LINES[0][0]
    wrong = (
        alto_line(0, box, "flat", polygon("10 10 60 10 30 10"))
        + alto_line(1, (300, 10, 340, 30), "outside")
        + alto_line(2, box, "")
        + '<TextLine ID="l3"><String CONTENT="nowhere"/></TextLine>'
        + alto_line(4, (20, 20, 20, 40), "no width")
        + alto_line(4, box, "twice l4")
    )
    write_page(folder, "wrong", alto(wrong, ""), seed=7)
    write_page(folder, "noimage", alto(alto_line(0, box, "gone"), ""))
    (folder / "noimage.png").unlink()
    (folder / "broken.xml").write_text(alto()[:-40])
    (folder / "tei.xml").write_text("<TEI/>")
    write_page(folder, "turned", alto(alto_line(0, box, "turned"), "", size='WIDTH="120" HEIGHT="200"'))
    dataset = prepared(folder)
    reasons = {one.name: one.reason for one in dataset.rejected}
    assert reasons.pop("broken").startswith(f"its XML file is damaged: {folder / 'broken.xml'}: ")
    assert reasons == {
        "wrong#l0": "its polygon has no area",
        "wrong#l1": "its polygon lies outside the image",
        "wrong#l2": "its label is empty",
        "wrong#l3": "it has no outline",
        "wrong#l4": "its polygon has no area",
        "noimage": f"the image file is missing: {folder / 'noimage.jpg'}",
        "tei": f"its file is neither ALTO nor PAGE XML nor hOCR: {folder / 'tei.xml'} begins with <TEI>",
        "turned#l0": "its image does not fit its page: 200 x 120 pixels, but the file says 120 x 200",
    }
    assert lines_of(dataset)["wrong#l4.6"][0] == "twice l4"


def test_a_pattern_that_is_none_is_refused_and_so_is_one_that_fits_no_file(folder):
    with pytest.raises(SpecError, match="writer_pattern is not a regular expression"):
        AltoLinesDataset(str(folder), writer_pattern="(")
    write_page(folder, "page", alto())
    with pytest.raises(
        DataError, match=r"1 x dataset_args.writer_pattern '\\\\d' finds no writer in its name \('page'\)"
    ):
        prepared(folder, writer_pattern=r"\d")
    for pattern in ("(x*)", r"^(AN_\d+)?"):
        with pytest.raises(DataError, match=r"finds no writer in its name \('page'\)"):
            prepared(folder, writer_pattern=pattern)
    with pytest.raises(DataError, match="nothing cannot be read: No such file or directory"):
        prepared(folder / "nothing")
    (folder / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no ALTO or PAGE XML files"):
        prepared(folder / "nothing")


def test_a_file_whose_name_has_no_writer_is_rejected_by_name_and_the_others_are_read(folder, capsys):
    for index, name in enumerate(["w1", "w2", "w3", "cover"]):
        write_page(folder, name, alto(image=""), seed=index)
    outlook = (
        "3 pages with 9 lines to convert. 1 page rejected: 1 x dataset_args.writer_pattern 'w\\\\d' finds no writer"
    )
    assert str(AltoLinesDataset(str(folder), writer_pattern=r"w\d").outlook()).startswith(outlook)
    dataset = prepared(folder, writer_pattern=r"w\d")
    assert sum(dataset.sizes().values()) == 9
    assert [(one.name, one.reason) for one in dataset.rejected] == [
        (
            "cover",
            "dataset_args.writer_pattern 'w\\\\d' finds no writer in its name: it must match at least one "
            "character, for example with + instead of * or ?",
        )
    ]
    assert "1 page rejected" in capsys.readouterr().err
    pages = AltoParagraphsDataset(str(folder), writer_pattern=r"w\d", side=32)
    assert str(pages.outlook()).startswith("3 pages with 9 lines to convert. 1 page rejected")
    pages.prepare()
    assert [one.name for one in pages.rejected] == ["cover"]


def test_what_cannot_be_looked_at_yet_has_no_outlook(tmp_path):
    assert AltoLinesDataset(str(tmp_path / "nowhere")).outlook() is None


@pytest.mark.parametrize("dataset", [AltoParagraphsDataset, PageListDataset])
def test_that_pages_which_no_run_fetches_are_missing_is_their_outlook(tmp_path, dataset):
    with pytest.raises(DataError, match="nowhere"):
        dataset(str(tmp_path / "nowhere")).outlook()


def test_a_file_that_is_no_page_needs_no_writer(folder):
    for index in range(3):
        write_page(folder, f"w{index}", alto(image=""), seed=index)
    (folder / "tei.xml").write_text("<TEI/>")
    dataset = prepared(folder, writer_pattern=r"w\d")
    assert dataset.sizes() == {"train": 3, "validation": 3, "test": 3}
    assert [one.name for one in dataset.rejected] == ["tei"]


def test_tenths_of_millimetres_become_pixels_by_the_size_of_the_page_or_are_refused(folder):
    # A page of 200 x 120 pixels and 400 x 240 tenths of a millimetre.
    doubled = [((2 * x1, 2 * y1, 2 * x2, 2 * y2), text) for (x1, y1, x2, y2), text in LINES]
    lines = "".join(alto_line(index, *line) for index, line in enumerate(doubled))
    for index in range(4):
        size = ("", 'WIDTH="400" HEIGHT="240"', 'WIDTH="400"', 'HEIGHT="240"')[index]
        content = alto(lines, "", size=size).replace(">pixel<", ">mm10<")
        write_page(folder, f"p{index}", content, seed=index)
    dataset = prepared(folder)
    found = lines_of(dataset)
    assert len(found) == 9
    for index in (1, 2, 3):
        x1, y1, x2, y2 = LINES[1][0]
        assert np.array_equal(found[f"p{index}#l1"][1], page_image(index)[y1:y2, x1:x2])
    assert [one.name for one in dataset.rejected] == ["p0"]
    assert dataset.rejected[0].reason.startswith("its outlines are in the unit 'mm10' but its page has no size: ")


def test_cutting_out_stays_inside_the_image():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(cut_out(image, ((-5, -5), (4, -5), (4, 3), (-5, 3))), image[:3, :4])
    with pytest.raises(UnfitImageError, match="outside the image"):
        cut_out(image, ((20, 20), (30, 20), (30, 30)))
    # Beyond 32 bits, drawing a polygon would go wrong: (4, 4) to far right, cut off at the right border.
    far = cut_out(np.full((10, 10), 7, np.uint8), ((4, 2), (1e12, 2), (1e12, 8), (4, 8), (4, 5)))
    assert far.shape == (6, 6)
    assert (far == 7).all()
    with pytest.raises(UnfitImageError, match="not a finite number"):
        in_pixels(((0, 0), (float("inf"), 0), (3, 3)), 1.0)


def test_a_polygon_is_cut_at_the_borders_of_its_image():
    image = np.zeros((10, 20), np.uint8)
    inside = ((1.0, 1.0), (20.0, 1.0), (20.0, 10.0))
    assert inside_image(inside, image) == inside
    # The corner at the left lies 10 outside of it; the edges to it cross the border half way.
    assert inside_image(((-10, 5), (10, 0), (10, 10)), image) == ((0, 2.5), (10, 0), (10, 10), (0, 7.5))
    assert inside_image(((30, 0), (40, 0), (40, 9)), image) == ()


def test_nine_real_pages_give_their_lines_and_one_that_was_turned_is_found():
    dataset = AltoLinesDataset(str(shared_data("testaments_alto")), writer_pattern=r"(?:AN|AD78)_\d+")
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 105
    # Its XML was written for the image before a tag turned it: the boxes lie elsewhere.
    assert [one.name.partition("#")[0] for one in dataset.rejected] == ["TestamentsDePoilus_will_AD78_0005-0"]
    assert "does not fit its page: 1832 x 1416 pixels, but the file says 1416 x 1832" in dataset.rejected[0].reason
    inked = [(dataset.split("train").image(index) > 128).mean() for index in range(30)]
    assert 0.02 < min(inked) <= max(inked) < 0.4
