"""Lists of lines in every form, their encodings and mistakes; folders of older recognisers; real handwriting."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.sample_folders import MapsExport, OrdMapExport
from text_recognizer.datasets.formats.char_dict import read_char_dict
from text_recognizer.datasets.formats.charset_files import read_characters
from text_recognizer.datasets.formats.line_lists import ListedLine, find_lists, read_line_list
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.errors import DataError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.line_files import picture, read_poems, save, write_list, write_poems

FORMS = {"maps": MapsExport, "ord_map": OrdMapExport}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def listed(tmp_path, name, content, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_line_list(path, encoding).lines)


def test_a_sample_list_parts_file_and_text_at_the_first_blank_after_the_file(tmp_path):
    content = "pic/1679/14_0.jpg 一日难再晨\nmy pictures/a b.png two words\r\nx.jpg\tafter a tab\rplain no ending\n\n"
    assert listed(tmp_path, "sample.txt", content) == [
        ListedLine("pic/1679/14_0.jpg", "一日难再晨"),
        ListedLine("my pictures/a b.png", "two words"),
        ListedLine("x.jpg", "after a tab"),
        ListedLine("plain", "no ending"),
    ]


def test_a_tab_in_the_text_of_a_sample_list_is_no_end_of_the_file_name(tmp_path):
    assert listed(tmp_path, "sample.txt", "0.png abc\tdef\n1.png ghi\n") == [
        ListedLine("0.png", "abc\tdef"),
        ListedLine("1.png", "ghi"),
    ]
    # Without endings, only a list that has a tab in every row is parted at tabs.
    assert listed(tmp_path, "sample.txt", "0 abc\tdef\n1 ghi\n") == [
        ListedLine("0", "abc\tdef"),
        ListedLine("1", "ghi"),
    ]
    assert listed(tmp_path, "sample.txt", "a b\tdef\nc\tghi\n") == [ListedLine("a b", "def"), ListedLine("c", "ghi")]
    # A name with an ending in its middle stands before a tab; without one in every row it is a name and a text.
    both = "a.png copy.png\ttwo\n"
    assert listed(tmp_path, "sample.txt", both) == [ListedLine("a.png copy.png", "two")]
    assert listed(tmp_path, "sample.txt", both + "b.png x\n")[0] == ListedLine("a.png", "copy.png\ttwo")


def test_a_file_name_that_no_disk_can_hold_costs_its_row(tmp_path):
    rows = "".join(f"{index}.png text {index}\n" for index in range(6))
    for index in range(6):
        save(tmp_path / "lines" / f"{index}.png", picture(30 + index, 16))
    (tmp_path / "sample.txt").write_text(f"{'n' * 300}.png long\n{'f' * 300}/x deep\n{rows}")
    dataset = LineListDataset(str(tmp_path), height=16)
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 6
    assert [one.text for one in dataset.rejected] == ["long", "deep"]


def test_separators_of_unicode_inside_a_text_do_not_end_its_line(tmp_path):
    assert listed(tmp_path, "sample.txt", "a.png x\u2028y\x0bz\n") == [ListedLine("a.png", "x\u2028y\x0bz")]


def test_a_table_may_have_splits_writers_and_columns_in_any_order(tmp_path):
    content = '\ufeffSplit\tID\twriter\tText\nval\tl-1\tann\tsay "hi"\n\tl-2\tbob\t\nTEST\tl-3\n'
    assert listed(tmp_path, "lines.tsv", content) == [
        ListedLine("l-1", 'say "hi"', "validation", {"writer": "ann"}),
        ListedLine("l-2", "", "", {"writer": "bob"}),
        ListedLine("TEST", "", problem="its row has 2 cells, expected 4"),
    ]


def test_a_comma_separated_table_may_quote(tmp_path):
    content = 'file,text\na.png,"one, two"\r\nb.png,"say ""hi"""\r\n'
    assert listed(tmp_path, "lines.csv", content) == [
        ListedLine("a.png", "one, two"),
        ListedLine("b.png", 'say "hi"'),
    ]


def test_objects_are_read_from_a_list_and_one_a_line(tmp_path):
    objects = [{"file": "a.png", "text": "é", "page": "p1", "writer": 7}, {"file": "b.png", "split": "train"}]
    expected = [
        ListedLine("a.png", "é", "", {"page": "p1", "writer": "7"}),
        ListedLine("b.png", "", "train", {}, "its entry has no text"),
    ]
    assert listed(tmp_path, "lines.json", json.dumps(objects)) == expected
    assert listed(tmp_path, "lines.jsonl", "\n".join(map(json.dumps, objects))) == expected


def test_a_list_in_another_encoding_is_read_when_it_is_named_and_else_located(tmp_path):
    content = "a.png 更上一层楼\nb.png 民以食为天\n".encode("gb18030")
    assert [line.text for line in listed(tmp_path, "sample.txt", content, "gb18030")] == ["更上一层楼", "民以食为天"]
    with pytest.raises(DataError, match=r"sample\.txt, line 1 is not utf-8 text: .*dataset_args.encoding.*'gb18030'"):
        listed(tmp_path, "sample.txt", content)
    with pytest.raises(DataError, match="there is no encoding 'utf-9'"):
        listed(tmp_path, "sample.txt", content, "utf-9")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "lines.tsv",
            "a\tb\tc\n",
            r"has no header: expected a column of files \(file, .*\) and one of texts \(text, .*Received: a",
        ),
        ("lines.tsv", "file\ttext\tsplit\na\tb\ttrian\n", "there is no split 'trian'. Did you mean 'train'"),
        ("lines.json", "{", "is not JSON"),
        ("lines.json", "{}", "must hold a list of objects"),
        ("lines.json", "[3]", "entry 1 is not an object. Received: 3"),
        ("lines.json", '[{"file": "a", "text": "b"}, {"text": "c"}]', "entry 2 names no file"),
        ("lines.jsonl", '{"file": "a", "text": "b"}\n\n{"file": "c', r"lines\.jsonl, entry 2 is not JSON"),
        (
            "lines.csv",
            f'file,text\n"a.png,b\n{"c" * 140_000}\n',
            "line 2: field larger than .*, perhaps because a quotation mark is never closed",
        ),
        ("lines.csv", 'file,text\na.png,"a ""b"""\nb.png,"c\nd.png,e\n', "line 3: a quotation mark is never closed"),
    ],
)
def test_a_list_with_a_mistake_says_where(tmp_path, name, content, expected):
    with pytest.raises(DataError, match=expected):
        listed(tmp_path, name, content)


def test_an_entry_that_names_no_file_or_has_no_plain_text_is_rejected(tmp_path):
    objects = [{"file": "a.png", "text": "a"}, {"file": None, "text": "b"}, {"file": "c.png", "text": ["c"]}]
    found = listed(tmp_path, "lines.json", json.dumps(objects))
    assert [(line.file, line.text, line.problem) for line in found] == [
        ("a.png", "a", ""),
        ("entry 2", "", "its entry names no file"),
        ("c.png", "", "the text of its entry is a list"),
    ]


def test_a_text_file_beside_each_picture_is_a_list(tmp_path):
    texts = {"train/a.b": "one", "train/2": "two", "validation/3": "three", "test/4": "four", "test/none": "", "5": "x"}
    for index, (name, text) in enumerate(texts.items()):
        save(tmp_path / "lines" / f"{name}.png", picture(20 + index))
        (tmp_path / "lines" / f"{name}.gt.txt").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "lines" / "5.png").unlink()
    (tmp_path / "lines" / "test" / "latin.gt.txt").write_bytes(b"\xe9")
    dataset = LineListDataset(str(tmp_path / "lines"))
    dataset.prepare()
    splits = {name: dict(zip(dataset.split(name).ids, dataset.split(name).texts, strict=True)) for name in SPLIT_NAMES}
    assert splits == {
        "train": {"train/2": "two", "train/a.b": "one"},
        "validation": {"validation/3": "three"},
        "test": {"test/4": "four"},
    }
    reasons = {one.name: one.reason.partition(":")[0] for one in dataset.rejected}
    assert reasons.pop("test/latin").endswith("test/latin.gt.txt, line 1 is not utf-8 text")
    assert reasons == {"5": "the image file is missing", "test/none": "its label is empty"}
    before = dataset.texts_key
    (tmp_path / "lines" / "test" / "4.gt.txt").write_text("corrected")
    assert LineListDataset(str(tmp_path / "lines")).texts_key != before
    assert LineListDataset(str(tmp_path / "lines")).scan()[1] == len("corrected")


def test_processed_pictures_of_ocropus_stand_in_for_those_that_are_absent(tmp_path):
    for index, name in enumerate(("1.bin", "1.nrm", "2.bin", "2", "3.4")):
        save(tmp_path / f"{name}.png", picture(20 + index))
    for name in "123":
        (tmp_path / f"{name}.gt.txt").write_text("text")
    found = {source.samples[0].name: source.path.name for source in LineListDataset(str(tmp_path)).sources()}
    assert found == {"1": "1.nrm.png", "2": "2.png", "3": "3"}


def test_a_folder_with_no_or_several_lists_says_what_it_has(tmp_path):
    with pytest.raises(DataError, match=r"there is no list of lines .*nowhere"):
        find_lists(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"must hold one list of lines .* Found: none"):
        find_lists(tmp_path)
    for name in ("lines.tsv", "sample.txt", "readme.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=r"Found: lines.tsv, sample.txt\."):
        find_lists(tmp_path)


def test_names_without_endings_are_found_in_the_folder_lines(tmp_path):
    for index, name in enumerate(("a.jpg", "b.png", "c.d.png", "e.png")):
        save(tmp_path / "lines" / name, picture(20 + index, 16))
    rows = ["id\tsplit\ttext", "a\ttrain\tone", "b\tval\ttwo", "c.d\ttest\tthree", "f\ttrain\tfour"]
    (tmp_path / "lines.tsv").write_text("\n".join(rows))
    dataset = LineListDataset(str(tmp_path), height=16)
    dataset.prepare()
    assert {name: dataset.split(name).ids for name in SPLIT_NAMES} == {
        "train": ["a"],
        "validation": ["b"],
        "test": ["c.d"],
    }
    assert [one.name for one in dataset.rejected] == ["f"]


@pytest.mark.parametrize("ending", [".png", ""])
@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_pictures_are_found_by_names_in_the_other_unicode_form(tmp_path, listed, stored, ending):
    rows = ["file\tsplit\ttext"]
    for index, (name, split) in enumerate((("é 1", "train"), ("é 2", "val"), ("é 3", "test"))):
        save(tmp_path / f"{unicodedata.normalize(stored, name)}.png", picture(20 + index, 16))
        rows.append(f"{unicodedata.normalize(listed, name)}{ending}\t{split}\tone")
    (tmp_path / "lines.tsv").write_text("\n".join(rows), encoding="utf-8")
    dataset = LineListDataset(str(tmp_path), height=16)
    dataset.prepare()
    assert dataset.sizes() == {"train": 1, "validation": 1, "test": 1}


def test_a_column_to_group_by_that_is_not_there_is_named(tmp_path):
    path = write_list(tmp_path, [("a.png", "x", "ann")], "file\ttext\twriter")
    with pytest.raises(
        DataError, match=r"has no column 'writter' to group by. Did you mean 'writer'\?.* It has: writer"
    ):
        LineListDataset(str(path), group_by="writter").prepare()


def test_folders_of_older_recognisers_are_read_and_a_test_drawn_from_training_is_found(tmp_path):
    # As they were made: the test list repeats lines of the training list.
    for index in range(6):
        save(tmp_path / "Train" / "pic" / f"{index}_0.jpg", picture(40 + index, 32))
    rows = [f"pic/{index}_0.jpg 字{index}\n" for index in range(6)]
    (tmp_path / "Train" / "sample.txt").write_text("".join(rows), encoding="utf-8")
    save(tmp_path / "Test" / "pic" / "x.png", np.asarray(Image.open(tmp_path / "Train" / "pic" / "3_0.jpg")))
    (tmp_path / "Test" / "sample.txt").write_text("pic/x.png 字3\n", encoding="utf-8")
    dataset = LineListDataset(str(tmp_path), height=32, validation_fraction=0.2)
    dataset.prepare()
    assert dataset.sizes() == {"train": 4, "validation": 1, "test": 1}
    assert [(one.name, one.reason) for one in dataset.rejected] == [
        ("Train/pic/3_0.jpg", "the same image is in the test split: 'Test/pic/x.png'")
    ]


def test_the_folders_of_a_recogniser_of_poems_are_read_and_written_as_they_are(tmp_path):
    texts = ["一日难再晨", "床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"]
    data = write_poems(tmp_path / "poems" / "data", texts, tested=[1, 4])
    dataset = LineListDataset(str(data), height=32, validation_fraction=0.25, charset=str(data / "chinese.txt"))
    dataset.prepare()
    assert dataset.sizes() == {"train": 6, "validation": 2, "test": 2}
    assert [(one.name, one.reason) for one in dataset.rejected] == [
        ("Train/pic/0/0_1.jpg", "the same image is in the test split: 'Test/pic/0/0_1.jpg'"),
        ("Train/pic/2/0_0.jpg", "the same image is in the test split: 'Test/pic/2/0_0.jpg'"),
    ]
    by_dict = LineListDataset(str(data), charset=str(data / "char_dict" / "char_dict.json"))
    assert set(by_dict.data_spec.classes) == set(dataset.data_spec.classes)
    written = tmp_path / "written"
    MapsExport().write(dataset, written)
    for split, name in zip(SPLIT_NAMES, ("Train", "Validation", "Test"), strict=True):
        pictures, read = read_poems(written, name)
        assert read == dataset.split(split).texts
        assert all(picture.shape[::2] == (32, 3) and picture[:, -1].min() > 200 for picture in pictures)
    assert len(list((written / "pic").rglob("*.png"))) == 10
    assert (written / "chinese.txt").read_text(encoding="utf-8").split() == list(dataset.data_spec.charset.characters)
    assert sorted(path.name for path in (written / "char_dict").iterdir()) == sorted(
        path.name for path in (data / "char_dict").iterdir()
    )


def test_one_list_of_a_recogniser_of_poems_finds_its_pictures_beside_its_folder(tmp_path, monkeypatch):
    data = write_poems(tmp_path / "data", ["一日难再晨", "床前明月光", "疑是地上霜"], tested=[1])
    monkeypatch.chdir(data / "Train")
    for path in (str(data / "Train" / "sample.txt"), "sample.txt", "."):
        dataset = LineListDataset(path)
        dataset.prepare()
        assert sum(dataset.sizes().values()) == 6


@pytest.mark.parametrize("form", ["maps", "ord_map"])
def test_lines_written_into_the_folders_of_older_recognisers_come_back(tmp_path, form):
    rows = [(f"{index}.png", f"字 {index}") for index in range(20)]
    dataset = LineListDataset(str(write_list(tmp_path / "mine", rows)), height=8, ink="dark", preprocessing=())
    dataset.prepare()
    folder = tmp_path / "theirs"
    FORMS[form]().write(dataset, folder)
    assert (folder / "Test" / "sample.txt").read_text(encoding="utf-8").startswith("pic/0/18.png 字 ")
    again = LineListDataset(
        str(folder), height=8, ink="dark", preprocessing=(), charset=str(folder / "char_dict" / "char_dict.json")
    )
    again.prepare()
    assert again.data_spec.classes == dataset.data_spec.classes
    for name in SPLIT_NAMES:
        assert again.split(name).texts == dataset.split(name).texts
        assert np.array_equal(again.split(name).image(0), dataset.split(name).image(0))
    with pytest.raises(DataError, match="is not empty"):
        FORMS[form]().write(dataset, folder)


def test_real_wills_are_split_by_writer():
    folder = shared_data("testaments")
    dataset = LineListDataset(str(folder / "lines.json"))
    dataset.prepare()
    assert sum(dataset.sizes().values()) + len(dataset.rejected) == 3078
    writers = [set(dataset.split(name).groups or ()) for name in SPLIT_NAMES]
    assert not writers[0] & (writers[1] | writers[2])
    assert not writers[1] & writers[2]
    assert min(len(names) for names in writers) >= 10
    batch = dataset.split("train").batch(np.arange(16))
    inked = batch["image"] > 128
    assert 0.02 < inked.mean() < 0.25
    assert dataset.data_spec.max_length == 89


def test_real_letters_keep_the_splits_of_their_list():
    dataset = LineListDataset(str(shared_data("stanford1905")))
    dataset.prepare()
    assert dataset.sizes() == {"train": 283, "validation": 42, "test": 39}
    assert dataset.rejected == []


@pytest.mark.parametrize("encoding", ["utf-8\0", "\ud800", "hex", "punycode", "idna", "u" * 5_000])
def test_an_encoding_that_is_none_of_a_text_file_is_refused(tmp_path, encoding):
    with pytest.raises(DataError, match="there is no encoding '.* Common ones: utf-8, gb18030") as refused:
        listed(tmp_path, "sample.txt", "a.png 61", encoding)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ("9" * 5_000, "a number of thousands of digits"),
    ],
)
def test_json_nested_or_long_beyond_reason_is_refused_wherever_it_is_read(tmp_path, content, words):
    readers: dict[str, Callable[[Path], object]] = {
        "lines.json": read_line_list,
        "lines.jsonl": read_line_list,
        "charset.json": read_characters,
        "char_dict.json": read_char_dict,
        "pages.json": lambda path: list(PageListDataset(str(path)).pages()),
    }
    for name, read in readers.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=words):
            read(tmp_path / name)
        (tmp_path / name).unlink()


def test_a_bundle_whose_classes_are_no_list_has_no_charset(tmp_path):
    (tmp_path / "bundle.json").write_text('{"data_spec": {"classes": {"a": 1}}}')
    with pytest.raises(DataError, match="is a damaged bundle: its classes are not a list"):
        read_characters(tmp_path / "bundle.json")


def test_a_writer_that_no_file_can_hold_is_stored_as_a_question_mark(tmp_path):
    rows = [
        {"file": f"{number}.png", "text": "a", "split": split, "writer": "\ud800"}
        for number, split in enumerate(SPLIT_NAMES)
    ]
    for row in rows:
        save(tmp_path / str(row["file"]), picture(20))
    (tmp_path / "lines.json").write_text(json.dumps(rows))
    dataset = LineListDataset(str(tmp_path / "lines.json"))
    dataset.prepare()
    assert list(dataset.pool.groups) == ["?", "?", "?"]
