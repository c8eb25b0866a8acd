"""EMNIST: splits, mappings, layouts and orientations; the real handwriting over S3 where it is at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.datasets.characters.base import balanced_members
from text_recognizer.datasets.characters.emnist import EmnistDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.datasets.character_files import (
    GLYPH,
    Part,
    idx_files,
    mat_bytes,
    part,
    transposed,
    zip_bytes,
)
from text_recognizer.tests.datasets.file_server import file_entry, write_registry

REAL = REPOSITORY.parent / "shared" / "data" / "handwritten62"
TRAIN, TEST = part([1, 2, 1, 2, 1, 26] * 10), part([26, 5])


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))


def publish(tmp_path: Path, files: Mapping[str, bytes], table: str = "emnist") -> None:
    (tmp_path / "published").mkdir(exist_ok=True)
    entries = []
    for name, content in files.items():
        (tmp_path / "published" / name).write_bytes(content)
        entries.append(file_entry(name, content, (tmp_path / "published" / name).as_uri()))
    write_registry(tmp_path / "metadata.toml", {table: entries})


def gzip_zip(train: Part, test: Part, split: str) -> bytes:
    """Like the official gzip.zip: all splits in one folder; here a second one that must not be mixed up."""
    other = idx_files(part([0]), part([0]), "emnist-digits-")
    files = idx_files(transposed(train), transposed(test), f"emnist-{split}-")
    return zip_bytes({f"gzip/{name}": content for name, content in {**other, **files}.items()})


def matlab_zip(train: Part, test: Part, split: str) -> bytes:
    """Like the official matlab.zip."""
    files = {
        f"matlab/emnist-{split}.mat": mat_bytes(transposed(train), transposed(test)),
        "matlab/emnist-digits.mat": mat_bytes(part([0]), part([0])),
        f"__MACOSX/matlab/._emnist-{split}.mat": b"not what its name says",
    }
    return zip_bytes(files)


LAYOUTS = {
    "idx files": lambda train, test, split: idx_files(transposed(train), transposed(test), f"emnist-{split}-"),
    "zip of idx files": lambda train, test, split: {"gzip.zip": gzip_zip(train, test, split)},
    "zip of MATLAB files": lambda train, test, split: {"matlab.zip": matlab_zip(train, test, split)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_official_layout_gives_upright_images_and_ids_from_zero(tmp_path: Path, layout: str) -> None:
    publish(tmp_path, LAYOUTS[layout](TRAIN, TEST, "letters"))
    dataset = EmnistDataset("letters")
    dataset.prepare()
    assert dataset.sizes() == {"train": 54, "validation": 6, "test": 2}
    batch = dataset.split("test").batch(np.arange(2))
    assert np.array_equal(batch["image"][0, :27, :, 0], GLYPH[:27])
    assert batch["image"][1, 27, 0, 0] == 1  # the second image: its number is at the left end of the last row
    assert batch["label"].tolist() == [25, 4]
    assert dataset.split("test").text(0) == "Z"


def test_files_that_are_stored_upright_are_taken_as_they_are(tmp_path: Path) -> None:
    publish(tmp_path, idx_files(TRAIN, TEST), table="mine")
    dataset = EmnistDataset("letters", source="mine", orientation="upright")
    dataset.prepare()
    assert np.array_equal(dataset.split("test").batch(np.arange(1))["image"][0, :27, :, 0], GLYPH[:27])


def test_the_orientation_and_the_split_have_stores_of_their_own(tmp_path: Path) -> None:
    publish(tmp_path, idx_files(transposed(TRAIN), TEST), table="mine")
    variants = [
        EmnistDataset(split, source="mine", orientation=orientation)
        for split in ("letters", "byclass")
        for orientation in ("transposed", "upright")
    ]
    assert len({dataset.store_path for dataset in variants}) == 4
    mapped = EmnistDataset("byclass", source="mine", mapping="fsdl", subsample_fraction=0.5, balance=True)
    assert mapped.store_path == EmnistDataset("byclass", source="mine").store_path


@pytest.mark.parametrize(
    ("split", "classes"),
    [
        ("byclass", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        ("bymerge", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        ("balanced", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        ("letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("digits", "0123456789"),
        ("mnist", "0123456789"),
    ],
)
def test_the_classes_of_each_split_are_known_without_any_file(split: Any, classes: str) -> None:
    assert "".join(EmnistDataset(split).data_spec.classes) == classes


def test_the_fsdl_mapping_adds_punctuation_and_ends_with_padding() -> None:
    classes = EmnistDataset(mapping="fsdl").data_spec.classes
    assert len(classes) == 80
    assert classes[:62] == EmnistDataset().data_spec.classes
    assert "".join(classes[62:]) == " !\"#&'()*+,-./:;?_"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"split": "letters", "mapping": "fsdl"}, "mapping 'fsdl' begins with the 62 classes of split 'byclass'"),
        ({"split": "letter"}, "split must be one of 'byclass', 'bymerge', .*Received: 'letter'"),
        ({"mapping": "fsld"}, "mapping must be one of 'classes' or 'fsdl'"),
        ({"split": "x", "orientation": "y"}, "2 problems"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_any_file_is_touched(
    arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SpecError, match=expected):
        EmnistDataset(**arguments)


def test_balancing_keeps_at_most_the_mean_of_each_class_and_keeps_all_of_rare_ones() -> None:
    # 12 images of 3 classes: the mean is 4. Class 0 has 9, class 1 has 2, class 5 has 1.
    labels = np.array([0] * 9 + [1] * 2 + [5])
    chosen = balanced_members(labels, np.arange(12), np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [4, 2, 0, 0, 0, 1]
    assert len(set(chosen)) == len(chosen)
    assert balanced_members(labels, np.arange(9), np.random.default_rng(0)).size == 9


def test_balancing_leaves_the_test_split_alone_and_holds_validation_out_of_the_rest(tmp_path: Path) -> None:
    # 40 of class A, 10 of B, 10 of C: the mean is 20.
    publish(tmp_path, idx_files(part([1] * 40 + [2] * 10 + [3] * 10), part([1] * 9 + [2])), table="mine")
    dataset = EmnistDataset("letters", source="mine", balance=True)
    dataset.prepare()
    counts = {name: np.bincount(dataset.split(name).labels).tolist() for name in SPLIT_NAMES}
    assert counts == {"train": [18, 9, 9], "validation": [2, 1, 1], "test": [9, 1]}
    sizes: dict[SplitName, int] = {"train": 36, "validation": 4}
    shown = [dataset.split(name).batch(np.arange(n))["image"] for name, n in sizes.items()]
    numbers = np.concatenate(shown)[:, 0, 27, 0].tolist()  # the images lie transposed here
    assert len(set(numbers)) == 40
    assert dataset.fingerprint != EmnistDataset("letters", source="mine").fingerprint


def test_a_split_that_the_files_do_not_hold_is_named_with_what_there_is(tmp_path: Path) -> None:
    publish(tmp_path, {"matlab.zip": matlab_zip(TRAIN, TEST, "letters")})
    message = "found no train images: expected a file like 'emnist-bymerge-train-images-idx3-ubyte.gz' or 'emnist-bymer"
    with pytest.raises(DataError, match=message):
        EmnistDataset("bymerge").prepare()


def test_labels_of_another_split_are_refused(tmp_path: Path) -> None:
    publish(tmp_path, idx_files(part([0, 1]), part([1])), table="mine")
    with pytest.raises(DataError, match="labels from 0 to 25. Received: .*, labels from -1 to 0"):
        EmnistDataset("letters", source="mine").prepare()


def test_a_cut_archive_is_named(tmp_path: Path) -> None:
    publish(tmp_path, {"matlab.zip": matlab_zip(TRAIN, TEST, "letters")[:-30]})
    with pytest.raises(DataError, match=r"matlab\.zip is damaged"):
        EmnistDataset("letters").prepare()


@pytest.mark.skipif(not REAL.exists(), reason="shared/data/handwritten62 is not here")
def test_real_handwriting_of_62_classes_from_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="handwriting")
        entries = []
        for path in sorted(REAL.glob("*.gz")):
            client.put_object(Bucket="handwriting", Key=path.name, Body=path.read_bytes())
            entries.append(file_entry(path.name, path.read_bytes(), f"s3://handwriting/{path.name}"))
        write_registry(tmp_path / "metadata.toml", {"handwritten62": entries})
        dataset = EmnistDataset(source="handwritten62", orientation="upright")
        dataset.prepare()
    finally:
        server.stop()
    sizes = dataset.sizes()
    assert sizes["train"] + sizes["validation"] == 4656
    assert sizes["test"] == 1082
    assert set(dataset.split("train").labels) == set(dataset.split("test").labels) == set(range(62))
