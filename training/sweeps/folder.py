"""SweepFolder: the folder of a sweep, which is also the folder of its runs' experiment group.

sweep.json         identity of the sweep: name, digest, method, seed; written once
sweep.yaml/.json   the given file
trials.jsonl       journal: suggestions before they start, starts, ends, decisions of early termination
control            the requested state: run, pause, stop or cancel
sweep.lock         held by the driver of the sweep
leaderboard.csv best_spec.json report.html     derived, rewritten as the sweep progresses
<run id>/          the runs
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from text_recognizer.arguments import check_value
from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import did_you_mean
from training.files.held_folder import HeldFolder
from training.files.journals import Journal, append_line, examine, open_journal, read_journal, sync_lines
from training.files.json_objects import read_object, read_regular
from training.files.safe_files import cannot_write, is_blank, sync
from training.runs.checks import LAST_SECOND, is_count
from training.runs.contents import readable
from training.runs.places import group_folder_name, runs_folder
from training.sweeps.events import event_fault
from training.sweeps.file.config import Metric
from training.sweeps.plan import SweepPlan
from training.sweeps.trials import Trial, read_trials

Wish = Literal["run", "pause", "stop", "cancel"]
FORMAT = 1
SIGNS = ("sweep.json", "trials.jsonl")  # a folder with one of them is a sweep's, even if others are missing


@dataclass(frozen=True)
class SweepFacts:
    """The content of sweep.json.

    Args:
        created: seconds since 1970.
        size: total number of trials; None for an unlimited search.
        metric: None for a list of experiments.
        search: search that replaces the file's method; "" for none.
    """

    name: str
    digest: str
    source: str
    method: Literal["list", "grid", "random", "bayes"]
    created: Annotated[float, Ge(0), Lt(LAST_SECOND)]
    size: Annotated[int, Ge(0)] | None = None
    metric: Metric | None = None
    search: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> "SweepFacts":
        """Parses the JSON of sweep.json. Raises ValueError: it is invalid."""
        if is_count(version := value.get("format", 0)) and version > FORMAT:
            raise ValueError(f"it has format {version}, this version reads up to {FORMAT}")
        known = {one.name: value[one.name] for one in fields(cls) if one.name in value}
        found, problems = check_value("sweep.json", cls, known)
        if problems:
            raise ValueError(problems[0])
        return found  # type: ignore[no-any-return]


class SweepFolder(HeldFolder):
    """A sweep on disk. The holder of the lock writes the journal; others may read, and write a wish."""

    LOCK = "sweep.lock"
    _unsynced = False

    @property
    def path(self) -> Path:
        return self.folder

    @property
    def name(self) -> str:
        return self.path.name

    @classmethod
    def of(cls, plan: SweepPlan, root: Path | None = None) -> "SweepFolder":
        return cls((root or runs_folder()) / group_folder_name(plan.name))

    def exists(self) -> bool:
        """Whether the sweep was started; not if a power cut emptied sweep.json, which is written before any trial."""
        try:
            return not is_blank(self.path / "sweep.json")
        except OSError as error:
            raise RunError(f"the sweep's folder {self.path} cannot be read: {error.strerror or error}.") from error

    def create_or_check(self, plan: SweepPlan) -> None:
        """Writes the identity of the sweep, or checks that this folder is of the same sweep.

        Raises:
            SpecError: it is of another one.
            RunError: it cannot be written, or is of a newer version.
        """
        if self.exists():
            if self.facts().digest != plan.digest:
                flags = "--base, --set, --seed, --seeds, --search, --sampler, --enqueue, --when or --skip-invalid"
                kept, is_same = self._kept(plan)
                since = f"{flags} has another value" if is_same else f"its file has changed; {kept} is what it was"
                raise SpecError(
                    f"the sweep {self.path} cannot be continued: {since}. Change it back, or start another sweep: "
                    f"--name NEW"
                )
            self._keep(plan)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            sync(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._keep(plan)
        names = ("name", "digest", "method", "search", "size", "seed", "seeds", "sampler", "source")
        facts = {
            "format": FORMAT,
            **{name: getattr(plan, name) for name in names},
            "metric": None if plan.metric is None else {"name": plan.metric.name, "goal": plan.metric.goal},
            "code": secrets.token_hex(3),
            "created": time.time(),
        }
        self.write_text("sweep.json", json.dumps(facts, indent=2) + "\n", durable=True)

    def _keep(self, plan: SweepPlan) -> None:
        """Stores the text of the sweep; parts outside its identity (run_cap, description) may have changed."""
        path, is_same = self._kept(plan)
        if not is_same:
            self.write_text(path.name, plan.text, durable=True)

    def _kept(self, plan: SweepPlan) -> tuple[Path, bool]:
        """The stored text's file, and whether it equals the plan's text."""
        path = self.path / ("sweep.json.given" if plan.config is None else "sweep.yaml")
        try:
            return path, read_regular(path) == plan.text.encode()
        except OSError:
            return path, False

    def facts(self) -> SweepFacts:
        """The content of sweep.json. Raises RunError: it is missing, damaged, or of a newer version."""
        with readable(self.path, "sweep.json", "the folder of a sweep") as path:
            return SweepFacts.parse(read_object(path))

    def hold(self) -> None:
        """Becomes the only driver of the sweep. Raises RunError: another process drives it."""
        self._hold(lambda holder: f"the sweep {self.path} is driven by {holder} already.")
        try:
            self._journal = open_journal(self.path / "trials.jsonl")
            sync(self.path)
        except RunError:
            self.release()
            raise

    def events(self) -> list[dict[str, Any]]:
        """The journal so far; unreadable parts give a warning."""
        return read_journal(self.path / "trials.jsonl", event_fault)

    def trials(self) -> dict[int, Trial]:
        """The trials so far by number; unreadable ones give a warning."""
        return read_trials(self.events(), self.path)

    def journal(self) -> Journal:
        """The journal so far, with its damages."""
        return examine(self.path / "trials.jsonl", event_fault)

    def append(self, event: str, **facts: Any) -> None:
        """Records an event. Call `sync` before anything outside the journal follows from it."""
        assert self._journal is not None, "only the process that holds a sweep writes its journal"
        self.check_folder()
        append_line(self._journal, self.path / "trials.jsonl", {"event": event, **facts, "time": round(time.time(), 3)})
        self._unsynced = True

    def sync(self) -> None:
        """Flushes the events to disk, so that a power cut cannot undo them."""
        if self._unsynced and self._journal is not None:
            sync_lines(self._journal, self.path / "trials.jsonl")
            self._unsynced = False

    @property
    def wish(self) -> Wish:
        """The requested state: run, pause, stop or cancel. Raises RunError: its file cannot be read."""
        path = self.path / "control"
        try:
            wish = read_regular(path).decode(errors="replace").strip()
        except FileNotFoundError:
            return "run"
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror or error}.") from None
        return wish if wish in ("pause", "stop", "cancel") else "run"  # type: ignore[return-value]

    def set_wish(self, wish: Wish) -> None:
        self.write_text("control", wish + "\n", durable=True)


def find_sweep(name: str, root: Path | None = None) -> SweepFolder:
    """A sweep by its folder or name. Raises RunError: there is none."""
    for path in (Path(name), (root or runs_folder()) / name, (root or runs_folder()) / group_folder_name(name)):
        if any(os.path.exists(path / sign) for sign in SIGNS):  # noqa: PTH110 - Path.exists raises for long names
            return SweepFolder(path)
    known = [folder.name for folder in all_sweeps(root)]
    listed = ", ".join(known) or "none yet"
    raise RunError(
        f"there is no sweep '{name}' in {(root or runs_folder()).resolve()}.{did_you_mean(name, known)} "
        f"There are: {listed}."
    )


def all_sweeps(root: Path | None = None) -> list[SweepFolder]:
    """All sweeps, newest first; damaged ones last."""
    found = {path.parent for sign in SIGNS for path in (root or runs_folder()).glob(f"*/{sign}")}
    return sorted(map(SweepFolder, found), key=lambda folder: (-_created(folder), folder.name))


def _created(folder: SweepFolder) -> float:
    try:
        return folder.facts().created
    except RunError:
        return 0.0
