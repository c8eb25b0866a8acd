"""Ledger: the trials of a sweep and their runs. Each change is recorded before anything follows from it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from text_recognizer.errors import RunError
from text_recognizer.experiment import assemble
from text_recognizer.wording import shell_word
from training.runs.causes import Cause
from training.runs.contents import CHECKPOINT, is_made, lost_files
from training.runs.places import new_run_id
from training.runs.run import Run, Status
from training.runs.run_table import read_row
from training.sweeps.folder import SweepFolder
from training.sweeps.history import History
from training.sweeps.plan import SweepPlan
from training.sweeps.reuse import Reusable
from training.sweeps.search.base import Search, Suggestion
from training.sweeps.trials import Trial, TrialRun

POLL_S = 0.1
ORPHANS_GRACE_S = 60.0


class Watcher(Protocol):
    """Shows the progress of a sweep."""

    def update(self, sweep: Any) -> None:
        """Called several times a second."""

    def event(self, text: str) -> None:
        """A line to be kept on the screen."""


class Ledger:
    """The trials of a held sweep and their records; reusable runs may answer some trials."""

    def __init__(
        self, plan: SweepPlan, search: Search, folder: SweepFolder, watcher: Watcher, reusable: Reusable | None
    ) -> None:
        self.plan = plan
        self.search = search
        self.folder = folder
        self.watcher = watcher
        self.history = History(plan.metric, {})
        self._reusable = reusable

    def tell(self, trial: Trial) -> None:
        self.search.tell(self.history.past(trial))

    def take_up(self, retry_failed: bool, rejoin: Callable[[Trial, TrialRun], bool] = lambda *_: False) -> None:
        """Reads the records of earlier drivers of this sweep, and how their runs have ended since.

        Args:
            retry_failed: start permanently failed runs again.
            rejoin: whether a run is still active and will report its end itself.
        """
        for trial in self.folder.trials().values():
            self.history.add(trial)
            for run in trial.runs:
                if run.ended is None:
                    if not rejoin(trial, run):
                        self._settle_orphan(trial, run)
                elif (run.ended == "failed" and retry_failed) or self._is_incomplete(trial, run):
                    self.folder.append("retry", trial=trial.number, run=run.id)
                    run.try_again()
            self.tell(trial)

    def begin(self, suggestion: Suggestion) -> Trial:
        number = self.history.next_number
        specs = self.plan.specs(suggestion.point)
        ids = [
            f"{new_run_id(spec)[:21]}-t{number:04d}" + (f"-s{index}" if len(specs) > 1 else "")
            for index, spec in enumerate(specs, start=1)
        ]
        trial = Trial(number, suggestion.point, suggestion.how, [TrialRun(self.folder.path / run_id) for run_id in ids])
        self.folder.append("suggest", **trial.suggestion())
        self.history.add(trial)
        for run, spec in zip(trial.runs, specs, strict=True):
            earlier = self._reusable.find(spec) if self._reusable is not None else None
            if earlier is not None:
                self.folder.append("reuse", trial=number, run=run.id, folder=str(earlier))
                run.folder, run.reused, run.ended = earlier, True, "finished"
                self.watcher.event(f"trial {number} is answered by the earlier run {earlier}")
        self.tell(trial)
        return trial

    def start(self, runs: Sequence[tuple[Trial, TrialRun]]) -> None:
        """Records the start of runs, and creates their folders."""
        for trial, run in runs:
            self.folder.append("start", trial=trial.number, run=run.id)
            run.begin()
        self.folder.sync()
        for trial, run in runs:
            if not is_made(run.folder):
                spec = self.plan.specs(trial.point)[trial.runs.index(run)]
                Run.create(assemble(spec).spec, run.id, self.folder.path.parent, durable=False)

    def end(self, trial: Trial, run: TrialRun, status: Status, resources: Mapping[str, Any] | None = None) -> None:
        """Records the final end of a run."""
        said = write_end(self.folder, self.history, trial, run, status, resources=dict(resources or {}))
        self.tell(trial)
        self.watcher.event(said + (f" ({run.error})" if run.ended == "stopped" and run.error else ""))

    def pause(self, trial: Trial, run: TrialRun, status: Status, resources: Mapping[str, Any]) -> None:
        """Records that a run waits at its checkpoint until it is among the best."""
        facts = {"error": status.error, "cause": status.cause, "resources": dict(resources)}
        self.interrupt(trial, run, status.state, **facts)
        run.cause = status.cause
        self.tell(trial)
        self.watcher.event(f"trial {trial.number} {status.error}")

    def interrupt(self, trial: Trial, run: TrialRun, state: str, **more: Any) -> None:
        """Records the end of an attempt, after which the run may continue."""
        run.reach(self.history.reports.epochs(run))
        self.folder.append("end", trial=trial.number, run=run.id, state=state, reports=run.reports, **more)

    def is_damaged(self, trial: Trial, run: TrialRun) -> bool:
        """Whether a run's folder cannot be read: then it has failed, and the others continue."""
        row = read_row(run.folder)
        if row is not None and row.damage is None:
            return False
        why = row.damage if row is not None else "the folder is gone"
        self.end(trial, run, Status("failed", {}, f"damaged: {why}", {}, 0, 0))
        return True

    def _is_incomplete(self, trial: Trial, run: TrialRun) -> bool:
        """Whether a finished run has lost files that it can make again; reports them."""
        if run.ended not in (None, "finished") or run.reused:
            return False
        try:
            lost = lost_files(run.folder)
        except RunError as error:
            self.watcher.event(f"warning: the run of trial {trial.number} cannot be read: {error}")
            return False
        if not lost:
            return False
        rebuilt = (run.folder / CHECKPOINT).exists()
        end = "it is finished again from its checkpoint" if rebuilt else "it has no checkpoint, and is left as it is"
        self.watcher.event(f"trial {trial.number} has lost {', '.join(lost)}: {end}")
        return rebuilt

    def _settle_orphan(self, trial: Trial, run: TrialRun) -> None:
        """Handles a run whose driver died before it could record the run's end."""
        if not is_made(run.folder) or self.is_damaged(trial, run):
            return
        status = _status_once_left_alone(run.folder)
        told_to_stop = next((one for one in trial.decisions if one["stop"] and one["run"] == run.id), None)
        if status.state not in ("finished", "stopped") and told_to_stop is not None:
            status = terminated(run, told_to_stop["text"])
        if status.state == "finished" and self._is_incomplete(trial, run):
            return
        if status.cause is Cause.PAUSED and run.cause is not Cause.PAUSED:
            self.pause(trial, run, status, {})
        if is_over(status):
            self.end(trial, run, status)


def write_end(folder: SweepFolder, history: History, trial: Trial, run: TrialRun, status: Status, **more: Any) -> str:
    """Records the final end of a run; returns it in words."""
    value = history.run_value(run)
    facts = {"state": status.state, "over": True, "value": value, "error": status.error, "cause": status.cause}
    folder.append("end", trial=trial.number, run=run.id, **facts, **more)
    run.ended, run.value, run.error, run.cause = status.state, value, status.error, status.cause
    run.resources = more["resources"]
    return f"trial {trial.number} {status.state}" + (f" {history.metric.name} {value:.4g}" if value is not None else "")


def terminated(run: TrialRun, why: str) -> Status:
    """Sets the state of early termination for a run that no process holds."""
    left = Run.open(run.folder)
    left.hold()
    left.set_state("stopped", f"early termination, {why}", Cause.EARLY_TERMINATION)
    left.release()
    return left.status()


def is_over(status: Status) -> bool:
    """Whether a run finished or was stopped for good, not only paused, or interrupted with its driver."""
    goes_on = status.cause in (Cause.INTERRUPTED, Cause.PAUSED)
    return status.state == "finished" or (status.state == "stopped" and not goes_on)


def _status_once_left_alone(folder: Path) -> Status:
    """The state of a run once its earlier driver's process has ended. Raises RunError: it does not end."""
    until = time.monotonic() + ORPHANS_GRACE_S
    while True:
        status = Run.open(folder).status()
        # A run that has recorded its end may still wait for its mirror.
        is_held = status.state != "finished" and Run(folder).is_held()
        if status.state != "running" and not is_held:
            return status
        if time.monotonic() > until:
            raise RunError(
                f"the run {folder} is still being run by an earlier driver of this sweep. "
                f"Wait for it, or stop it: text-recognizer runs stop {shell_word(folder.name)}"
            )
        time.sleep(POLL_S)
