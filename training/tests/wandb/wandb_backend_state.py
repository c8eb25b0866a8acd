"""All that the stand-in of the W&B backend knows, and how its parts find each other."""

import base64
import json
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from training.tests.wandb.wandb_backend_records import (
    DEFAULT_PROJECT,
    ENTITY,
    RefusalError,
    StoredAgent,
    StoredArtifact,
    StoredProject,
    StoredRun,
    StoredSweep,
)

Suggest = Callable[[StoredSweep], Mapping[str, Any] | None]
Validate = Callable[[Mapping[str, Any]], Collection[str]]
EarlyTerminate = Callable[[StoredSweep], Iterable[str]]


class Store:
    """Everything the backend knows.

    Args:
        suggest: the next point of a sweep; None when there is none.
        validate: the warnings about a sweep's configuration.
        early_terminate: ids of the runs of a sweep to stop.
    Attributes:
        features: names of the optional server features that clients are told of.
        lease_s: how long a run may be pending before another agent gets it.
    """

    def __init__(self, suggest: Suggest, validate: Validate, early_terminate: EarlyTerminate) -> None:
        self.suggest = suggest
        self.validate = validate
        self.early_terminate = early_terminate
        self.features: set[str] = set()
        self.url = ""
        self.lease_s = 3600.0
        self.projects: dict[tuple[str, str], StoredProject] = {}
        self.all_runs: dict[tuple[str, str, str], StoredRun] = {}
        self.sweeps: dict[str, StoredSweep] = {}
        self.agents: dict[str, StoredAgent] = {}
        self.all_artifacts: dict[str, StoredArtifact] = {}
        # Signatures differ from backend to backend: an address of an earlier one must not work.
        self.signature = f"{random.SystemRandom().getrandbits(64):016x}"

    def project(self, entity: str | None, name: str | None) -> StoredProject | None:
        return self.projects.get((entity or ENTITY, name or DEFAULT_PROJECT))

    def make_project(self, entity: str | None, name: str | None) -> StoredProject:
        place = (entity or ENTITY, name or DEFAULT_PROJECT)
        if place not in self.projects:
            self.projects[place] = StoredProject(*place, number=len(self.projects) + 1)
        return self.projects[place]

    def run(self, entity: str | None, project: str | None, run_id: str) -> StoredRun:
        run = self.all_runs.get((entity or ENTITY, project or DEFAULT_PROJECT, run_id))
        if run is None:
            raise RefusalError(404, f"run {entity}/{project}/{run_id} not found")
        return run

    def run_by_key(self, key: str) -> StoredRun:
        for run in self.all_runs.values():
            if run.key == key:
                return run
        raise RefusalError(404, f"run {key} not found")

    def make_run(self, project: StoredProject, run_id: str, state: str) -> StoredRun:
        run = StoredRun(project.entity, project.name, run_id, f"run-{len(self.all_runs) + 1}", state)
        self.all_runs[project.entity, project.name, run_id] = run
        return run

    def runs_of(self, project: StoredProject) -> list[StoredRun]:
        return [run for run in self.all_runs.values() if (run.entity, run.project) == (project.entity, project.name)]

    def sweep_by_key(self, key: str) -> StoredSweep:
        for sweep in self.sweeps.values():
            if key in (sweep.key, sweep.id):
                return sweep
        raise RefusalError(404, f"sweep {key} not found")

    def artifact(self, artifact_id: str) -> StoredArtifact:
        """By the backend's id or by the one its client gave it."""
        if artifact_id in self.all_artifacts:
            return self.all_artifacts[artifact_id]
        for artifact in self.all_artifacts.values():
            if artifact.client_id == artifact_id:
                return artifact
        raise RefusalError(404, f"artifact {artifact_id} not found")

    def versions(self, entity: str, project: str, collection: str) -> list[StoredArtifact]:
        """The committed versions of a collection, oldest first."""
        place = (entity, project, collection)
        found = [artifact for artifact in self.all_artifacts.values() if artifact.version is not None]
        return sorted(
            (artifact for artifact in found if (artifact.entity, artifact.project, artifact.collection) == place),
            key=lambda artifact: artifact.version or 0,
        )

    def signed_url(self, *parts: str) -> str:
        """An address of the backend's storage that needs no key."""
        path = "/".join(quote(part, safe="") for part in parts)
        return f"{self.url}/storage/{path}?signature={self.signature}"

    def write(self, kind: str, owner: str, name: str, content: bytes) -> None:
        """Keeps what was uploaded for a run, an artifact or its manifest."""
        if kind == "manifest":
            self.artifact(owner).manifest = json.loads(content)
        elif kind == "artifact":
            self.artifact(owner).files[name] = content
        else:
            run = self.run_by_key(owner)
            run.files[name] = content
            run.uploads.append(name)

    def read(self, kind: str, owner: str, name: str) -> bytes:
        if kind == "manifest":
            return json.dumps(self.artifact(owner).manifest).encode()
        if kind == "digest":
            return self._by_digest(owner)
        files = self.artifact(owner).files if kind == "artifact" else self.run_by_key(owner).files
        if name not in files:
            raise RefusalError(404, f"no file {name}")
        return files[name]

    def _by_digest(self, digest: str) -> bytes:
        for artifact in self.all_artifacts.values():
            for path, entry in artifact.entries.items():
                if path in artifact.files and base64.b64decode(entry["digest"]).hex() == digest:
                    return artifact.files[path]
        raise RefusalError(404, f"no file with the digest {digest}")
