"""Lines in HDF5 files of the layout of 2020: read, written, damaged, hostile."""

import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.datasets.exports.hdf5 import write_hdf5
from text_recognizer.datasets.formats.hdf5_lines import FSDL_SYMBOLS, read_pictures
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.errors import DataError
from text_recognizer.settings import REPOSITORY
from text_recognizer.strict_hdf5 import opened, rows
from text_recognizer.tests.datasets.line_files import picture, write_list


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def write(path, parts, **spoiled):
    """As the older recogniser writes it: pictures on their sides, texts as bytes of any length, gzip 9."""
    with h5py.File(path, "w") as file:
        for part, (widths, texts) in parts.items():
            pictures = np.full((len(widths), 60, 8), 255, np.uint8)
            for row, width in enumerate(widths):
                pictures[row, :width] = picture(width, seed=row).T if width else 255
            group = file.create_group(part)
            group.create_dataset("dt", data=spoiled.get("dt", pictures), compression="gzip", compression_opts=9)
            if spoiled.get("gt", texts) is not None:
                group.create_dataset("gt", data=spoiled.get("gt", [text.encode() for text in texts]))


def prepared(path, ink="dark"):
    dataset = Hdf5LinesDataset(str(path), height=8, ink=ink)
    dataset.prepare()
    return dataset


def test_lines_are_set_upright_and_lose_their_padding(tmp_path):
    write(tmp_path / "a.hdf5", {"train": ([40, 60], ["é b", "c"]), "valid": ([30], ["b"]), "test": ([20], ["c"])})
    dataset = prepared(tmp_path / "a.hdf5")
    split = dataset.split("train")
    assert dataset.sizes() == {"train": 2, "validation": 1, "test": 1}
    assert split.texts == ["é b", "c"]
    # What a picture has of white paper at its end counts as padding.
    assert split.widths.tolist() == [20, 30]
    assert np.array_equal(split.image(0)[..., 0], picture(40, seed=0)[:, :20])


def write_fsdl(path, texts, one_hot, **spoiled):
    """As the Full Stack Deep Learning recogniser writes it: light ink, ids padded with that of '_', packed by lzf."""
    with h5py.File(path, "w") as file:
        for part, lines in texts.items():
            pictures = np.zeros((len(lines), 28, 120), np.uint8)
            labels = np.full((len(lines), 12), FSDL_SYMBOLS.index("_"), np.uint8)
            for row, text in enumerate(lines):
                pictures[row, :, : 40 + row] = 255 - picture(40 + row, 28, seed=len(lines) + row)
                labels[row, : len(text)] = [FSDL_SYMBOLS.index(character) for character in text]
            file.create_dataset(f"x_{part}", data=spoiled.get("x", pictures), compression="lzf")
            labels = np.eye(80, dtype=np.uint8)[labels] if one_hot else labels
            file.create_dataset(f"y_{part}", data=spoiled.get("y", labels), compression="lzf")
    return path


@pytest.mark.parametrize("one_hot", [True, False])
def test_files_of_the_full_stack_recogniser_are_read(tmp_path, one_hot):
    texts = {"train": [f"line no. {row}" for row in range(10)], "test": ["a_b", '"Yes" ?']}
    dataset = Hdf5LinesDataset(str(write_fsdl(tmp_path / "a.h5", texts, one_hot)), height=28, ink="dark")
    dataset.prepare()
    assert dataset.sizes() == {"train": 9, "validation": 1, "test": 2}
    assert dataset.split("test").texts == texts["test"]
    assert sorted(dataset.split("train").texts + dataset.split("validation").texts) == sorted(texts["train"])
    assert np.array_equal(dataset.split("test").image(1)[..., 0], picture(41, 28, seed=3)[:, :20])
    padded = Hdf5LinesDataset(str(tmp_path / "a.h5"), height=28, width=952)
    padded.prepare()
    assert padded.split("test").batch(np.arange(2))["image"].shape == (2, 28, 952, 1)


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [
        ({"y": np.zeros((1, 4, 62), np.uint8)}, "or one-hot (lines, length, 80). Received: uint8 (1, 4, 62)."),
        ({"y": np.array([b"text"])}, "y_train must be ids of characters (lines, length)"),
        ({"y": np.full((1, 4), 80)}, "train, line 0: its label has ids other than 0 to 79"),
        ({"y": np.full((1, 4), -1)}, "train, line 0: its label has ids other than 0 to 79"),
        ({"y": np.full((1, 4), np.nan)}, "train, line 0: its label has ids other than 0 to 79"),
        ({"y": np.zeros((1, 20000, 80), np.uint8)}, "has 1,600,000 bytes per text, at most 100,000 can"),
        ({"x": np.zeros((1, 28, 120), np.float32)}, "x_train must be uint8 (lines, height, width). Received: float32"),
        ({"x": np.zeros((2, 28, 120), np.uint8)}, "2 images but 1 texts"),
    ],
)
def test_a_file_that_is_nearly_one_of_the_full_stack_recogniser_says_what_it_has(tmp_path, spoiled, expected):
    assert expected in refusal(write_fsdl(tmp_path / "a.h5", {"train": ["a"]}, False, **spoiled))


def test_a_part_of_a_file_of_the_full_stack_recogniser_that_lacks_its_texts_is_named(tmp_path):
    path = write_fsdl(tmp_path / "a.h5", {"train": ["a"]}, False)
    with h5py.File(path, "r+") as file:
        del file["y_train"]
    assert "x_train has no y_train with its texts." in refusal(path)


def test_lzf_unpacks_to_what_was_packed_or_is_refused(tmp_path):
    path, random = tmp_path / "a.h5", np.random.default_rng(1)
    values = np.repeat(random.integers(0, 3, (40, 50, 7), np.uint8), 9, axis=2)
    values[20:] = random.integers(0, 256, values[20:].shape, np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("x_train", data=values, chunks=(10, 50, 63), compression="lzf", shuffle=True)
    with opened(path) as file:
        assert np.array_equal(rows(file["x_train"], 0, 40), values)
        for content in (b"\x00a\xe0", b"\x00a\x20\x01", b"\x00a\xe0\xff\x00" * 9, b"\x1fab"):
            with h5py.File(tmp_path / "b.h5", "w") as other:
                stored = other.create_dataset("x", (2, 9, 100), "u1", chunks=(1, 9, 100), compression="lzf")
                stored[1] = random.integers(0, 256, (9, 100))  # so that the file can hold what it announces
                stored.id.write_direct_chunk((0, 0, 0), content)
            with pytest.raises(DataError, match="a chunk"), opened(tmp_path / "b.h5") as damaged:
                rows(damaged["x"], 0, 1)


def test_what_is_written_is_what_was_there(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index}.png", f"text {index}é") for index in range(30)])
    dataset = LineListDataset(str(path), height=8, source_ink="dark", preprocessing=())
    dataset.prepare()
    write_hdf5(tmp_path / "out.hdf5", {name: dataset.split(name) for name in SPLIT_NAMES}, width=64)
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file["valid/dt"].shape == (3, 64, 8)
        assert file["valid/dt"].dtype == np.uint8
        assert file["test/gt"][0].decode() == dataset.split("test").text(0)
        assert (file["train/dt"][0, -1] == 255).all()
    again = prepared(tmp_path / "out.hdf5", ink="light")
    assert again.data_spec.classes == dataset.data_spec.classes
    for name in SPLIT_NAMES:
        assert again.split(name).texts == dataset.split(name).texts
        theirs, ours = again.split(name).image(0), dataset.split(name).image(0)
        assert np.array_equal(theirs, ours[:, : theirs.shape[1]])
    assert [one.name for one in tmp_path.glob("*out*")] == ["out.hdf5"]


def test_a_full_disk_is_an_error_in_words_and_no_crash_at_the_end_of_the_program(tmp_path):
    code = """
import resource, signal, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from text_recognizer.datasets.exports.hdf5 import write_hdf5
from text_recognizer.errors import DataError

class Lines:
    widths, texts, data_spec = np.full(50, 64), ["a"] * 50, SimpleNamespace(ink="dark")
    def __len__(self): return 50
    def image(self, row): return np.random.default_rng(row).integers(0, 255, (32, 64, 1), np.uint8)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    write_hdf5(Path(sys.argv[1]), {"train": Lines()}, 64)
except DataError as error:
    sys.exit("File too large" not in str(error))
sys.exit(1)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.h5")], cwd=REPOSITORY, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_line_wider_than_the_file_is_refused(tmp_path):
    path = write_list(tmp_path / "lines", [(f"{index}.png", "a") for index in range(30)])
    dataset = LineListDataset(str(path), height=8)
    dataset.prepare()
    expected = r"a line of the train split is \d\d pixels wide, the file's images are 16. Give the dataset max_width=16"
    with pytest.raises(DataError, match=expected):
        write_hdf5(tmp_path / "out.hdf5", {"train": dataset.split("train")}, width=16)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [
        ({"gt": None}, "train: expected the datasets dt and gt. It has: dt"),
        ({"gt": [b"a"]}, "train: 2 images but 1 texts"),
        ({"gt": [b"\xff", b"a"]}, "train, line 0: its text is not UTF-8"),
        ({"dt": np.zeros((2, 8), np.uint8)}, r"dt must be uint8 \(lines, width, height\). Received: uint8 \(2, 8\)"),
        ({"dt": np.zeros((2, 8, 8))}, "Received: float64"),
        ({"gt": np.array([1, 2])}, r"train: gt must be texts \(lines,\)\. Received: int64 \(2,\)"),
        ({"gt": np.array([[b"a"], [b"b"]])}, r"gt must be texts \(lines,\)\. Received: \|S1 \(2, 1\)"),
        ({"gt": h5py.Empty("S1")}, r"gt must be texts \(lines,\)\. Received: \|S1 None"),
        ({"gt": b"a"}, r"gt must be texts \(lines,\)\. Received: .* \(\)"),
    ],
)
def test_a_file_of_another_layout_says_what_it_has(tmp_path, spoiled, expected):
    write(tmp_path / "a.hdf5", {"train": ([40, 60], ["a", "b"])}, **spoiled)
    with pytest.raises(DataError, match=expected):
        prepared(tmp_path / "a.hdf5")


def test_groups_where_datasets_belong_and_the_other_way_round_are_named(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["train"] = np.zeros((2, 60, 8), np.uint8)
    with pytest.raises(DataError, match=r"train: expected a group with .* It is uint8 \(2, 60, 8\)"):
        prepared(path)
    for name, other in (("dt", "gt"), ("gt", "dt")):
        with h5py.File(path, "w") as file:
            file.create_group(f"train/{name}")
            file[f"train/{other}"] = np.zeros((2, 60, 8), np.uint8) if other == "dt" else [b"a", b"b"]
        with pytest.raises(DataError, match=rf"train: {name} must be .* Received: a group\."):
            prepared(path)


def overwrite_chunk(path, dataset, index):
    """Bytes that gzip cannot unpack."""
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(index)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\x55" * chunk.size
    path.write_bytes(content)


def test_damaged_texts_are_no_fault_of_the_disk_that_is_written(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["train/dt"] = np.zeros((40, 60, 8), np.uint8)
        file.create_dataset("train/gt", data=[b"text"] * 40, chunks=(40,), compression="gzip")
    overwrite_chunk(path, "train/gt", 0)
    with pytest.raises(DataError, match=r"a\.hdf5 is damaged, or of another layout: a chunk cannot") as caught:
        prepared(path)
    assert "store" not in str(caught.value)


def test_a_damaged_picture_costs_its_line_alone(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        pictures = np.stack(
            [np.pad(picture(40, seed=row).T, ((0, 20), (0, 0)), constant_values=255) for row in range(9)]
        )
        file.create_dataset("train/dt", data=pictures, chunks=(1, 60, 8), compression="gzip")
        file["train/gt"] = [f"text {row}".encode() for row in range(9)]
    overwrite_chunk(path, "train/dt", 3)
    dataset = prepared(path)
    assert [one.name for one in dataset.rejected] == ["train/3"]
    assert sum(dataset.sizes().values()) == 8


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        prepared(tmp_path / "a.hdf5")
    write(tmp_path / "a.hdf5", {"other": ([40], ["a"])})
    with pytest.raises(DataError, match="has none of the groups train, valid, test"):
        prepared(tmp_path / "a.hdf5")
    (tmp_path / "a.hdf5").write_bytes((tmp_path / "a.hdf5").read_bytes()[:900])
    with pytest.raises(DataError, match="is damaged or not an HDF5 file"):
        prepared(tmp_path / "a.hdf5")
    (tmp_path / "a.hdf5").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(
        DataError, match="not an HDF5 file.* It is a pointer of Git LFS; `git lfs pull` fetches the file"
    ):
        prepared(tmp_path / "a.hdf5")


def test_blank_pictures_are_rejected_by_name(tmp_path):
    write(tmp_path / "a.hdf5", {"train": ([40, 0, 50, 60], ["a", "b", "c", "d"])})
    dataset = prepared(tmp_path / "a.hdf5")
    assert [(one.name, one.text) for one in dataset.rejected] == [("train/1", "b")]


def refusal(path):
    with pytest.raises(DataError) as caught:
        prepared(path)
    return str(caught.value)


def test_what_lies_in_another_file_is_not_read(tmp_path):
    path, secret = tmp_path / "a.hdf5", tmp_path / "secret"
    secret.write_bytes(b"a password")
    write(tmp_path / "b.hdf5", {"train": ([40], ["a"])})
    links = {"h5py.ExternalLink": h5py.ExternalLink("b.hdf5", "/train/gt"), "h5py.SoftLink": h5py.SoftLink("/other")}
    for link in links.values():
        write(path, {"train": ([40], ["a"])}, gt=None)
        with h5py.File(path, "r+") as file:
            file["train/gt"] = link
        assert "/train/gt is a link to something else. Copy what it leads to" in refusal(path)
    with h5py.File(path, "r+") as file:
        del file["train/gt"]
        file["train"].create_dataset("gt", (1,), "S10", external=[(str(secret), 0, 10)])
    assert "the values of /train/gt are in another file" in refusal(path)
    with h5py.File(path, "r+") as file:
        del file["train/gt"]
        layout = h5py.VirtualLayout((1,), "S1")
        layout[0] = h5py.VirtualSource(tmp_path / "b.hdf5", "train/gt", (1,))[0]
        file["train"].create_virtual_dataset("gt", layout)
    assert "the values of /train/gt are in another file" in refusal(path)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"shape": (10**6, 1024, 64), "chunks": (1, 1024, 64)}, "declares 65,536,000,000 bytes, which 0 cannot hold"),
        ({"shape": (10**6, 1024, 64)}, "declares 65,536,000,000 bytes, which 0 cannot hold"),
        ({"shape": (1, 2**20, 128), "chunks": (1, 2**20, 128)}, "has chunks of 134,217,728 bytes, at most 67,108,864"),
        ({"data": np.zeros((9, 9, 9), np.uint8), "scaleoffset": 0}, "Write it with compression='gzip'"),
        (
            {"data": np.zeros((2, 2049, 1024), np.uint8), "compression": 1},
            "2,098,176 pixels per image, at most",
        ),
        ({"data": np.zeros((10**5, 1, 1), np.uint8), "compression": 1}, "100,000 lines, at most "),
        (
            {"data": np.zeros((600, 1000, 128), np.uint8), "chunks": (8, 1000, 128), "compression": 9},
            "bytes of images, at most",
        ),
        ({"data": np.zeros((900, 2000, 1), np.uint8), "chunks": (900, 2000, 1)}, "too large to read a few lines"),
    ],
)
def test_what_a_file_announces_is_refused_before_it_is_asked_for(tmp_path, made, expected):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        pictures = file.create_dataset("train/dt", dtype="u1", **made)
        file["train/gt"] = np.zeros(len(pictures), "S1")
    assert expected in refusal(path)


def test_a_chunk_must_unpack_to_what_its_dataset_says(tmp_path):
    # HDF5 itself shows what happens to lie in memory behind a chunk that is too short.
    path = tmp_path / "a.hdf5"
    too_little, too_much = "a chunk holds 10 bytes, expected 480", "is cut short, or unpacks to more than 480 bytes"
    for content, expected in ((bytes(10), too_little), (bytes(500), too_much), (bytes(10**8), "a chunk takes")):
        with h5py.File(path, "w") as file:
            pictures = file.create_dataset("train/dt", (1, 60, 8), "u1", chunks=(1, 60, 8), compression="gzip")
            pictures.id.write_direct_chunk((0, 0, 0), zlib.compress(content))
            file["train/gt"] = [b"a"]
        with pytest.raises(DataError, match=expected):
            read_pictures(path, "train", 0, 1)


def test_texts_that_are_too_long_for_lines_are_refused(tmp_path):
    path = tmp_path / "a.hdf5"
    write(path, {"train": ([40], ["a" * 100_001])})
    assert "train, line 0: its text or all texts together are too long" in refusal(path)
    write(path, {"train": ([40], ["a"])}, gt=np.array([b"a" * 100_001]))
    assert "has 100,001 bytes per text, at most 100,000 can" in refusal(path)


def test_filters_that_h5py_writes_are_read(tmp_path):
    path = tmp_path / "a.hdf5"
    pictures = np.stack([picture(60, seed=row).T for row in range(3)])
    with h5py.File(path, "w") as file:
        file.create_dataset("train/dt", data=pictures, compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("train/gt", data=[b"a", b"b", b"a"], chunks=(2,), compression="gzip", shuffle=True)
    assert sum(prepared(path).sizes().values()) == 3
