"""MNIST: from files of the published layout to splits; the real one over loopback where it is at hand."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.datasets.characters.mnist import MnistDataset
from text_recognizer.errors import DataError
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.datasets.character_files import GLYPH, idx_bytes, idx_files, part, zip_bytes
from text_recognizer.tests.datasets.file_server import FileServer, file_entry, write_registry

REAL = REPOSITORY.parent / "shared" / "data" / "mnist"
TRAIN, TEST = part([number % 10 for number in range(100)]), part([3, 1, 4, 1, 5])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as running:
        yield running


def publish(server: FileServer, tmp_path: Path, files: Mapping[str, bytes], table: str = "mnist") -> None:
    server.files = {f"/{name}": content for name, content in files.items()}
    entries = [file_entry(name, content, server.url(f"/{name}")) for name, content in files.items()]
    write_registry(tmp_path / "metadata.toml", {table: entries})


def test_the_four_files_become_three_splits_of_upright_images(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, idx_files(TRAIN, TEST, test_name="t10k"))
    dataset = MnistDataset(validation_fraction=0.2)
    assert not dataset.is_prepared()
    dataset.prepare()
    assert dataset.is_prepared()
    assert dataset.sizes() == {"train": 80, "validation": 20, "test": 5}
    batch = dataset.split("test").batch(np.arange(5))
    assert batch["image"].shape == (5, *dataset.data_spec.input_shape)
    assert batch["label"].tolist() == [3, 1, 4, 1, 5]
    assert np.array_equal(batch["image"][0, :27, :, 0], GLYPH[:27])
    assert dataset.split("test").text(0) == "3"


def test_train_and_validation_share_no_image_and_have_every_class_alike(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, idx_files(TRAIN, TEST, test_name="t10k"))
    dataset = MnistDataset(validation_fraction=0.2)
    dataset.prepare()
    seen = []
    for name, of_each in (("train", 8), ("validation", 2)):
        split = dataset.split(name)  # type: ignore[arg-type]
        batch = split.batch(np.arange(len(split)))
        assert np.bincount(batch["label"]).tolist() == [of_each] * 10
        seen += batch["image"][:, 27, 0, 0].tolist()  # the number that tells the images apart
    assert sorted(seen) == list(range(100))


def test_once_prepared_nothing_is_fetched_or_read_again(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, idx_files(TRAIN, TEST, test_name="t10k"))
    MnistDataset().prepare()
    requests = len(server.requests)
    server.files.clear()
    for path in (tmp_path / "data" / "raw" / "mnist").iterdir():
        path.unlink()
    again = MnistDataset(subsample_fraction=0.5, validation_fraction=0.2)
    assert again.is_prepared()
    again.prepare()
    assert again.sizes() == {"train": 40, "validation": 10, "test": 4}  # half of each class, at least one
    assert len(server.requests) == requests == 4


def test_new_hashes_in_the_registry_make_a_new_store(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, idx_files(TRAIN, TEST, test_name="t10k"))
    first = MnistDataset()
    first.prepare()
    publish(server, tmp_path, idx_files(TRAIN, part([2, 7]), test_name="t10k"))
    second = MnistDataset()
    assert not second.is_prepared()
    second.prepare()
    assert second.sizes()["test"] == 2
    assert second.fingerprint != first.fingerprint


def test_a_table_of_another_name_and_an_archive_will_do(server: FileServer, tmp_path: Path) -> None:
    archive = zip_bytes({f"folder/{name}": content for name, content in idx_files(TRAIN, TEST).items()})
    publish(server, tmp_path, {"digits.zip": archive}, table="mine")
    dataset = MnistDataset(source="mine")
    dataset.prepare()
    assert dataset.sizes()["test"] == 5


def test_what_the_dataset_is_can_be_known_without_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "none.toml"))
    dataset = MnistDataset(source="anything")
    assert dataset.data_spec.input_shape == (28, 28, 1)
    assert "".join(dataset.data_spec.classes) == "0123456789"


def test_an_unknown_table_is_named(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, idx_files(TRAIN, TEST))
    with pytest.raises(DataError, match="has no table 'mnits'. Did you mean 'mnist'"):
        MnistDataset(source="mnits").prepare()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"t10k-labels-idx1-ubyte.gz": idx_bytes(TEST[1][1:])},
            r"each of 4 labels.* images uint8 \(5, 28",
        ),
        (
            {"t10k-labels-idx1-ubyte.gz": idx_bytes(TEST[1] + 7)},
            "0 to 9. Received: .*, labels from 8 to 12",
        ),
        (
            {"t10k-images-idx3-ubyte.gz": idx_bytes(TEST[0][:, 1:])},
            r"images uint8 \(\d+, 27, 28\)",
        ),
        ({"t10k-images-idx3-ubyte.gz": idx_bytes(TEST[0])[:-20]}, "t10k-images-idx3-ubyte.gz is damaged"),
        ({"t10k-images-idx3-ubyte.gz": None}, "found no test images: expected a file like 'test-images-idx3-ubyte.gz'"),
    ],
)
def test_files_that_do_not_fit_are_named_and_no_store_is_left(
    server: FileServer, tmp_path: Path, changed: dict[str, bytes | None], expected: str
) -> None:
    files: dict[str, bytes | None] = {**idx_files(TRAIN, TEST, test_name="t10k"), **changed}
    publish(server, tmp_path, {name: content for name, content in files.items() if content is not None})
    with pytest.raises(DataError, match=expected):
        MnistDataset().prepare()
    assert not MnistDataset().is_prepared()
    assert [path for path in (tmp_path / "data" / "processed").iterdir() if path.is_dir()] == []


@pytest.mark.skipif(not REAL.exists(), reason="shared/data/mnist is not here")
def test_the_real_mnist_over_http(server: FileServer, tmp_path: Path) -> None:
    publish(server, tmp_path, {path.name: path.read_bytes() for path in sorted(REAL.glob("*.gz"))}, table="real")
    dataset = MnistDataset(source="real")
    dataset.prepare()
    assert dataset.sizes() == {"train": 54_001, "validation": 5_999, "test": 10_000}  # a tenth of each class, rounded
    test = dataset.split("test")
    assert [test.text(position) for position in range(10)] == list("7210414959")  # as published
    labels = np.concatenate([dataset.split("train").labels, dataset.split("validation").labels])
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
