"""Answering a trial from an earlier run that was the same: spec, data, code, packages, initial weights and device."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from text_recognizer import __version__
from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.runs.contents import lost_files
from training.runs.environment import DECISIVE_PACKAGES, code_version, initial_weights, package_versions
from training.runs.run import Run
from training.runs.run_table import read_rows


class Reusable:
    """The finished runs of a folder by what was trained; on_gpu: trials get one, and a CPU computes other numbers."""

    def __init__(self, root: Path | None = None, on_gpu: bool = False) -> None:
        self._on_gpu = on_gpu
        self._by_digest: dict[str, list[Path]] = {}
        for row in read_rows(root):
            if row.state == "finished" and not row.status.get("extended"):  # its spec alone may not lead to it
                try:
                    digest = ExperimentSpec.parse(row.spec).digest
                except SpecError:
                    continue
                self._by_digest.setdefault(digest, []).append(row.folder)

    def find(self, spec: ExperimentSpec) -> Path | None:
        """The folder of an earlier run of the same spec, on the same data and device, by the same code and packages."""
        experiment = assemble(spec)
        if experiment.spec.model_args.get("language_model_texts") is not None:
            return None  # the file may be another one by now
        candidates = self._by_digest.get(experiment.spec.digest, [])
        if not candidates:
            return None
        experiment.dataset.prepare()
        wanted = {
            "text_recognizer": __version__,
            "code": code_version(experiment.spec),
            "dataset_fingerprint": experiment.dataset.fingerprint,
            "initial_weights": initial_weights(experiment.spec),
            "packages": _that_matter(package_versions()),
            "on_gpu": self._on_gpu,
        }
        same = (folder for folder in sorted(candidates) if _identity(folder, wanted) == wanted)
        return next((folder for folder in same if not lost_files(folder)), None)


def _identity(folder: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """What the numbers of a run depend on besides its spec, as it recorded it; None where it did not."""
    try:
        recorded = Run.open(folder).read_json("environment.json")
    except RunError:
        return None
    packages, on_gpu = _that_matter(recorded.get("packages", {})), recorded.get("devices") != ["cpu"]
    return {**{key: recorded.get(key) for key in keys}, "packages": packages, "on_gpu": on_gpu}


def _that_matter(packages: dict[str, str]) -> dict[str, str | None]:
    return {name: packages.get(name) for name in DECISIVE_PACKAGES}
