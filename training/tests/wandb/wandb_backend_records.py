"""Runs, artifacts, sweeps and agents as the stand-in of the W&B backend keeps them: plain values for tests to read."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

HISTORY = "wandb-history.jsonl"
EVENTS = "wandb-events.jsonl"
SUMMARY = "wandb-summary.json"
OUTPUT = "output.log"
# Exit code of a run that was ended by KeyboardInterrupt, as the client reports it.
INTERRUPTED = 255
ENDED = frozenset({"finished", "failed", "crashed", "killed"})
ENTITY = "tester"
DEFAULT_PROJECT = "uncategorized"


class RefusalError(Exception):
    """A request the backend answers with an error of its own: the client's mistake, not the stand-in's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnknownRequestError(Exception):
    """A request the stand-in does not understand; the test fails."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def opaque(*parts: object) -> str:
    """An id that no client can read anything from."""
    return base64.b64encode(":".join(map(str, parts)).encode()).decode()


@dataclass(eq=False)
class StoredProject:
    entity: str
    name: str
    number: int
    description: str | None = None
    created_at: str = field(default_factory=now)

    @property
    def key(self) -> str:
        return opaque("Project", self.name, self.entity)


@dataclass(eq=False)
class StoredRun:
    """A run.

    Args:
        key: the backend's own id of it.
        raw_config: as sent: {"lr": {"value": 0.1}, "_wandb": {"value": ...}}.
        lines: of each streamed file, by line number.
        resent: file and number of each line that came again; summary and console, which change lines, left aside.
        suggestion: the values its sweep gave it.
        upserts: how often it was created or updated.
    """

    entity: str
    project: str
    id: str
    display_name: str
    state: str = "running"
    raw_config: dict[str, Any] = field(default_factory=dict, repr=False)
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    description: str | None = None
    program: str | None = None
    host: str | None = None
    commit: str | None = None
    sweep: str | None = None
    suggestion: dict[str, Any] | None = None
    exit_code: int | None = None
    preempting: bool = False
    stop_requested: bool = False
    agent_stop_requested: bool = False
    lines: dict[str, dict[int, str]] = field(default_factory=dict, repr=False)
    resent: list[tuple[str, int]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    uploads: list[str] = field(default_factory=list)
    logged_artifacts: list["StoredArtifact"] = field(default_factory=list, repr=False)
    used_artifacts: list["StoredArtifact"] = field(default_factory=list, repr=False)
    upserts: int = 0
    leased_at: float = 0.0
    created_at: str = field(default_factory=now)
    heartbeat_at: str = field(default_factory=now)

    @property
    def key(self) -> str:
        return opaque("Run", self.id, self.project, self.entity)

    @property
    def config(self) -> dict[str, Any]:
        """The user's values, without what W&B adds."""
        return {name: entry["value"] for name, entry in self.raw_config.items() if name != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.streamed(HISTORY)]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.streamed(EVENTS)]

    @property
    def output(self) -> str:
        return "\n".join(self.streamed(OUTPUT))

    def streamed(self, name: str) -> list[str]:
        lines = self.lines.get(name, {})
        return [lines[number] for number in sorted(lines)]

    def values(self, name: str) -> list[Any]:
        """All values of one metric, in the order logged."""
        return [row[name] for row in self.history if name in row]

    def receive(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A message of the file stream; the answer to it."""
        self.heartbeat_at = now()
        for name, chunk in (body.get("files") or {}).items():
            self._receive_lines(name, chunk["offset"], chunk["content"])
        if body.get("preempting"):
            self.preempting = True
        if body.get("complete"):
            self.exit_code = int(body["exitcode"])
            self.state = self._end_state(self.exit_code)
            answer, self.stop_requested = self.stop_requested, False  # fulfilled: a resumed run may go on
            return {"stopped": True} if answer else {}
        self.state = "running"  # also when it had ended: it is alive
        return {"stopped": True} if self.stop_requested else {}

    def _receive_lines(self, name: str, offset: int, content: list[str]) -> None:
        lines = self.lines.setdefault(name, {})
        if name == SUMMARY:
            self.summary = json.loads(content[-1])
        elif name != OUTPUT:
            self.resent += [(name, offset + index) for index in range(len(content)) if offset + index in lines]
        lines.update(enumerate(content, offset))

    def _end_state(self, exit_code: int) -> str:
        if exit_code == 0:
            return "finished"
        if self.preempting:
            return "preempted"
        return "killed" if exit_code == INTERRUPTED else "failed"

    def lose_contact(self) -> None:
        """What the backend concludes five minutes after the last sign of life."""
        self.state = "preempted" if self.preempting else "crashed"


@dataclass(eq=False)
class StoredArtifact:
    """A version of an artifact.

    Args:
        version: None until it is committed.
        manifest: of the last manifest uploaded.
        files: content by path; references have none.
    """

    id: str
    entity: str
    project: str
    type: str
    collection: str
    digest: str
    digest_algorithm: str
    client_id: str | None = None
    sequence_client_id: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    state: str = "PENDING"
    version: int | None = None
    history_step: int | None = None
    ttl_s: int | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    logged_by: StoredRun | None = None
    used_by: list[StoredRun] = field(default_factory=list, repr=False)
    created_at: str = field(default_factory=now)

    @property
    def name(self) -> str:
        return f"{self.collection}:v{self.version}"

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        """The manifest's entry of each path: digest, size, and ref where it is a reference."""
        contents: dict[str, dict[str, Any]] = self.manifest.get("contents", {})
        return contents

    def has_name(self, alias: str) -> bool:
        return self.version is not None and alias in (f"v{self.version}", *self.aliases)


@dataclass(eq=False)
class StoredSweep:
    """A sweep.

    Args:
        text: the configuration as sent, YAML.
        state: PENDING, RUNNING, PAUSED, FINISHED or CANCELED.
        runs: in the order suggested or attached.
        prior_runs: runs from before it that count for its search.
        exhausted: the search has nothing more to suggest.
    """

    id: str
    entity: str
    project: str
    text: str
    state: str = "PENDING"
    display_name: str | None = None
    description: str | None = None
    controller: str | None = None
    scheduler: str | None = None
    runs: list[StoredRun] = field(default_factory=list, repr=False)
    prior_runs: list[StoredRun] = field(default_factory=list, repr=False)
    agents: list["StoredAgent"] = field(default_factory=list, repr=False)
    exhausted: bool = False
    created_at: str = field(default_factory=now)

    @property
    def key(self) -> str:
        return opaque("Sweep", self.id, self.project, self.entity)

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(self.text)
        return config


@dataclass(eq=False)
class StoredAgent:
    """An agent.

    Args:
        running: the runs it last said are running.
        commands: all that it was told.
    """

    id: str
    host: str
    sweep: StoredSweep
    running: list[str] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    heartbeat_at: str = field(default_factory=now)
