"""GNT files and CASIA's archives of them: from bytes to writer-disjoint splits, damage named and the rest read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1, HwdbDataset
from text_recognizer.datasets.formats.gnt import CODE, HEADER, SHORT, find_records, map_file, records_of_file, write_gnt
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import CharacterForm
from text_recognizer.images.line_form import UnfitImageError
from text_recognizer.images.read import fit_to
from text_recognizer.registry import resolve
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.character_files import zip_bytes
from text_recognizer.tests.datasets.file_server import file_entry, write_registry
from text_recognizer.tests.datasets.gnt_files import record, stroke, write_writers
from text_recognizer.tests.models.weightless import weightless


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def as_bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def test_records_are_read_as_the_format_is_published():
    pictures = [stroke(3), stroke(5, 64, 8), stroke(0, 9, 200)]
    content = as_bytes(b"".join(record(text, picture) for text, picture in zip("啊A、", pictures, strict=True)))
    records = find_records(content)
    assert records.texts == ["啊", "A", "、"]
    assert records.damages == ()
    for row, picture in enumerate(pictures):
        assert np.array_equal(records.picture(content, row), picture)


def test_what_is_written_is_read_again(tmp_path):
    samples = [(text, stroke(number)) for number, text in enumerate("零一二a㐀"[:4])]
    assert write_gnt(tmp_path / "w" / "1001-c.gnt", samples) == 4
    content = map_file(tmp_path / "w" / "1001-c.gnt")
    assert bytes(content) == b"".join(record(text, picture) for text, picture in samples)


@pytest.mark.parametrize(
    ("text", "picture", "reason"),
    [("㐀", stroke(0), "one or two bytes"), ("ab", stroke(0), "one or two bytes"), ("a", np.zeros((3, 0)), "uint8")],
)
def test_what_the_format_cannot_hold_is_not_written(tmp_path, text, picture, reason):
    with pytest.raises(DataError, match=reason):
        write_gnt(tmp_path / "x.gnt", [("a", stroke(1)), (text, picture)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_gives_all_whole_records_and_says_where_it_ends():
    whole = b"".join(record(text, stroke(number)) for number, text in enumerate("一二三"))
    records = find_records(as_bytes(whole[:-100]))
    assert records.texts == ["一", "二"]
    assert [(one.fault, one.offset) for one in records.damages] == [(SHORT, 2 * len(whole) // 3)]
    assert str(records.damages[0]) == "the file ends within a record: byte 1,460, 630 bytes skipped"


def test_reading_goes_on_after_a_damaged_header():
    parts = [record(text, stroke(number)) for number, text in enumerate("一二三四五")]
    content = bytearray(b"".join(parts))
    content[len(parts[0]) : len(parts[0]) + 4] = b"\xff\xff\xff\x7f"
    records = find_records(as_bytes(bytes(content)))
    assert records.texts == ["一", "三", "四", "五"]
    assert [(one.fault, one.offset, one.length) for one in records.damages] == [(HEADER, len(parts[0]), len(parts[1]))]


def test_a_code_that_is_no_character_costs_its_record_only():
    parts = [record(text, stroke(number)) for number, text in enumerate("一二三")]
    parts[1] = parts[1][:4] + b"\xff\xff" + parts[1][6:]
    records = find_records(as_bytes(b"".join(parts)))
    assert records.texts == ["一", "三"]
    assert [one.fault for one in records.damages] == [CODE]


def test_thousands_of_records_are_found_before_and_after_damage():
    parts = [
        record("一二三"[number % 3], np.full((1 + number % 2, 3), number % 200, np.uint8)) for number in range(9000)
    ]
    for damaged in (0, 5000, 5010, 8999):
        parts[damaged] = b"\0" * len(parts[damaged])
    content = as_bytes(b"".join(parts))
    records = find_records(content)
    left = [number for number in range(9000) if number not in (0, 5000, 5010, 8999)]
    assert [records.picture(content, row)[0, 0] for row in range(len(records))] == [number % 200 for number in left]
    assert "".join(records.texts) == "".join("一二三"[number % 3] for number in left)
    assert [one.length for one in records.damages] == [13, 13, 13, 16]


@pytest.mark.parametrize("seed", range(200))
def test_mutated_files_never_fail_and_account_for_every_byte(seed, tmp_path):
    random = np.random.default_rng(seed)
    content = as_bytes(b"".join(record(text, stroke(number)) for number, text in enumerate("一二三四五六"))).copy()
    for _ in range(random.integers(1, 6)):
        content[random.integers(len(content))] = random.integers(256)
    content = content[: random.integers(len(content) + 1)]
    records = find_records(content)
    read = sum(10 + records.picture(content, row).size for row in range(len(records)))
    assert read + sum(one.length for one in records.damages) == len(content)
    (tmp_path / "x.gnt").write_bytes(content)
    of_file = records_of_file(tmp_path / "x.gnt")
    assert (of_file.offsets.tolist(), of_file.texts, of_file.damages) == (
        records.offsets.tolist(),
        records.texts,
        records.damages,
    )


def test_zeros_and_an_empty_file_hold_no_records():
    assert len(find_records(np.zeros(1000, np.uint8))) == 0
    assert find_records(np.empty(0, np.uint8)).damages == ()


def test_writers_are_never_in_two_splits(tmp_path):
    dataset = HwdbDataset(str(write_writers(tmp_path / "gnt", range(1001, 1011), "甲乙丙丁")), processes=1)
    dataset.prepare()
    assert dataset.data_spec.classes == ("丁", "丙", "乙", "甲")
    assert dataset.sizes() == {"train": 28, "validation": 4, "test": 8}
    writers = [set(dataset.split(name).groups or ()) for name in ("train", "validation", "test")]
    assert sum(map(len, writers)) == 10
    assert len(set.union(*writers)) == 10
    assert dataset.split("test").ids[0].endswith("-c.gnt:0")
    assert dataset.split("test").text(0) == "甲"


def test_a_test_folder_is_the_test_split_and_the_labels_are_sorted_before_anything_is_read(tmp_path):
    train = write_writers(tmp_path / "train", range(1001, 1005), "丙甲乙")
    test = write_writers(tmp_path / "test", [1241], "丁甲", first=500)
    dataset = HwdbDataset(str(train), str(test), charset=["甲", "丙", "乙"], processes=1)
    dataset.prepare()
    assert dataset.data_spec.classes == ("丙", "乙", "甲")
    assert dataset.split("test").labels.tolist() == [2]
    assert [(one.name, one.reason) for one in dataset.rejected] == [
        ("1241-c.gnt:0", "its character is not in the charset")
    ]
    for trn, tst in (("train", "Test"), ("HWDB1.1trn_gnt", "HWDB1.1tst_gnt")):
        folder = tmp_path / f"both {trn}"
        shutil.copytree(train, folder / trn)
        shutil.copytree(test, folder / tst)
        both = HwdbDataset(str(folder), charset=["甲", "丙", "乙"], processes=1)
        both.prepare()
        assert both.sizes() == dataset.sizes()
        (folder / "notes").mkdir()
        (folder / "notes" / "readme.txt").touch()
        assert {source.split for source in both.sources()} == {"train", "test"}
        for name in ("1242-c.gnt", "1242-C.GNT", "more/1242-c.gnt", "Training/1242-c.gnt"):  # of no split, or twice
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(test / "1241-c.gnt", folder / name)
            both = HwdbDataset(str(folder), charset=["甲", "丙", "乙"], processes=1)
            with pytest.raises(DataError, match=r"folders of splits \(\S+, \S+\), and characters in: [\w.-]+\. Move"):
                both.sources()
            (folder / name).unlink()


def test_the_parts_of_casias_later_archives_are_one_split(tmp_path):
    for part, writers in (("TrainPart1", [1001, 1002]), ("TrainPart2", [1003, 1004]), ("Test", [1241])):
        write_writers(tmp_path / f"Gnt1.1{part}", writers, "甲乙", first=writers[0])
    dataset = HwdbDataset(str(tmp_path), processes=1)
    dataset.prepare()
    assert {str(name) for name in dataset.split("test").groups or ()} == {"1241-c"}
    assert sum(dataset.sizes().values()) - dataset.sizes()["test"] == 8
    for number in "12":
        (tmp_path / f"Gnt1.1TrainPart{number}").rename(tmp_path / f"train{number}")
    assert {source.split for source in HwdbDataset(str(tmp_path)).sources()} == {"train", "test"}
    for number in "12":
        (tmp_path / f"train{number}").rename(tmp_path / f"trn1.{number}")
    with pytest.raises(DataError, match=r"folders of splits .*, and characters in: trn1\.2"):
        HwdbDataset(str(tmp_path)).sources()
    (tmp_path / "Gnt1.1Test").rename(tmp_path / "latest")  # which is no folder of a split
    assert {source.split for source in HwdbDataset(str(tmp_path)).sources()} == {None}


def test_a_picture_of_the_test_split_is_not_trained_on(tmp_path, capsys):
    train = write_writers(tmp_path / "train", range(1001, 1005), "甲乙")
    test = write_writers(tmp_path / "test", [1241], "甲乙")
    dataset = HwdbDataset(str(train), str(test), processes=1)
    dataset.prepare()
    assert dataset.sizes() == {"train": 4, "validation": 2, "test": 2}
    assert "2 images left out: also in a later split" in capsys.readouterr().err


def test_a_damaged_file_is_named_and_the_rest_is_read(tmp_path, capsys):
    folder = write_writers(tmp_path / "gnt", range(1001, 1006), "甲乙丙")
    broken = folder / "1003-c.gnt"
    broken.write_bytes(broken.read_bytes()[:-1])
    (folder / "1006-c.gnt").touch()
    dataset = HwdbDataset(str(folder), processes=1)
    dataset.prepare()
    assert sum(dataset.sizes().values()) == 14
    named = "1 x the file ends within a record ('1003-c.gnt@1460'); 1 x the file is empty ('1006-c.gnt')"
    assert f"2 images rejected: {named}" in capsys.readouterr().err
    assert "1003-c.gnt" in (Path(dataset.store_path) / "rejected.tsv").read_text(encoding="utf-8")


def test_the_store_does_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("text_recognizer.datasets.characters.pictures._FEW_PICTURES", 1)
    folder = write_writers(tmp_path / "gnt", range(1001, 1007), "甲乙丙丁戊")
    prints = []
    for processes in (1, 2):
        monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / f"data{processes}"))
        dataset = HwdbDataset(str(folder), processes=processes)
        dataset.prepare()
        prints.append(dataset.fingerprint)
    assert prints[0] == prints[1]


def test_the_archives_as_casia_publishes_them_are_fetched_and_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    entries: list[dict[str, object]] = []
    for mark, writers in (("trn", range(1001, 1005)), ("tst", [1241])):
        folder = write_writers(tmp_path / mark, writers, "啊阿埃", first=100 * len(entries))
        members = {f"HWDB1.1{mark}_gnt/{file.name}": file.read_bytes() for file in sorted(folder.iterdir())}
        archive = tmp_path / f"HWDB1.1{mark}_gnt.zip"
        archive.write_bytes(zip_bytes(members))
        entries.append(file_entry(archive.name, archive.read_bytes(), archive.as_uri()))
    write_registry(tmp_path / "metadata.toml", {"hwdb1.1": entries})
    dataset = HwdbDataset(side=32, processes=1)
    assert len(dataset.data_spec.classes) == 3755
    dataset.prepare()
    assert dataset.sizes() == {"train": 9, "validation": 3, "test": 3}
    assert {dataset.split("test").text(position) for position in range(3)} == set("啊阿埃")
    assert dataset.split("test").groups == ["1241-c"] * 3


def test_level_1_of_gb_2312_is_the_3755_characters_of_the_standard():
    assert len(GB2312_LEVEL_1) == 3755
    assert {"啊", "座"} <= set(GB2312_LEVEL_1)
    assert list(GB2312_LEVEL_1) == sorted(GB2312_LEVEL_1)


@pytest.mark.parametrize("place", ["a.zip", "folder", "folder/inner.alz"])
def test_an_alz_archive_is_refused_with_the_command_that_unpacks_it_where_it_is_found(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner.alz").write_bytes(b"ALZ\1")
    (tmp_path / "a.zip").write_bytes(zip_bytes({"inner.alz": b"ALZ\1"}))
    with pytest.raises(DataError, match=r"apt install unalz") as refused:
        HwdbDataset(str(tmp_path / place)).prepare()
    if place != "folder/inner.alz":
        _, _, folder, inner = str(refused.value).splitlines()[-1].split()
        assert Path(inner).is_file()
        write_writers(Path(folder), range(1001, 1004), "啊阿")  # as unalz does
        assert len(HwdbDataset(str(tmp_path / place)).classes) == 2


def test_a_folder_without_gnt_files_says_so(tmp_path):
    with pytest.raises(DataError, match=r"no \.gnt files"):
        HwdbDataset(str(tmp_path)).prepare()
    (tmp_path / "Gnt1.1Test.zip").touch()
    with pytest.raises(DataError, match=r"no \.gnt files in .*\. Unpack Gnt1\.1Test\.zip and the like first"):
        HwdbDataset(str(tmp_path)).prepare()


def test_a_file_that_is_no_gnt_file_says_where_it_is_damaged(tmp_path):
    (tmp_path / "letters.png").write_bytes(b"no records at all")
    with pytest.raises(DataError, match=r"no record of a GNT file can be read: \S+letters\.png, .*: byte 0, 17 bytes"):
        HwdbDataset(str(tmp_path / "letters.png")).prepare()


def formed(form, picture):
    (made,) = form.apply_all([picture])
    return made


def test_each_pixel_is_the_mean_of_the_area_it_covers():
    picture = np.full((40, 40), 255, np.uint8)
    picture[:20] = picture[-2:] = 0
    small = formed(CharacterForm(side=8, margin_px=2), picture)
    assert np.array_equal(small[2:6, 2:6], np.repeat([[0], [0], [255], [204]], 4, axis=1))
    assert np.array_equal(small[6:], np.full((2, 8), 255))


def test_a_wide_character_keeps_its_proportions_unless_it_is_stretched():
    dash = np.zeros((5, 50), np.uint8)
    dash[0, 0] = 1
    kept = formed(CharacterForm(side=64), dash)
    assert (kept < 128).any(axis=1).sum() == 6
    assert (formed(CharacterForm(side=64, stretch=True), dash) < 128).any(axis=1).sum() == 60


def test_a_dataset_cuts_a_picture_to_its_strokes_as_reading_does():
    loose = np.pad(np.array([[0, 255, 60], [90, 0, 255]], np.uint8).repeat(9, 0).repeat(7, 1), ((4, 21), (15, 2)))
    loose[:4], loose[22:], loose[:, :15], loose[:, 36:] = 255, 255, 255, 255
    loose[-1, 0] = 240  # a speck
    read = fit_to(loose, DataSpec((40, 40, 1), ("a",), margin_px=1, ink="dark"))[..., 0]
    assert np.abs(formed(CharacterForm(side=40, margin_px=1), loose).astype(int) - read).max() <= 1


def test_a_small_picture_keeps_its_size_where_pictures_are_not_enlarged():
    dot = np.zeros((5, 5), np.uint8)
    kept = formed(CharacterForm(side=64, enlarge=False), dot)
    assert (kept < 128).sum() == 25
    wide = np.zeros((5, 120), np.uint8)
    assert (formed(CharacterForm(side=64, enlarge=False), wide) < 128).any(axis=0).sum() == 60
    read = fit_to(
        np.pad(dot, 20, constant_values=255), DataSpec((64, 64, 1), ("a",), preprocessing=("keep_small",), ink="dark")
    )
    assert (read < 128).sum() == 25


def test_a_blank_picture_is_no_character():
    (found,) = CharacterForm(side=64).apply_all([np.full((30, 30), 255, np.uint8)])
    assert isinstance(found, UnfitImageError)
    assert "blank" in str(found)


def test_real_numerals_by_100_writers_are_parted_by_writer():
    dataset = HwdbDataset(str(shared_data("chinese_numerals") / "gnt"), side=32)
    dataset.prepare()
    assert dataset.sizes() == {"train": 10_800, "validation": 1_200, "test": 3_000}
    assert dataset.rejected == []
    assert not set(dataset.split("test").groups or ()) & set(dataset.split("train").groups or ())


@pytest.mark.parametrize(
    ("network", "arguments", "side", "parameters"),
    [
        ("hanzi_cnn", {"variant": "blog"}, 64, 61_544_491),
        ("hanzi_cnn", {}, 64, 20_996_779),
        ("inception", {}, 74, 24_690_246),
        ("hanzi_net", {}, 64, 1_486_115),
    ],
)
def test_networks_of_3755_classes_have_the_sizes_that_their_docstrings_say(network, arguments, side, parameters):
    with weightless():
        built = resolve("network", network)(**arguments).build((side, side, 1), (3755,))
    assert built.count_params() == parameters


def test_the_blocks_of_inception_see_33_then_16_then_7_pixels_a_side():
    with weightless():
        built = resolve("network", "inception")().build((74, 74, 1), (10,))
    sides = [layer.output.shape[1] for layer in built.layers if layer.name.startswith("concatenate")]
    assert sides == [33, 33, 16, 16, 16, 7, 7]
    assert {name: output.shape[1:] for name, output in built.output.items()} == {"logits": (10,), "auxiliary": (10,)}


def test_the_original_inception_takes_images_from_107_pixels_on():
    network = resolve("network", "inception")(original=True)
    with pytest.raises(ValueError, match="at least 107 x 107 pixels"):
        network.check((106, 106, 1), (10,))
    network.check((107, 107, 1), (10,))
    with weightless():
        built = network.build((107, 107, 1), (10,))
    assert built.output["auxiliary"].shape[1:] == (10,)


@pytest.mark.parametrize(("network", "side"), [("inception", 64), ("hanzi_net", 8)])
def test_images_that_are_too_small_are_refused_before_anything_is_built(network, side):
    with pytest.raises(ValueError, match="needs images of at least"):
        resolve("network", network)().check((side, side, 1), (10,))
