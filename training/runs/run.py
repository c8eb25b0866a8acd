"""Run: the folder of one experiment. The folder is the source of truth; everything else is derived from it.

Its files are listed in docs/reference/run-folder.md.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from text_recognizer.errors import RunError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.wording import shell_word
from training.files.held_folder import HeldFolder
from training.files.journals import append_line, examine, open_journal, read_journal, sync_lines
from training.files.json_objects import read_object
from training.files.safe_files import cannot_write, is_blank, sync
from training.runs.causes import Cause, StopRequest, cause_of_status
from training.runs.checks import as_reported, launch_fault, report_fault
from training.runs.contents import FORMAT, NEEDED_TO_RESUME, SIGNS_OF_A_RUN, is_made, read_status, readable
from training.runs.places import group_folder_name, new_run_id, runs_folder

State = Literal["created", "running", "finished", "stopped", "failed", "preempted"]
AT_WORK: tuple[State, ...] = ("created", "running")
ENDED: tuple[State, ...] = ("finished", "stopped", "failed", "preempted")


@dataclass(frozen=True)
class Status:
    """status.json. `state` is "died" if it says running but no process holds the lock.

    Args:
        times: seconds since 1970: "created", and "started" and "ended" if known.
        error: why it failed or was stopped, as text.
        summary: the metrics by which runs are compared.
        cause: the exit reason as data; None if there is none, or in a status of an earlier version.
    """

    state: str
    times: dict[str, float]
    error: str | None
    summary: dict[str, float]
    epoch: int
    epochs: int
    cause: Cause | None = None


class Run(HeldFolder):
    """A run folder. `create` and `open` do not lock it; `hold` does, and only the holder changes a started run."""

    LOCK = "run.lock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._status: dict[str, Any] = {}
        self._rows_unsynced = self._start_synced = False

    @property
    def id(self) -> str:
        return self.folder.name

    @classmethod
    def create(
        cls, spec: ExperimentSpec, run_id: str | None = None, root: Path | None = None, durable: bool = True
    ) -> "Run":
        """Creates a run folder atomically, not held. Raises RunError: its name is taken, or it cannot be written.

        An incomplete folder, or one damaged by a power cut, becomes a run again: its checkpoints stay.

        Args:
            durable: flush the spec to disk. Not needed if it can be made again.
        """
        group = (root or runs_folder()) / group_folder_name(spec.experiment_group)
        folder = group / (run_id or new_run_id(spec))
        unfinished = folder.with_name(f".{folder.name}.new")
        exists = RunError(f"the run folder {folder} already exists. Resume it: --resume {shell_word(folder)}")
        try:
            if is_made(folder):
                raise exists
            if folder.exists():
                names = {entry.name for entry in os.scandir(folder)}
                if names and not names & SIGNS_OF_A_RUN:
                    raise RunError(f"{folder} exists and is not a run folder. Move it away, or give another id.")
                return cls._begin(folder, spec, durable)
            unfinished.mkdir(parents=True, exist_ok=True)
            run = cls._begin(unfinished, spec, durable)
            unfinished.rename(folder)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
                raise exists from None
            raise cannot_write(folder, error) from error
        except RunError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        run.folder = folder
        return run

    @classmethod
    def _begin(cls, folder: Path, spec: ExperimentSpec, durable: bool) -> "Run":
        """Writes the files of a run that has not started. Only the spec is synced: all else follows from it."""
        run = cls(folder)
        run.write_json("spec.json", spec.to_json())
        if is_blank(folder / "launch.json"):
            run.write_json("launch.json", {"attempts": []})
        run.note(format=FORMAT, state="created", times={"created": time.time()})
        if durable:
            sync(folder / "spec.json")
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Opens an existing run folder. Raises RunError: there is none, it is damaged, or of a newer version."""
        run = cls(folder)
        run._status = read_status(folder)
        return run

    def hold(self) -> None:
        """Takes the run's lock until this process exits. Raises RunError: it is held, or read-only."""
        self._hold(lambda holder: f"the run {self.folder} is in use by {holder}.")

    @property
    def spec(self) -> ExperimentSpec:
        path = self.folder / "spec.json"
        return ExperimentSpec.parse(self.read_json(path.name), str(path), f"the run folder {self.folder}")

    def replace_spec(self, spec: ExperimentSpec) -> None:
        """Replaces the spec of the run, and keeps its creation time."""
        path = self.folder / "spec.json"
        state = path.stat()
        self.write_json(path.name, spec.to_json(), durable=True)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    def status(self) -> Status:
        """The current state of the run."""
        value = read_status(self.folder)
        state = value["state"]
        if state == "running" and self._lock is None and not self.is_held():
            value = read_status(self.folder)  # again: it may have ended, and released the lock, between the two reads
            state = "died" if value["state"] == "running" else value["state"]
        return Status(
            state,
            value["times"],
            value.get("error"),
            value.get("summary", {}),
            value.get("epoch", 0),
            value.get("epochs", 0),
            cause_of_status(value),
        )

    def set_state(self, state: State, error: str | None = None, cause: Cause | None = None, **more: Any) -> None:
        """Sets the state of the run; `more` is added to status.json ("summary", "epoch", "epochs")."""
        times = dict(self._status.get("times", {}))
        if state == "running":
            times.pop("ended", None)
            times["started"] = time.time()
        elif state in ENDED:
            times["ended"] = time.time()
            self.sync()  # before the state that implies that they exist
        self.note(durable=state in ENDED, state=state, times=times, error=error, cause=cause, **more)

    def note(self, durable: bool = False, **more: Any) -> None:
        """Writes further keys into status.json."""
        self._status |= more
        self.write_json("status.json", self._status, durable)

    def log(self, row: Mapping[str, Any]) -> None:
        """Appends one report to metrics.jsonl; it then survives the death of this process."""
        if self._journal is None:
            self._journal = open_journal(self.folder / "metrics.jsonl")
        append_line(self._journal, self.folder / "metrics.jsonl", row)
        self._rows_unsynced = True

    def sync(self) -> None:
        """Flushes the reports so far, and the files from the start, to disk: now a checkpoint may be written.

        Single reports are not synced: they are useless without a checkpoint at the same step. Raises RunError: the disk
        is full or broken, or the folder is no longer the one that this process holds.
        """
        self.check_folder()
        if not self._start_synced:
            group = self.folder.parent
            sync(*(self.folder / name for name in NEEDED_TO_RESUME), self.folder, group, group.parent)
            self._start_synced = True
        if self._rows_unsynced and self._journal is not None:
            sync_lines(self._journal, self.folder / "metrics.jsonl")
            self._rows_unsynced = False

    def rows(self) -> list[dict[str, Any]]:
        """All reports so far."""
        return list(map(as_reported, read_journal(self.folder / "metrics.jsonl", report_fault)))

    def damage(self) -> str | None:
        """Unreadable reports, as text."""
        damage = examine(self.folder / "metrics.jsonl", report_fault).damage
        return damage and f"metrics.jsonl: {damage}"

    def attempts(self) -> list[dict[str, Any]]:
        """The entries of launch.json, one per start of the run. Raises RunError: it is missing or damaged."""
        launch = self.read_json("launch.json")
        fault = launch_fault(launch)
        if fault is not None:
            raise RunError(f"{self.folder / 'launch.json'} is damaged: {fault}")
        attempts: list[dict[str, Any]] = launch["attempts"]
        return attempts

    def request_stop(self, reason: str, cause: Cause = Cause.ASKED) -> None:
        """Requests the run to stop at its next checkpoint."""
        self.write_text("stop_request", StopRequest(reason, cause).to_text())

    def ask_to_stop(self, reason: str) -> None:
        """Requests the run to stop, for a user or a program. Raises RunError: it is not running."""
        state = self.status().state
        if state not in AT_WORK:
            raise RunError(f"the run {self.folder} is not running: its state is {state}.")
        self.request_stop(reason)

    def stop_requested(self) -> StopRequest | None:
        """The stop request, if there is one."""
        try:
            return StopRequest.parse((self.folder / "stop_request").read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return None

    def clear_stop_request(self) -> None:
        (self.folder / "stop_request").unlink(missing_ok=True)

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads one of the JSON files of the folder. Raises RunError: the file is missing or damaged."""
        with readable(self.folder, name) as path:
            return read_object(path)

    def has(self, name: str) -> bool:
        """Whether the run has a file; one emptied by a power cut does not count."""
        return not is_blank(self.folder / name)

    def write_json(self, name: str, value: Mapping[str, Any], durable: bool = False) -> None:
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n", durable)

    def is_held(self) -> bool:
        """Whether a process has the run's lock."""
        return self.holder() is not None
