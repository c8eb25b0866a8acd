"""Foreign formats: what they hold, and what damage is called."""

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.datasets.formats.emnist_mat import read_emnist_mat
from text_recognizer.datasets.formats.idx import read_idx
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.character_files import idx_bytes, mat_bytes, part

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([7, 9], np.uint8)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x-ubyte"
    path.write_bytes(content)
    return path


def read_file(path: Path, dimensions: int) -> np.ndarray:
    with open(path, "rb") as file:
        return read_idx(file, str(path), dimensions, path.stat().st_size)


def error_of(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_file(written(tmp_path, content), 3)
    assert str(tmp_path / "x-ubyte") in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_images_and_labels_of_idx_files(tmp_path: Path, compressed: bool) -> None:
    images = read_file(written(tmp_path, idx_bytes(IMAGES, compressed)), 3)
    assert images.dtype == np.uint8
    assert images.tolist() == IMAGES.tolist()
    assert read_file(written(tmp_path, idx_bytes(LABELS, compressed)), 1).tolist() == [7, 9]


def test_an_idx_file_larger_than_one_piece(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6000, 28, 28), np.uint8)
    assert np.array_equal(read_file(written(tmp_path, idx_bytes(images)), 3), images)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "dimensions (images): it begins with nothing, expected 00 00 08 03"),
        (b"\x00\x00\x08", "it begins with 00 00 08, expected"),
        (b"<html>", "it begins with 3c 68 74 6d,"),
        (b"\x00\x00\x07\x03", "is not an idx file of uint8 values with 3 dimensions"),
        (b"\x00\x00\x0d\x03" + bytes(12), "it begins with 00 00 0d 03"),
        (idx_bytes(LABELS, False), "it begins with 00 00 08 01, expected 00 00 08 03"),
        (idx_bytes(IMAGES, False)[:10], "is cut short: 10 bytes, its header alone takes 16"),
        (idx_bytes(IMAGES[:0], False), "holds nothing: its header says 0 x 3 x 4 values"),
        (idx_bytes(IMAGES, False)[:-1], "is cut short: its header says 2 x 3 x 4 values (24 bytes), found 23"),
        (idx_bytes(IMAGES, False) + b"?", "is too long: its header says 2 x 3 x 4 values (24 bytes), but more follow"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "more than 32 times the 16 on the disk"),
        (idx_bytes(IMAGES)[:-9], "its gzip data cannot be unpacked"),
        (idx_bytes(IMAGES)[:20], "its gzip data cannot be unpacked"),
        (idx_bytes(IMAGES) + b"trailing", "its gzip data cannot be unpacked"),
        (gzip.compress(idx_bytes(IMAGES, False)[:-1], mtime=0), "found 23"),
    ],
)
def test_damage_of_an_idx_file_is_called_by_its_name(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in error_of(tmp_path, content)


def test_a_changed_byte_in_a_compressed_idx_file_is_noticed(tmp_path: Path) -> None:
    content = bytearray(idx_bytes(np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)))
    content[len(content) // 2] ^= 1
    assert "its gzip data cannot be unpacked" in error_of(tmp_path, bytes(content))


@given(
    content=st.sampled_from([idx_bytes(IMAGES), idx_bytes(IMAGES, False)]),
    start=st.integers(0, 60),
    inserted=st.binary(max_size=4),
    removed_bytes=st.integers(0, 60),
)
def test_any_idx_file_is_read_or_refused(content: bytes, start: int, inserted: bytes, removed_bytes: int) -> None:
    changed = content[:start] + inserted + content[start + removed_bytes :]
    try:
        assert read_idx(io.BytesIO(changed), "x", 3, len(changed)).ndim == 3
    except DataError as error:
        assert str(error).startswith("x ")


# MATLAB files

TRAIN, TEST = part([1, 26, 3]), part([2])
MAT = {compressed: mat_bytes(TRAIN, TEST, compressed) for compressed in (True, False)}


@pytest.mark.parametrize("compressed", [True, False])
def test_the_parts_of_a_matlab_file(tmp_path: Path, compressed: bool) -> None:
    parts = read_emnist_mat(MAT[compressed], "x.mat")
    for name, (images, labels) in {"train": TRAIN, "test": TEST}.items():
        assert parts[name][0].dtype == parts[name][1].dtype == np.uint8
        assert np.array_equal(parts[name][0], images)
        assert parts[name][1].tolist() == labels.tolist()


def compressed_element(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return MAT[True][:128] + np.array([15, len(packed)], "<u4").tobytes() + packed


def element(kind: int, content: bytes) -> bytes:
    return np.array([kind, len(content)], "<u4").tobytes() + content + bytes(-len(content) % 8)


def test_matlab_data_that_takes_more_memory_than_a_file_of_its_size_can_need_is_refused() -> None:
    # Doubles that MATLAB stores as bytes: 120 MB of zeros in 120 KB become 960 MB.
    head = element(6, np.array([6, 0], "<u4").tobytes()) + element(5, np.array([120_000_000, 1], "<i4").tobytes())
    content = head + element(1, b"dataset") + element(2, bytes(120_000_000))
    packed = compressed_element(np.array([14, len(content)], "<u4").tobytes() + content)
    assert len(packed) < 200_000
    with pytest.raises(DataError, match="not a MATLAB file of EMNIST"):
        read_emnist_mat(packed, "x.mat")


def test_a_packed_idx_file_is_refused_by_the_size_it_announces(tmp_path: Path) -> None:
    # 70 MB of zeros in 68 KB; labels of that size unpack to what real ones do.
    header = np.array([0x801, 70_000_000], ">u4").tobytes()
    path = written(tmp_path, gzip.compress(header + bytes(70_000_000)))
    with pytest.raises(DataError, match=r"unpacks to 70,000,000 bytes, more than 32 times the .* unpack it by hand"):
        read_file(path, 1)
    path.write_bytes(header + bytes(70_000_000))
    assert len(read_file(path, 1)) == 70_000_000


def test_a_matlab_file_of_another_layout_is_refused() -> None:
    def error(**variables: object) -> str:
        file = io.BytesIO()
        scipy.io.savemat(file, variables)
        with pytest.raises(DataError) as caught:
            read_emnist_mat(file.getvalue(), "x.mat")
        return str(caught.value)

    images, labels = np.zeros((2, 784), np.uint8), np.zeros((2, 1), np.uint8)
    good = {"images": images, "labels": labels}
    assert "it has no matrix dataset.train.images" in error(other=images)
    assert "it has no matrix dataset.test.labels" in error(dataset={"train": good, "test": {"images": images}})
    assert "2 train images of 783 pixels" in error(dataset={"train": {**good, "images": images[:, 1:]}})
    assert "2 train images but 1 labels" in error(dataset={"train": {**good, "labels": labels[1:]}})
    assert "labels must be whole numbers from 0 to 255" in error(dataset={"train": {**good, "labels": labels - 0.5}})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "truncated"),
        (b"<html>" * 30, "Unknown mat file type"),
        (MAT[True][:124] + b"\0\2IM" + bytes(99), "v7.3"),
        (MAT[True][:-1], "corrupted"),
        (MAT[True][:200] + b"?????" + MAT[True][205:], "while decompressing data"),
    ],
)
def test_damage_of_a_matlab_file_is_called_by_its_name(content: bytes, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read_emnist_mat(content, "x.mat")
    assert str(caught.value).startswith("x.mat ")
    assert expected in str(caught.value)
