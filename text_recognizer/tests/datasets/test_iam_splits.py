"""Splits of IAM: the lists of its task, older recognisers', the Aachen split, writers."""

import shutil
from typing import Any

import numpy as np
import pytest

from evaluation.tests.found_lines import original
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.datasets.pages.iam_paragraphs import IamParagraphsDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.iam_files import AS_IT_IS, FORMS, TASK, line_image, members, prepared


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


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


def test_a_split_that_is_none_is_refused_with_what_there_is():
    args: Any = {"split": "achen"}
    with pytest.raises(SpecError, match=r"split must be one of lwitlrt, .* Did you mean 'aachen'\?"):
        IamDataset(**args)


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


def test_a_form_without_a_writer_cannot_be_held_out_by_writer(iam):
    path = iam / "xml" / "b02-045.xml"
    path.write_text(path.read_text().replace('writer-id="010"', ""))
    dataset = IamParagraphsDataset(path=str(iam), split="writers", side=64)
    dataset.prepare()
    with pytest.raises(DataError, match=r"\(attribute writer-id\) name none for 1 form, the first 'b02-045'"):
        dataset.sizes()
