"""Folders and tables of character images, with the pickled classes of older recognisers, which run no code."""

import contextlib
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.characters.rendered import RenderedCharactersDataset
from text_recognizer.datasets.formats.gnt import write_gnt
from text_recognizer.datasets.formats.plain_pickle import read_pickled_ids
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.character_form import as_dark_ink
from text_recognizer.tests.datasets.gnt_files import stroke


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def save(folder: Path, names: str, count: int, first: int = 0, mode: str = "L") -> Path:
    """`count` pictures for each class, in a folder that is named after it."""
    for place, name in enumerate(names.split()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = Image.fromarray(stroke(first + place * count + number))
            picture.convert(mode).save(folder / name / f"w{number % 4}-{number}.png")
    return folder


@pytest.mark.parametrize(
    ("path", "message"), [("", "a path is empty"), ("~nobody-of-that-name/x", "home folder is not")]
)
def test_a_path_that_names_nothing_is_refused_before_the_current_folder_is_read(path, message):
    with pytest.raises(SpecError, match=message):
        ImageFolderDataset(path)


def test_a_folder_for_each_class_becomes_three_splits_with_every_class(tmp_path):
    dataset = ImageFolderDataset(str(save(tmp_path / "letters", "b a 百", 10, mode="RGB")))
    dataset.prepare()
    assert dataset.data_spec.classes == ("a", "b", "百")
    assert dataset.sizes() == {"train": 21, "validation": 3, "test": 6}
    assert sorted(dataset.split("test").labels.tolist()) == [0, 0, 1, 1, 2, 2]
    assert dataset.split("test").groups is None
    assert all(name.startswith(("a/", "b/", "百/")) for name in dataset.split("train").ids)


def test_data_is_prepared_once_from_whatever_folder_it_is_named_and_by_however_many_processes(tmp_path, monkeypatch):
    save(tmp_path / "letters", "a b", 3)
    write_gnt(tmp_path / "gnt" / "1001-c.gnt", [("a", stroke(1)), ("b", stroke(2))])

    def places(beside, **options):
        return [
            ImageFolderDataset(str(beside / "letters"), **options).store_path,
            HwdbDataset(str(beside / "gnt"), **options).store_path,
            RenderedCharactersDataset((str(beside / "x.ttf"),), **options).store_path,
        ]

    monkeypatch.chdir(tmp_path)
    assert places(Path()) == places(tmp_path, processes=2)


def test_folders_of_splits_are_kept(tmp_path):
    for part, count, first in (("train", 6, 0), ("val", 2, 100), ("test", 3, 200)):
        save(tmp_path / "letters" / part, "a b", count, first)
    dataset = ImageFolderDataset(str(tmp_path / "letters"))
    dataset.prepare()
    assert dataset.sizes() == {"train": 12, "validation": 4, "test": 6}
    for left_by_systems in (".cache", "__MACOSX"):
        save(tmp_path / "letters" / left_by_systems, "a b", 1)
    assert ImageFolderDataset(str(tmp_path / "letters")).classes == ("a", "b")


def test_folders_of_splits_beside_others_are_no_classes(tmp_path):
    for part in ("train", "test", "unsorted"):
        save(tmp_path / "letters" / part, "a b", 2)
    with pytest.raises(DataError, match=r"/test has folders of classes in it.* none: unsorted\. Move them"):
        _ = ImageFolderDataset(str(tmp_path / "letters")).classes
    assert ImageFolderDataset(str(save(tmp_path / "words", "train tram", 2))).classes == ("train", "tram")


def test_numbered_folders_get_their_characters_from_a_pickled_char_dict(tmp_path):
    folder = save(tmp_path / "data1" / "train", "00000 00012", 8).parent
    save(folder / "test", "00000 00012", 2, first=100)
    (folder / "char_dict").write_bytes(pickle.dumps({"一": 0, "丁": 12, "七": 3}))
    (folder / "HWDB1.1trn_gnt" / "writers").mkdir(parents=True)  # the GNT files that the pictures were taken from
    dataset = ImageFolderDataset(str(folder))
    dataset.prepare()
    assert dataset.data_spec.classes == ("一", "丁")
    assert dataset.sizes() == {"train": 14, "validation": 2, "test": 4}
    assert ImageFolderDataset(str(folder / "train")).classes == ("一", "丁")


def test_numbered_folders_without_a_char_dict_are_remarked_on(tmp_path):
    numbered = ImageFolderDataset(str(save(tmp_path / "numbered", "00000 00012", 8)))
    (remark,) = numbered.remarks("train")
    assert "taken as the texts of the classes: '00000', '00012', …. If they are numbers" in remark
    assert numbered.remarks("validation") == []
    assert ImageFolderDataset(str(save(tmp_path / "digits", "0 1", 8))).remarks("train") == []
    assert ImageFolderDataset(str(save(tmp_path / "mixed", "a 12", 8))).remarks("train") == []
    (tmp_path / "numbered" / "char_dict").write_bytes(pickle.dumps({"一": 0, "丁": 12}))
    assert ImageFolderDataset(str(tmp_path / "numbered")).remarks("train") == []


def test_whole_writers_are_held_out_where_the_names_say_them(tmp_path):
    dataset = ImageFolderDataset(str(save(tmp_path / "letters", "a b", 12)), writer_pattern=r"(w\d)-")
    dataset.prepare()
    writers = [set(dataset.split(name).groups or ()) for name in ("train", "validation", "test")]
    assert [len(one) for one in writers] == [2, 1, 1]
    assert set.union(*writers) == {"w0", "w1", "w2", "w3"}


def test_a_file_whose_name_has_no_writer_is_left_out_and_named(tmp_path):
    folder = save(tmp_path / "letters", "a b", 12)
    (folder / "a" / "w0-0.png").rename(folder / "a" / "scan.png")
    dataset = ImageFolderDataset(str(folder), writer_pattern=r"(w\d)-")
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 23
    assert [Path(one.name).name for one in dataset.rejected] == ["scan.png"]
    with pytest.raises(DataError, match=r"24 x dataset_args\.writer_pattern '\(z\)' finds no writer in its name"):
        ImageFolderDataset(str(folder), writer_pattern="(z)").prepare()


def test_a_table_of_paths_and_labels_may_say_split_and_writer(tmp_path):
    save(tmp_path / "all", "x", 6)
    files = sorted((tmp_path / "all" / "x").iterdir())
    rows = [
        f"all/x/{file.name},{'ab'[place % 2]},{'test' if place > 3 else ''},anna" for place, file in enumerate(files)
    ]
    (tmp_path / "table.csv").write_text("\ufeffPath,label,split,writer\n" + "\n".join(rows) + "\n", encoding="utf-8")
    dataset = ImageFolderDataset(str(tmp_path / "table.csv"))
    dataset.prepare()
    assert dataset.sizes() == {"train": 2, "validation": 2, "test": 2}
    assert dataset.split("test").groups == ["anna", "anna"]


def test_pictures_of_a_table_are_found_by_names_that_macos_has_decomposed(tmp_path):
    save(tmp_path, "x", 6)
    rows = ["path;label"]
    for place, file in enumerate(sorted((tmp_path / "x").iterdir())):
        file.rename(tmp_path / f"cafe\u0301{place}.png")
        rows.append(f"caf\u00e9{place}.png;{'ab'[place % 2]}")
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    dataset = ImageFolderDataset(str(tmp_path / "table.csv"))
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 6


def test_a_table_as_spreadsheets_write_it_is_read_and_wrong_rows_are_named(tmp_path):
    save(tmp_path / "all", "x", 6)
    names = sorted(file.name for file in (tmp_path / "all" / "x").iterdir())
    rows = [
        "path;label",
        *(f"all\\x\\{name} {' ' * place};{' ' * place}{'中文'[place % 2]}" for place, name in enumerate(names)),
    ]
    rows += ["", rows[1], "b.png", "c.png;", "none.png;文", 'd.png;"中']
    (tmp_path / "table.csv").write_bytes("\r\n".join(rows).encode("gb18030"))
    with pytest.raises(DataError, match=r"line 2 is not utf-8 text.*dataset_args\.encoding"):
        _ = ImageFolderDataset(str(tmp_path / "table.csv")).classes
    dataset = ImageFolderDataset(str(tmp_path / "table.csv"), encoding="gb18030")
    dataset.prepare()
    assert (dataset.classes, sum(dataset.sizes().values())) == (("中", "文"), 6)
    assert {one.name.rpartition("/")[2]: one.reason.partition(":")[0] for one in dataset.rejected} == {
        names[0]: "the table names the file twice",
        "b.png": "its row has 1 cell, expected 2",
        "c.png": "its label is empty",
        "none.png": "the image file is missing",
        "d.png": "the image file is missing",
    }


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_read(tmp_path, capsys):
    folder = save(tmp_path / "letters", "a b", 10)
    (folder / "a" / "w0-0.png").write_bytes(b"no image")
    dataset = ImageFolderDataset(str(folder))
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 19
    assert "'a/w0-0.png'" in capsys.readouterr().err


def test_a_folder_without_pictures_and_a_class_missing_from_training_are_named(tmp_path, capsys):
    for split, characters, first in (("train", "a b", 0), ("test", "a b c", 100)):
        save(tmp_path / "letters" / split, characters, 10, first)
    (tmp_path / "letters" / "train" / "d").mkdir()
    dataset = ImageFolderDataset(str(tmp_path / "letters"))
    dataset.prepare()
    assert [(one.name, one.reason) for one in dataset.rejected] == [("train/d", "the folder has no images")]
    assert "no training image of 1 of 3 classes: 'c'\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("place,label,split\na.png,a,test\n", "has no header"),
        ("Bild,Zeichen\na.png,a\n", "no header: .* image_path, .* label, .* Received: Bild, Zeichen"),
        ("", "there are no images"),
        ("path,label\na.png,\n", r"1 image rejected: 1 x its label is empty \('a.png'\)"),
        ("path,label,split\na.png,a,exam\n", "there is no split 'exam'"),
        ("path,label\na.png,a\na.png,b\n", "two labels: 'a' and 'b'"),
        ("path,label\na.png,a\nx/../a.png,b\n", "two labels: 'a' and 'b'"),
        ("path,label\n", "there are no images"),
        ("path,label\na.png,a\n", "only the character 'a'; at least two are needed"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, table, reason):
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=reason):
        ImageFolderDataset(str(tmp_path / "t.csv")).prepare()


def test_a_folder_without_images_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match="a folder for each class"):
        ImageFolderDataset(str(tmp_path)).prepare()


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_all_protocols_are_read(tmp_path, protocol):
    ids = {f"字{number}": number for number in range(3000)} | {"'\\\n": 2**40, "x" * 300: -1}
    (tmp_path / "char_dict").write_bytes(pickle.dumps(ids, protocol=protocol))
    assert read_pickled_ids(tmp_path / "char_dict") == ids


@pytest.mark.parametrize(
    "content",
    [
        b"(dp0\nS'\\xe4\\xb8\\x80'\np1\nI0\nsS'a'\np2\nI1\ns.",  # Python 2, protocol 0
        b"\x80\x02}q\x01(U\x03\xe4\xb8\x80q\x02K\x00U\x01aq\x03K\x01u.",  # Python 2, protocol 2
    ],
)
def test_pickles_of_python_2_are_read(tmp_path, content):
    (tmp_path / "label_output.pkl").write_bytes(content)
    assert read_pickled_ids(tmp_path / "label_output.pkl") == {"一": 0, "a": 1}


class Harmful:
    def __reduce__(self):
        return (Path("/tmp/never").touch, ())


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": Harmful()}),
        pickle.dumps(["a"]),
        pickle.dumps({"a": 1.5}),
        pickle.dumps({"a": {"b": 1}}),
        b"cos\nsystem\n(S'echo'\ntR.",
        b"",
        b"\x80\x04}r\xff\xff\xff\x7f.",
    ],
)
def test_whatever_else_a_pickle_holds_is_refused_or_harmless(tmp_path, content):
    (tmp_path / "x.pkl").write_bytes(content)
    try:
        assert read_pickled_ids(tmp_path / "x.pkl") == {}
    except DataError as error:
        assert "not a pickled dictionary" in str(error)


def test_mutated_pickles_give_a_dictionary_or_a_sentence(tmp_path):
    source = [pickle.dumps({"一": 0, "a": 1, "乙": 70_000}, protocol=protocol) for protocol in range(6)]
    draw = random.Random(1)
    for _ in range(3000):
        content = bytearray(draw.choice(source))
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        (tmp_path / "x.pkl").write_bytes(content)
        with contextlib.suppress(DataError):
            assert isinstance(read_pickled_ids(tmp_path / "x.pkl"), dict)


def test_pictures_are_dark_on_white_and_cut_to_their_strokes_whatever_they_were():
    light = np.full((40, 60), 20, np.uint8)
    light[10:20, 30:35] = 220
    cut = as_dark_ink(light)
    assert cut.shape == (10, 5)
    assert cut.max() < 60
    assert as_dark_ink(np.full((5, 5), 130, np.uint8)).min() == 255
