"""Reuse of identical earlier runs for trials: same spec, data, code, packages, initial weights and device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.runs.contents import lost_files
from training.runs.environment import decisive_versions, environment
from training.runs.run import Run
from training.runs.run_table import read_rows


class Reusable:
    """The finished runs of a folder by spec; on_gpu: trials run on a GPU, where results differ from a CPU's."""

    def __init__(self, root: Path | None = None, on_gpu: bool = False) -> None:
        self._on_gpu = on_gpu
        self._by_digest: dict[str, list[Path]] = {}
        for row in read_rows(root):
            if row.state == "finished" and not row.status.get("extended"):  # its spec alone may not reproduce it
                try:
                    digest = ExperimentSpec.parse(row.spec).digest
                except SpecError:
                    continue
                self._by_digest.setdefault(digest, []).append(row.folder)

    def find(self, spec: ExperimentSpec) -> Path | None:
        """The folder of an earlier run with the same spec, data, device, code and packages."""
        experiment = assemble(spec)
        if experiment.spec.model_args.get("language_model_texts") is not None:
            return None  # the file may have changed
        candidates = self._by_digest.get(experiment.spec.digest, [])
        if not candidates:
            return None
        experiment.dataset.prepare()
        devices = ["gpu" if self._on_gpu else "cpu"]
        wanted = _identity(environment(experiment.spec, experiment.dataset.fingerprint, devices))
        same = (folder for folder in sorted(candidates) if _identity(_recorded(folder)) == wanted)
        return next((folder for folder in same if not lost_files(folder)), None)


def _recorded(folder: Path) -> dict[str, Any]:
    """The environment of a run; empty if it was not recorded."""
    try:
        return Run.open(folder).read_json("environment.json")
    except RunError:
        return {}


def _identity(where: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of the environment that affect the results of a run."""
    same = {name: where.get(name) for name in ("text_recognizer", "code", "dataset_fingerprint", "initial_weights")}
    on_gpu = where.get("devices") != ["cpu"]
    return {**same, "packages": decisive_versions(where.get("packages", {})), "on_gpu": on_gpu}
