"""IAM: texts, filters, lines and paragraphs, on files of its layout; the published counts on the real ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.formats.iam import flor_keeps, flor_text, read_form_xml, read_lines_txt
from text_recognizer.datasets.lines.iam import CHARACTERS, IamDataset, IamLinesDataset
from text_recognizer.datasets.pages.iam_paragraphs import IamParagraphsDataset
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.iam_files import box, form_image, members, prepared, texts

# Of the user, before the tests set their own.
REAL = Path(os.environ.get("TEXT_RECOGNIZER_DATA", "/nowhere")) / "raw" / "iam"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_texts_come_from_ascii_with_parted_punctuation_or_from_xml_as_they_were(iam):
    assert texts(prepared(iam))["a01-000u-02"] == 'he said , " yes " .'
    assert texts(prepared(iam, texts="xml"))["a01-000u-02"] == 'he said, "yes".'
    assert texts(prepared(iam))["b02-045-00"] == "0 1 2 3"  # a word with a blank in it


def test_the_filter_ok_keeps_lines_whose_words_were_found(iam):
    assert members(prepared(iam, filters=("ok",))) == {
        "train": ["a01-000u-00", "a01-000u-02"],
        "validation": ["a01-003-00", "b02-045-00", "b02-045-01"],
        "test": ["c03-000a-00"],
    }
    assert "a01-000u-01" not in texts(prepared(iam, filters=("ok",), texts="xml"))


def test_the_filter_of_2020_also_drops_lines_of_little_but_punctuation(iam):
    # he said , " yes " .  has 3 of its 16 characters between its ends as punctuation; ... has nothing else.
    assert members(prepared(iam, filters=("flor2020",))) == {
        "train": ["a01-000u-00"],
        "validation": ["a01-003-00", "b02-045-00"],
        "test": ["c03-000a-00"],
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", False),
        ("...", False),
        ("ab", False),  # two characters besides punctuation
        ("abc", True),
        ("abc.", True),  # marks at both ends do not count
        ('"abc!?', True),
        ("abcd,efghi", True),  # 1 of 10
        ("abcd,efgh", False),  # 1 of 9
        ("a,b.c defgh ijklm nopqr stuv", True),  # 2 of 28
        ("a,b.c,d", False),
    ],
)
def test_the_rule_of_2020_by_hand(text, kept):
    assert flor_keeps(text) is kept


def test_texts_are_standardised_as_in_2020():
    assert flor_text("a\u2014b [c] &quot;d&quot;.") == 'a - b ( c ) " d " .'
    assert flor_text('said "yes"') == 'said " yes'  # nothing ends with a quotation mark
    assert flor_text("it\u2019s \u00a32") == "it ' s 2"
    assert flor_text(", and so (") == "and so"


def test_standardised_texts_are_learnt_where_that_is_asked_for(iam):
    assert texts(prepared(iam, texts="xml", standardize=True))["a01-000u-02"] == 'he said , " yes " .'


@pytest.mark.parametrize("texts_of", ["ascii", "xml"])
def test_lines_are_cut_out_of_the_forms_at_their_boxes(iam, texts_of):
    dataset = prepared(iam, images="forms", texts=texts_of, height=30)
    x, y, width, height = box(1)
    picture = dataset.split("train").image(1)[..., 0]
    assert np.array_equal(picture, form_image("a01-000u")[y : y + height, x : x + width])


def test_forms_of_half_the_size_are_cut_at_half_the_boxes(iam):
    for path in (iam / "forms").iterdir():
        Image.open(path).resize((200, 150), Image.Resampling.NEAREST).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    dataset = prepared(iam, images="forms", texts="xml", height=15)
    assert dataset.split("train").widths.tolist() == [box(index)[2] // 2 for index in range(3)]


def test_the_79_characters_are_known_before_any_file_is_there(tmp_path):
    dataset = IamDataset(str(tmp_path / "nothing"))
    assert len(CHARACTERS) == 79
    assert dataset.data_spec.classes == ("", *CHARACTERS)
    assert dataset.data_spec.input_shape == (40, None, 1)
    assert not dataset.is_prepared()
    with pytest.raises(DataError, match=r"the IAM database is not in .*register at https://.*download ascii\.tgz"):
        dataset.prepare()


def test_a_charset_of_ones_own_reads_the_texts(iam):
    assert "|" not in IamDataset(str(iam), charset=["x"], unknown_characters="add").data_spec.classes
    with pytest.raises(DataError, match="line 'a01-000u-00' has 'A'"):
        prepared(iam, charset=["x"])


def test_pictures_may_have_endings_in_capitals(iam):
    for path in list(iam.glob("lines/**/*.png")):
        path.rename(path.with_suffix(".PNG"))
    assert not prepared(iam).rejected


def test_a_missing_or_damaged_picture_is_rejected_by_name(iam):
    names = {path.stem: path for path in (iam / "lines").rglob("*.png")}
    names["a01-000u-01"].unlink()
    names["c03-000a-00"].write_bytes(names["c03-000a-00"].read_bytes()[:60])
    reasons = {one.name: one.reason.partition(":")[0] for one in prepared(iam).rejected}
    assert reasons == {"a01-000u-01": "the image file is missing", "c03-000a-00": "the image cannot be read"}


@pytest.mark.parametrize(
    "row", ["a01-000u-00 maybe 154 19 408 746 1661 89 A", "a01-000u-00 ok 154", "a01-000u-00 ok 1 2 x y 3 4 A"]
)
def test_a_row_of_another_form_is_named_with_its_number(tmp_path, row):
    (tmp_path / "lines.txt").write_text(f"# comment\n{row}\n")
    with pytest.raises(DataError, match=r"lines\.txt, line 2 is not like 'a01-000u-00 ok .* Received: 'a01-000u-00"):
        read_lines_txt(tmp_path / "lines.txt")


def test_forms_and_their_lines_are_there_by_name(iam):
    files = IamDataset(str(iam)).files
    forms = {form.name: form for form in files.forms}
    assert files.image("a01-003") == iam / "forms" / "a01-003.png"
    assert forms["a01-000u"].lines[2].text == 'he said, "yes".'
    assert forms["a01-003"].lines[0].box == box(0)


def test_the_lines_of_the_full_stack_recogniser_have_one_width(iam):
    dataset = IamLinesDataset(path=str(iam))
    dataset.prepare()
    assert dataset.data_spec.input_shape == (28, 952, 1)
    assert dataset.data_spec.max_length == 97
    assert dataset.sizes() == {"train": 3, "validation": 2, "test": 2}
    batch = dataset.split("train").batch(np.arange(2))
    assert batch["image"].shape == (2, 28, 952, 1)
    assert (batch["width"] < 200).all()
    assert batch["image"][:, :, 200:].max() == 0


def test_a_form_with_damaged_xml_is_rejected_by_name(iam):
    (iam / "xml" / "a01-003.xml").write_text("<form")
    dataset = IamParagraphsDataset(path=str(iam), split="writers", side=64, subsample_fraction=0.5)
    dataset.prepare()
    assert [one.name for one in dataset.rejected] == ["a01-003"]
    assert dataset.sizes() == {"train": 1, "validation": 1, "test": 1}


def test_a_number_in_the_xml_that_is_none_is_named_with_its_file(iam):
    path = iam / "xml" / "a01-003.xml"
    path.write_text(path.read_text().replace('width="400"', 'width="wide"'))
    with pytest.raises(DataError, match=r"damaged: .*a01-003\.xml: <form> has the width 'wide', expected a whole"):
        prepared(iam, texts="xml")


@pytest.mark.skipif(not REAL.exists(), reason=f"the real IAM database is not in {REAL}")
def test_the_published_counts_come_out_of_the_real_files():
    lines = read_lines_txt(next(REAL.rglob("lines.txt")))
    assert len(lines) == 13_353
    assert sum(line.is_ok for line in lines) == 11_344
    assert len({character for line in lines for character in line.text}) == 79
    assert max(len(line.text) for line in lines) == 93
    files = IamDataset(str(REAL)).files
    counts = {
        (split, name): len(listed)
        for split in ("flor2020", "fsdl")
        for name, listed in files.split_names(split).items()
    }
    assert [counts["flor2020", name] for name in SPLIT_NAMES] == [6161, 900, 1861]
    assert counts["fsdl", "validation"] == 940
    ok = {line.name: flor_text(line.text) for line in lines if line.is_ok}
    kept = {
        name: [one for one in listed if one in ok and flor_keeps(ok[one])]
        for name, listed in files.split_names("flor2020").items()
    }
    assert [len(kept[name]) for name in SPLIT_NAMES] == [5369, 744, 1425]


@pytest.mark.parametrize("number", ["²", "9" * 5_000, "--4", "1_0", "٤"])
def test_a_box_whose_numbers_are_none_is_refused_in_a_sentence(tmp_path, number):
    (tmp_path / "lines.txt").write_text(f"a01-000u-00 ok 154 19 408 746 {number} 89 A|MOVE\n", encoding="utf-8")
    with pytest.raises(DataError, match="lines.txt, line 1 is not like 'a01-000u-00 ok"):
        read_lines_txt(tmp_path / "lines.txt")
    (tmp_path / "a.xml").write_text(f'<form id="a" width="{number}" height="5"/>', encoding="utf-8")
    with pytest.raises(DataError, match="has the width '.{1,40}', expected a whole number of at most 9 digits"):
        read_form_xml(tmp_path / "a.xml")


def test_a_character_named_by_thousands_of_digits_stays_as_it_is(tmp_path):
    reference = f"&amp;#{'9' * 5_000};"
    line = f'<handwritten-part><line id="a-0" text="{reference}"/></handwritten-part>'
    (tmp_path / "a.xml").write_text(f'<form id="a" width="5" height="5">{line}</form>')
    assert read_form_xml(tmp_path / "a.xml").lines[0].text == reference.replace("&amp;", "&")
