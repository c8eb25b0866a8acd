"""Promotion: gives a name to the model of a run, and records its origin."""

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, RunError, TextRecognizerError
from text_recognizer.exports.onnx import add_twin
from text_recognizer.models.bundle import DESCRIPTION, Bundle, find_bundle
from text_recognizer.models.twin import TWIN
from text_recognizer.promoted.manifest import MANIFEST, Manifest
from text_recognizer.promoted.store import ModelStore, Version
from text_recognizer.whole_files import sha256_of
from training.runs.contents import MODEL, is_made
from training.runs.run import Run
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off

MOST_ANCESTORS = 20


def promote(bundle: Bundle, name: str) -> Version:
    """Makes a copy of a bundle the current version of a name, after checking all its files.

    Raises:
        SpecError: the name is invalid.
        DataError: the bundle is damaged, or the models folder cannot be written.
    """
    bundle.check_files()
    store = ModelStore()
    with tempfile.TemporaryDirectory() as folder:
        return store.add(name, _with_twin(bundle, name, store, Path(folder)), lineage_of(bundle))


def _with_twin(bundle: Bundle, name: str, store: ModelStore, empty: Path) -> Path:
    """A folder with the bundle and its ONNX twin; without if TensorFlow is missing or the network does not allow it."""
    if TWIN in bundle.hashes or importlib.util.find_spec("tf2onnx") is None:
        return bundle.folder
    for version in store.versions(name):
        with contextlib.suppress(DataError):
            found = Bundle.read(version.folder)
            same = found.run_id == bundle.run_id and bundle.hashes.items() <= found.hashes.items()
            if same and TWIN in found.hashes:
                return version.folder  # keeps its number: another export may differ in its bytes
    copied = empty / MODEL
    copied.mkdir()
    for path in bundle.folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, copied / path.name)
    try:
        with standard_error_off():  # TensorFlow's start-up notes
            add_twin(copied)
    except DataError as error:
        say(f"promoted without an ONNX file: {error}")
        return bundle.folder
    return copied


def lineage_of(bundle: Bundle, ancestors: int = 0) -> dict[str, Any]:
    """The run that trained a bundle, its data and code, and recursively the same for its initial weights."""
    manifest = bundle.folder / MANIFEST
    if manifest.exists():
        return dict(Manifest.parse(manifest.read_bytes(), str(manifest)).lineage)
    environment: Mapping[str, Any] = {}
    if (run := run_around(bundle)) is not None:
        with contextlib.suppress(RunError):
            environment = run.read_json("environment.json")
    return {
        "run": bundle.run_id,
        "dataset": bundle.spec.dataset,
        "dataset_args": dict(bundle.spec.dataset_args),
        "dataset_fingerprint": bundle.dataset_fingerprint,
        "code": environment.get("code"),
        "initial_weights": _initial_weights(bundle, environment.get("initial_weights"), ancestors),
    }


def run_around(bundle: Bundle) -> Run | None:
    """The run that contains a bundle, if any."""
    folder = bundle.folder.parent
    return Run(folder) if bundle.folder.name == MODEL and is_made(folder) else None


def _initial_weights(bundle: Bundle, used: Any, ancestors: int) -> dict[str, Any] | None:
    """The initial weights of a training; if the bundle is missing, or its hash is not `used`, as the run recorded."""
    name = bundle.spec.train_args.get("initial_weights")
    if name is None:
        return None
    recorded = {"name": name, "bundle_json_sha256": used}
    try:
        earlier = find_bundle(name)
        if ancestors >= MOST_ANCESTORS or used not in (None, sha256_of(earlier.folder / DESCRIPTION)):
            return recorded
        return recorded | lineage_of(earlier, ancestors + 1)
    except (TextRecognizerError, OSError):
        return recorded
