"""Foreign formats: what they hold, and what damage is called."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from text_recognizer.datasets.characters.files import read_emnist_mat
from text_recognizer.datasets.formats.idx import read_idx
from text_recognizer.datasets.formats.matlab import read_variable
from text_recognizer.errors import DataError
from text_recognizer.tests.character_files import idx_bytes, mat_bytes, part

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
        (b"", "is not an idx file: it begins with nothing, expected 00 00 08 0N"),
        (b"\x00\x00\x08", "is not an idx file: it begins with 00 00 08,"),
        (b"<html>", "is not an idx file: it begins with 3c 68 74 6d,"),
        (b"\x00\x00\x07\x03", "is not an idx file"),
        (b"\x00\x00\x0d\x03" + bytes(12), "holds float32 values, expected uint8"),
        (idx_bytes(LABELS, False), "has 1 dimensions, expected 3 for images (idx3)"),
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


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_of_every_type_are_read_as_scipy_reads_them(compressed: bool) -> None:
    types = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
    variables: dict[str, NDArray[Any]] = {f"v_{name}": np.arange(6, dtype=name).reshape(2, 3) for name in types}
    variables["cube"] = np.arange(24.0).reshape(2, 3, 4)
    variables["empty"] = np.empty((0, 0))
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=compressed)
    file.seek(0)
    theirs = scipy.io.loadmat(file)
    for name in variables:
        ours = read_variable(file.getvalue(), name, "x.mat")
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs[name].dtype.newbyteorder("<")
        assert np.array_equal(ours, theirs[name])


def test_what_is_no_number_is_none() -> None:
    file = io.BytesIO()
    cells = np.array([["a", np.zeros(2)]], object)
    scipy.io.savemat(file, {"s": {"text": "abc", "cells": cells, "complex": np.array([1j]), "ok": np.array([[5.0]])}})
    found = read_variable(file.getvalue(), "s", "x.mat")
    assert isinstance(found, dict)
    assert {name: value is None for name, value in found.items()} == {
        "text": True,
        "cells": True,
        "complex": True,
        "ok": False,
    }


def compressed_element(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return MAT[True][:128] + np.array([15, len(packed)], "<u4").tobytes() + packed


def element(kind: int, content: bytes) -> bytes:
    return np.array([kind, len(content)], "<u4").tobytes() + content + bytes(-len(content) % 8)


def matrix(matrix_class: int, shape: tuple[int, ...], *data: bytes, name: bytes = b"v") -> bytes:
    flags, sizes = np.array([matrix_class, 0], "<u4").tobytes(), np.array(shape, "<i4").tobytes()
    return element(14, element(6, flags) + element(5, sizes) + element(1, name) + b"".join(data))


def test_packed_data_is_refused_by_the_size_it_announces() -> None:
    content = compressed_element(np.array([14, 2**32 - 8], "<u4").tobytes() + bytes(100))
    with pytest.raises(DataError, match=r"it announces 4,294,967,288 bytes where .* save it with -v6"):
        read_variable(content, "dataset", "x.mat")
    # Each of these fits by itself.
    one = compressed_element(matrix(9, (60_000_000, 1), element(2, bytes(60_000_000))))
    with pytest.raises(DataError, match="it announces 60,000,056 bytes"):
        read_variable(one + one[128:], "other", "x.mat")


def test_numbers_that_grow_when_they_get_their_type_are_counted() -> None:
    # MATLAB stores doubles as bytes where they are small: 10 MB become 80 MB.
    content = MAT[True][:128] + matrix(6, (10_000_000, 1), element(2, bytes(10_000_000)))
    assert isinstance(read_variable(content, "v", "x.mat"), np.ndarray)
    content = compressed_element(matrix(6, (10_000_000, 1), element(2, bytes(10_000_000))))
    with pytest.raises(DataError, match="it announces 80,000,000 bytes"):
        read_variable(content, "v", "x.mat")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (matrix(9, (0,) * 300, element(2, b"")), "a list of sizes takes 1,200 bytes"),
        (matrix(9, (0, 0), element(2, b""), name=b"v" * 2000), "a name or a list of sizes takes 2,000 bytes"),
        (matrix(2, (1, 1), element(5, b"\1\0\0\0"), element(1, b"a" * 1001)), "a struct has 1,001 fields"),
    ],
)
def test_lists_that_are_never_long_are_refused_when_they_are(content: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read_variable(MAT[True][:128] + content, "v", "x.mat")


def test_a_packed_idx_file_is_refused_by_the_size_it_announces(tmp_path: Path) -> None:
    # 70 MB of zeros in 68 KB; labels of that size unpack to what real ones do.
    header = np.array([0x801, 70_000_000], ">u4").tobytes()
    path = written(tmp_path, gzip.compress(header + bytes(70_000_000)))
    with pytest.raises(DataError, match=r"unpacks to 70,000,000 bytes, more than 32 times the .* unpack it by hand"):
        read_file(path, 1)
    path.write_bytes(header + bytes(70_000_000))
    assert len(read_file(path, 1)) == 70_000_000


def big_endian(word: int, *payloads: bytes) -> bytes:
    data = b"".join(payloads)
    return np.array([word, len(data)], ">u4").tobytes() + data + bytes(-len(data) % 8)


def test_a_file_of_a_big_endian_machine() -> None:
    # By hand from the description of the format: a 1 x 2 matrix of int16 called "v".
    matrix = (
        big_endian(6, np.array([10, 0], ">u4").tobytes())
        + big_endian(5, np.array([1, 2], ">i4").tobytes())
        + np.array([1 << 16 | 1], ">u4").tobytes()
        + b"v\0\0\0"
        + np.array([4 << 16 | 3], ">u4").tobytes()
        + np.array([7, -8], ">i2").tobytes()
    )
    content = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + big_endian(14, matrix)
    found = read_variable(content, "v", "x.mat")
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [[7, -8]]


def test_a_matlab_file_of_another_layout_is_refused() -> None:
    def error(**variables: object) -> str:
        file = io.BytesIO()
        scipy.io.savemat(file, variables)
        with pytest.raises(DataError) as caught:
            read_emnist_mat(file.getvalue(), "x.mat")
        return str(caught.value)

    images, labels = np.zeros((2, 784), np.uint8), np.zeros((2, 1), np.uint8)
    good = {"images": images, "labels": labels}
    assert error(other=images) == "x.mat has no variable 'dataset'."
    assert "x.mat, train: the file has no matrix dataset.train.images" in error(dataset={"test": good})
    assert "x.mat, test: the file has no matrix dataset.test.labels" in error(
        dataset={"train": good, "test": {"images": images}}
    )
    assert "2 images of 783 pixels each are not square" in error(dataset={"train": {**good, "images": images[:, 1:]}})
    assert "2 images but 1 labels" in error(dataset={"train": {**good, "labels": labels[1:]}})
    assert "labels must be whole numbers from 0 to 255" in error(dataset={"train": {**good, "labels": labels - 0.5}})
    assert "images must be whole numbers from 0 to 255" in error(dataset={"train": {**good, "images": images + 256.0}})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it does not begin like one"),
        (b"<html>" * 30, "it does not begin like one"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "it is of version 7.3; save it with -v7"),
        (MAT[True][:128], "has no variable 'dataset'"),
        (MAT[True][:131], "it is cut short: 4 bytes expected, 3 found"),
        (MAT[True][:-1], "it is cut short"),
        (MAT[True][:200] + b"?????" + MAT[True][205:], "its packed data cannot be unpacked"),
        (MAT[False][:-100], "it is cut short"),
    ],
)
def test_damage_of_a_matlab_file_is_called_by_its_name(content: bytes, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read_emnist_mat(content, "x.mat")
    assert str(caught.value).startswith("x.mat ")
    assert expected in str(caught.value)


@given(
    content=st.sampled_from(list(MAT.values())),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=3),
    size_bytes=st.one_of(st.none(), st.integers(0, 4000)),
)
def test_any_matlab_file_is_read_or_refused(
    content: bytes, changes: list[tuple[int, int]], size_bytes: int | None
) -> None:
    changed = bytearray(content)
    for position, value in changes:
        changed[position % len(changed)] = value
    try:
        assert set(read_emnist_mat(bytes(changed[:size_bytes]), "x.mat")) == {"train", "test"}
    except DataError as error:
        assert str(error).startswith("x.mat")
