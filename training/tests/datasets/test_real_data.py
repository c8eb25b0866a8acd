"""The command on real handwriting, fetched through a registry table. Skipped where the handwriting is absent."""

import hashlib
import json

import pytest
import tomlkit

from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.file_server import FileServer
from training.run_experiment import main
from training.runs.find import find_run


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Serves a folder of handwriting over HTTP and registers its files as `real`."""
    for name, place in {"DATA": "data", "RUNS": "runs", "METADATA": "metadata.toml"}.items():
        monkeypatch.setenv(f"TEXT_RECOGNIZER_{name}", str(tmp_path / place))
    with FileServer() as server:

        def serve(folder):
            files = []
            for path in sorted(shared_data(folder).glob("*.gz")):
                content = server.files[f"/{path.name}"] = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                files.append({"url": server.url(f"/{path.name}"), "filename": path.name, "sha256": digest})
            (tmp_path / "metadata.toml").write_text(tomlkit.dumps({"real": {"title": folder, "files": files}}))

        yield serve


def accuracy(spec):
    assert main([json.dumps(spec), "--nowandb", "--gpu=none"]) == 0
    return find_run("last").status().summary["test_accuracy"]


def test_lenet_reads_real_mnist_after_a_twentieth_of_it(registered):
    registered("mnist")
    spec = {
        "dataset": "MnistDataset",
        "dataset_args": {"source": "real", "subsample_fraction": 0.05},
        "model": "CharacterModel",
        "network": "lenet",
        "train_args": {"batch_size": 64, "epochs": 2},
    }
    assert accuracy(spec) > 0.93


def test_a_network_reads_handwriting_of_62_classes(registered):
    registered("handwritten62")
    spec = {
        "dataset": "EmnistDataset",
        "dataset_args": {"source": "real", "orientation": "upright"},
        "model": "CharacterModel",
        "network": "lenet",
        "train_args": {"batch_size": 64, "epochs": 2},
    }
    assert accuracy(spec) > 0.5
