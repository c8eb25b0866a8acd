"""IAM: files, archives, texts, filters and splits, on files of its layout; the published counts on the real ones."""

import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.tests.found_lines import original
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.formats.iam import flor_keeps, flor_text, read_form_xml, read_lines_txt
from text_recognizer.datasets.lines.iam import CHARACTERS, IamDataset, IamLinesDataset
from text_recognizer.datasets.pages.iam_paragraphs import IamParagraphsDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.file_server import sha256, write_registry
from text_recognizer.tests.datasets.iam_files import FORMS, TASK, box, form_image, fsdl_archive, line_image, write_iam

# Of the user, before the tests set their own.
REAL = Path(os.environ.get("TEXT_RECOGNIZER_DATA", "/nowhere")) / "raw" / "iam"
AS_IT_IS: dict[str, Any] = {"height": 24, "ink": "dark", "preprocessing": ()}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


@pytest.fixture
def iam(tmp_path):
    return write_iam(tmp_path / "iam")


def prepared(root, **args):
    dataset = IamDataset(str(root), **(AS_IT_IS | args))
    dataset.prepare()
    return dataset


def texts(dataset):
    return {
        name: text
        for split in map(dataset.split, SPLIT_NAMES)
        for name, text in zip(split.ids, split.texts, strict=True)
    }


def members(dataset):
    return {name: dataset.split(name).ids for name in SPLIT_NAMES}


def test_the_large_writer_independent_task_has_its_four_lists_in_three_splits(iam):
    dataset = prepared(iam)
    assert members(dataset) == {
        "train": ["a01-000u-00", "a01-000u-01", "a01-000u-02"],
        "validation": ["a01-003-00", "b02-045-00", "b02-045-01"],
        "test": ["c03-000a-00", "c03-000a-01"],
    }
    assert dataset.split("train").groups == ["000"] * 3
    assert np.array_equal(dataset.split("test").image(1)[..., 0], line_image("c03-000a-01"))


@pytest.mark.parametrize(
    ("split", "validation"), [("flor2020", ["a01-003-00"]), ("fsdl", ["b02-045-00", "b02-045-01"])]
)
def test_older_recognisers_validate_on_one_of_the_two_validation_sets(iam, split, validation):
    dataset = prepared(iam, split=split)
    assert dataset.split("validation").ids == validation
    assert dataset.store_path == prepared(iam).store_path


def test_writers_are_held_out_at_random_where_that_is_asked_for(iam):
    dataset = prepared(iam, split="writers")
    assert sum(dataset.sizes().values()) == 9
    writers = [set(dataset.split(name).groups) for name in SPLIT_NAMES]
    assert sum(map(len, writers)) == len(FORMS)


def test_the_aachen_split_takes_lists_of_forms_or_lines_that_the_user_has(iam):
    (iam / "aachen").mkdir()
    (iam / "aachen" / "tr.lst").write_text("a01-000u\nd04-001\n")
    (iam / "aachen" / "va.lst").write_text("a01-003-00\n")
    with pytest.raises(DataError, match=r"the test list of the Aachen split is not there: expected one of te\.txt"):
        prepared(iam, split="aachen")
    (iam / "aachen" / "te.lst").write_text("lines/c03-000a-00.png 7\n")
    assert members(prepared(iam, split="aachen")) == {
        "train": ["a01-000u-00", "a01-000u-01", "a01-000u-02", "d04-001-00"],
        "validation": ["a01-003-00"],
        "test": ["c03-000a-00"],
    }


def test_a_split_reads_its_lists_from_its_own_folder_where_others_are_called_alike(iam):
    # The folder aachen comes first, and its lists may have the names of the task's.
    for name, form in (("trainset", "d04-001"), ("validationset", "a01-003"), ("testset", "a01-000u")):
        (iam / "aachen").mkdir(exist_ok=True)
        (iam / "aachen" / f"{name}.txt").write_text(f"{form}\n")
    assert members(prepared(iam))["train"] == ["a01-000u-00", "a01-000u-01", "a01-000u-02"]
    assert members(prepared(iam))["test"] == ["c03-000a-00", "c03-000a-01"]
    assert members(prepared(iam, split="aachen"))["train"] == ["d04-001-00"]
    (iam / "more").mkdir()
    (iam / "more" / "testset.txt").write_text("d04-001-00\n")
    assert members(prepared(iam))["test"] == ["c03-000a-00", "c03-000a-01"]
    (iam / TASK / "testset.txt").unlink()
    with pytest.raises(DataError, match=rf"there is no testset\.txt in .*{TASK}\."):
        prepared(iam)


def test_two_lists_that_differ_are_refused_and_two_that_agree_are_one(iam):
    (iam / TASK).rename(iam / "unpacked")
    (iam / "again").mkdir()
    (iam / "again" / "testset.txt").write_text("c03-000a-01\nc03-000a-00\n")
    assert members(prepared(iam))["test"] == ["c03-000a-00", "c03-000a-01"]
    (iam / "again" / "testset.txt").write_text("d04-001-00\n")
    with pytest.raises(DataError, match=r"again/testset\.txt and .*unpacked/testset\.txt .* differ"):
        prepared(iam)
    (iam / "aachen").mkdir()
    for name, form in (("tr.lst", "a01-000u"), ("va.lst", "a01-003"), ("te.lst", "c03-000a"), ("train.txt", "d04-001")):
        (iam / "aachen" / name).write_text(f"{form}\n")
    with pytest.raises(DataError, match=r"aachen/tr\.lst and .*aachen/train\.txt .* differ"):
        prepared(iam, split="aachen")


def test_writers_are_held_out_only_where_the_files_name_them(iam):
    import shutil

    (iam / "ascii" / "forms.txt").write_text("a01-000u 000\na01-003 002\nc03-000a 050\nd04-001 060\n")
    with pytest.raises(DataError, match=r"forms\.txt in .* name none for 2 lines, the first 'b02-045-00'"):
        prepared(iam, split="writers")
    (iam / "ascii" / "forms.txt").unlink()
    assert sum(prepared(iam, split="writers").sizes().values()) == 9  # the XML files know as well
    shutil.rmtree(iam / "xml")
    assert sum(prepared(iam).sizes().values()) == 8  # lists need no writers
    with pytest.raises(DataError, match=r"neither forms\.txt \(of ascii\.tgz\) nor the XML files"):
        prepared(iam, split="writers")
    with pytest.raises(DataError, match=r"neither forms\.txt"):  # also where the lines are stored already
        IamDataset(str(iam), **AS_IT_IS, split="writers").split("train")


def test_a_list_of_which_no_line_is_there_is_an_error(iam):
    (iam / TASK / "testset.txt").write_text("z99-000-00\n")
    with pytest.raises(DataError, match=r"none of the 1 names in .*testset\.txt is among the lines"):
        prepared(iam)


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
    from PIL import Image

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


@pytest.mark.parametrize("registry", ["", "[mine]\nurl = 'file:///x'\nfilename = 'x'\n"])
def test_archives_are_unpacked_where_they_lie(iam, tmp_path, monkeypatch, registry):
    if registry:  # of the user, who put the files there by hand
        (tmp_path / "metadata.toml").write_text(registry)
        monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    # In the official archives the folders ascii, xml and lines themselves are missing.
    raw = tmp_path / "data" / "raw" / "iam"
    raw.mkdir(parents=True)
    for name in ("ascii", "xml", "lines"):
        with tarfile.open(raw / f"{name}.tgz", "w:gz") as archive:
            for path in sorted((iam / name).iterdir()):
                archive.add(path, path.name)
    with zipfile.ZipFile(raw / f"{TASK}.zip", "w") as archive:
        for path in (iam / TASK).iterdir():
            archive.write(path, f"{TASK}/{path.name}")
    dataset = IamDataset(**AS_IT_IS)
    dataset.prepare()
    assert members(dataset) == members(prepared(iam))
    assert dataset.fingerprint == prepared(iam).fingerprint
    assert IamDataset(**AS_IT_IS).is_prepared()


def test_the_archive_of_the_full_stack_recogniser_is_fetched_and_read_as_it_is(tmp_path, monkeypatch):
    # Its registry is one file for each dataset.
    content = fsdl_archive()
    (tmp_path / "iamdb.zip").write_bytes(content)
    metadata = tmp_path / "registry" / "iam" / "metadata.toml"
    metadata.parent.mkdir(parents=True)
    url = (tmp_path / "iamdb.zip").as_uri()
    metadata.write_text(f"url = '{url}'\nfilename = 'iamdb.zip'\nsha256 = '{sha256(content)}'\n")
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "registry"))
    dataset = IamDataset(height=15)
    assert not dataset.is_prepared()
    dataset.prepare()
    assert IamDataset(height=15).is_prepared()
    assert (dataset.texts, dataset.images, dataset.iam_split) == ("xml", "forms", "writers")
    assert sorted(texts(dataset).values()) == sorted(text for _, lines in FORMS.values() for _, _, text in lines)
    assert set(dataset.pool.widths.tolist()) == {box(index)[2] // 2 for index in range(3)}
    lines = IamLinesDataset()
    lines.prepare()
    assert sum(lines.sizes().values()) == 9
    paragraphs = IamParagraphsDataset(side=32, margin=20)
    assert not paragraphs.is_prepared()
    paragraphs.prepare()
    assert paragraphs.sizes() == {"train": 3, "validation": 1, "test": 1}
    assert IamParagraphsDataset(side=32, margin=20).is_prepared()


def test_the_packed_forms_are_found_where_their_table_was_fetched_by_name(tmp_path, monkeypatch):
    (tmp_path / "iamdb.zip").write_bytes(fsdl_archive())
    entry = {"filename": "iamdb.zip", "url": (tmp_path / "iamdb.zip").as_uri()}
    registry = write_registry(tmp_path / "metadata.toml", {"iamdb": [entry]})
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(registry))
    named = IamParagraphsDataset(source="iamdb", side=32)
    named.prepare()
    assert IamParagraphsDataset(side=32).is_prepared()
    assert IamParagraphsDataset(side=32).store_path == named.store_path


def test_without_files_the_registry_says_which_where_to_register_and_where_to_put_them(tmp_path):
    with pytest.raises(DataError) as caught:
        IamDataset().prepare()
    message = str(caught.value)
    assert "'ascii.tgz', 'xml.tgz', 'lines.tgz', 'formsA-D.tgz', 'formsE-H.tgz', 'formsI-Z.tgz' need a reg" in message
    assert "need a registration: https://fki.tic.heia-fr.ch/databases/iam-handwriting-database" in message
    assert f"Put it at {tmp_path}/data/raw/iam/lines.tgz" in message


def test_the_lists_of_the_task_are_fetched_and_a_changed_archive_is_refused(iam, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / f"{TASK}.zip", "w") as archive:
        for path in (iam / TASK).iterdir():
            archive.write(path, f"{TASK}/{path.name}")
    raw = tmp_path / "data" / "raw" / "iam"
    shutil.copytree(iam / "lines", raw / "lines")
    with tarfile.open(raw / "ascii.tgz", "w:gz") as packed:
        packed.add(iam / "ascii" / "lines.txt", "lines.txt")
    files = [
        {"filename": "ascii.tgz", "login": "Register."},
        {"filename": f"{TASK}.zip", "url": (tmp_path / f"{TASK}.zip").as_uri()},
    ]
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(write_registry(tmp_path / "metadata.toml", {"iam": files})))
    dataset = IamDataset(**AS_IT_IS)
    dataset.prepare()
    assert members(dataset) == members(prepared(iam))
    assert (raw / "SHA256SUMS").read_text().count("\n") == 2
    shutil.rmtree(raw / "ascii")
    (raw / "ascii.tgz").write_bytes(b"another")
    with pytest.raises(DataError, match=f"the one there has sha256 {sha256(b'another')}, expected "):
        IamDataset().prepare()


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


def test_a_split_that_is_none_is_refused_with_what_there_is():
    args: Any = {"split": "achen"}
    with pytest.raises(SpecError, match=r"split must be one of lwitlrt, .* Did you mean 'aachen'\?"):
        IamDataset(**args)


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


def test_paragraphs_are_split_like_their_lines(iam):
    dataset = IamParagraphsDataset(path=str(iam), side=128, margin=20)
    dataset.prepare()
    assert members(dataset) == {"train": ["a01-000u"], "validation": ["a01-003", "b02-045"], "test": ["c03-000a"]}
    split = dataset.split("train")
    assert split.line_texts(0)[0] == "A MOVE to stop Mr. Gaitskell from"
    label = split.batch(np.arange(1))["label"][0]
    assert set(np.unique(label)) == {0, 1, 2}
    boxes = split.line_boxes(0)
    for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int), start=1):
        assert (label[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] == (1 if number % 2 else 2)).all()
    # The square is as wide as the form, and what is printed above the lines is not shown.
    assert original(split, 0)[0].shape == (400, 400)
    assert (original(split, 0)[0][:, ::2] == 0).sum() == 0


def test_a_form_with_damaged_xml_is_rejected_by_name(iam):
    (iam / "xml" / "a01-003.xml").write_text("<form")
    dataset = IamParagraphsDataset(path=str(iam), split="writers", side=64, subsample_fraction=0.5)
    dataset.prepare()
    assert [one.name for one in dataset.rejected] == ["a01-003"]
    assert dataset.sizes() == {"train": 1, "validation": 1, "test": 1}


def test_a_form_without_a_writer_cannot_be_held_out_by_writer(iam):
    path = iam / "xml" / "b02-045.xml"
    path.write_text(path.read_text().replace('writer-id="010"', ""))
    dataset = IamParagraphsDataset(path=str(iam), split="writers", side=64)
    dataset.prepare()
    with pytest.raises(DataError, match=r"\(attribute writer-id\) name none for 1 form, the first 'b02-045'"):
        dataset.sizes()


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
