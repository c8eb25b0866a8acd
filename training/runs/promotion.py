"""Promotion: the model of a run gets a name, and with it what is known of where it comes from."""

from collections.abc import Mapping
from typing import Any

from text_recognizer.errors import RunError, TextRecognizerError
from text_recognizer.models.bundle import DESCRIPTION, Bundle, find_bundle
from text_recognizer.promoted.manifest import MANIFEST, Manifest
from text_recognizer.promoted.store import ModelStore, Version
from text_recognizer.whole_files import sha256_of
from training.runs.contents import MODEL
from training.runs.run import Run, is_made

MOST_ANCESTORS = 20


def promote(bundle: Bundle, name: str) -> Version:
    """A copy of a bundle becomes the version that a name stands for; it is checked before, file by file.

    Raises:
        SpecError: it is no name for a model.
        DataError: the bundle is damaged, or the models folder cannot be written.
    """
    bundle.check_files()
    return ModelStore().add(name, bundle.folder, lineage_of(bundle))


def lineage_of(bundle: Bundle, ancestors: int = 0) -> dict[str, Any]:
    """The run that trained a bundle, its data and code, and the same of the weights that it began with."""
    manifest = bundle.folder / MANIFEST
    if manifest.exists():
        return dict(Manifest.parse(manifest.read_bytes(), str(manifest)).lineage)
    environment = _environment_of(bundle)
    return {
        "run": bundle.run_id,
        "dataset": bundle.spec.dataset,
        "dataset_args": dict(bundle.spec.dataset_args),
        "dataset_fingerprint": bundle.dataset_fingerprint,
        "code": environment.get("code"),
        "initial_weights": _initial_weights(bundle, environment.get("initial_weights"), ancestors),
    }


def _environment_of(bundle: Bundle) -> Mapping[str, Any]:
    """What the run of a bundle ran on; nothing where its folder is not around the bundle."""
    folder = bundle.folder.parent
    if bundle.folder.name != MODEL or not is_made(folder):
        return {}
    try:
        return Run(folder).read_json("environment.json")
    except RunError:
        return {}


def _initial_weights(bundle: Bundle, used: Any, ancestors: int) -> dict[str, Any] | None:
    """What a training began with: of a bundle that is gone, or another by now, what the run has recorded.

    Args:
        used: hash of its description, as the run has it.
    """
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
