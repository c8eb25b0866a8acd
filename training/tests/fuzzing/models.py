"""What was learnt: checkpoints, bundles, and the store of promoted ones."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.decoding.line_decoder import LineDecoder
from text_recognizer.errors import TextRecognizerError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.promoted.manifest import FileFacts, Manifest, digest_of
from text_recognizer.promoted.store import ModelStore
from text_recognizer.spec import ExperimentSpec
from training.attempts.checkpoint import read_checkpoint
from training.tests.fuzzing.base import Target, as_json, only, written
from training.tests.fuzzing.mutators import Files
from training.tests.fuzzing.runs import completed
from training.tests.fuzzing.specs import SPEC


def checkpoints() -> list[Files]:
    from training.attempts.checkpoint import write_checkpoint

    groups = {"model": [np.zeros((3, 4), np.float32), np.ones(4, np.float32)], "optimizer": [np.array(7)]}
    return written(lambda folder: write_checkpoint(folder / "last.npz", groups, {"epoch": 2, "best": None}))


def decoders() -> list[Files]:
    """What a reader of lines has learnt besides its weights."""
    from text_recognizer.decoding.line_decoder import LineDecoder

    def make(folder: Path) -> None:
        decoder = LineDecoder(("", *"abc "), 4, 3, True)
        decoder.learn([np.array(ids, np.int32) for ids in ([1, 2, 3], [2, 2, 4, 1])], ["abc", "bb a"])
        decoder.save(folder)

    return written(make)


def bundles() -> list[Files]:
    spec = completed()
    data = {"input_shape": [8, 8, 1], "classes": list("0123456789"), "target": "character", "margin_px": 1}
    described = {"format": 1, "written_by": "0.1.0", "run_id": "r", "spec": spec, "data_spec": {**data, "ink": "dark"}}
    described |= {"dataset_fingerprint": "ab", "metrics": {"val_loss": 0.5}}
    described |= {"weights_sha256": "00" * 32, "files_sha256": {"decoding.json": "00" * 32}}
    return [{"weights/name/bundle.json": as_json(described), "weights/name/model.weights.h5": b"x"}]


def manifests() -> list[Files]:
    facts = FileFacts("0" * 64, 5)
    earlier: dict[str, Any] = {"run": "a", "dataset": "DigitsDataset", "dataset_args": {}, "initial_weights": None}
    lineage = {**earlier, "run": "b", "code": {"text_recognizer": {"commit": "c0"}}, "initial_weights": earlier}
    return [{"promoted.json": Manifest({"bundle.json": facts, "model.weights.h5": facts}, lineage).to_bytes()}]


def model_stores() -> list[Files]:
    (files,) = manifests()
    place = f"bundles/{digest_of(files['promoted.json'])}"
    records = {"names/n/1.json": as_json({"bundle": place[8:], "promoted": 1.5}), "names/n/current": b"1\n"}
    return [{**records, f"{place}/promoted.json": files["promoted.json"], f"{place}/bundle.json": b"{}"}]


def weights() -> list[Files]:
    """Whole bundles, of characters and of lines; needs TensorFlow."""
    import keras

    from text_recognizer.datasets.base import DataSpec
    from text_recognizer.models.bundle import build_model, write_bundle

    keras.utils.set_random_seed(0)
    characters = DataSpec((8, 8, 1), tuple("0123456789"))
    lines = DataSpec((28, None, 1), ("", *"abc "), "line")
    beam = {"decoding": "beam", "beam_width": 4, "language_model": 2, "lexicon": True}
    reader = {"dataset": "EmnistLinesDataset", "model": "LineModelCtc", "network": "line_reader", "model_args": beam}
    reader |= {"network_args": {"filters": 4, "units": 4}}

    def made(value: Mapping[str, Any], data: DataSpec) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            spec = ExperimentSpec.parse(value)
            model = build_model(spec, data)
            if hasattr(model, "decoder"):
                model.decoder.learn([np.array([1, 2, 3], np.int32)], ["abc"])
            write_bundle(folder / "bundle", model, spec, "r", {"val_loss": 0.5}, "ab")

        return make

    return written(made(SPEC, characters), made(reader, lines))


def _decoder(folder: Path) -> None:
    decoder = LineDecoder(("", *"abc "), 4, 3, True)
    decoder.load(folder)
    outputs = np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32)
    decoder.labels(outputs, np.array([12, 7]))


def _bundle(folder: Path) -> None:
    bundle = Bundle.read(find_bundle("name").folder)
    assert bundle.data_spec.input_shape
    with contextlib.suppress(TextRecognizerError):
        find_bundle("nothing of that name")


def _model_store(folder: Path) -> None:
    store = ModelStore(folder)
    for name in store.names():
        for version in [store.current(name), *store.versions(name)]:
            assert version.number < 10**9
            with contextlib.suppress(TextRecognizerError):
                store.manifest(version)


def _weights(folder: Path) -> None:
    import keras

    keras.backend.clear_session()
    Bundle.read(folder / "bundle").load()


def _right_hashes(files: Files) -> None:
    """Hashes of what was changed, as a forger would mend them."""
    with contextlib.suppress(Exception):
        described = json.loads(files["bundle/bundle.json"])
        described["weights_sha256"] = hashlib.sha256(files["bundle/model.weights.h5"]).hexdigest()
        for name in described.get("files_sha256", {}):
            described["files_sha256"][name] = hashlib.sha256(files[f"bundle/{name}"]).hexdigest()
        files["bundle/bundle.json"] = json.dumps(described).encode()


TARGETS = (
    Target("checkpoint", checkpoints, lambda folder: read_checkpoint(folder / "last.npz")),
    Target("decoder", decoders, _decoder),
    Target("bundle", bundles, _bundle),
    Target("manifest", manifests, lambda folder: Manifest.parse(only(folder).read_bytes(), "it")),
    Target("model_store", model_stores, _model_store),
    Target("weights", weights, _weights, mend=_right_hashes, share=0.05, tensorflow=True),
)
