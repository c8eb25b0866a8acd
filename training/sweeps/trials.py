"""Trials: the journal of a sweep as objects. The journal has the events, the run folders have the results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.files.json_objects import is_finite
from training.runs.causes import Cause, known_cause
from training.sweeps.file.parameter import Point


@dataclass
class TrialRun:
    """One run of a trial; there are several if a trial is repeated with other seeds.

    Args:
        folder: its folder; that of an earlier sweep or experiment if the run was reused.
        attempts: number of starts.
        in_vain: number of starts since it last got further than ever before.
        reports: the number of epochs that it had reported when an attempt ended.
        failures: the reason of each failed attempt.
        ended: finished, stopped or failed, once it is final.
        value: its best value of the metric at that time; used if its folder is missing.
    """

    folder: Path
    reused: bool = False
    attempts: int = 0
    in_vain: int = 0
    reports: int = 0
    failures: list[str] = field(default_factory=list)
    ended: str | None = None
    value: float | None = None
    error: str | None = None
    cause: Cause | None = None
    resources: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.folder.name

    def begin(self) -> None:
        self.attempts, self.in_vain, self.cause = self.attempts + 1, self.in_vain + 1, None

    def reach(self, reports: int) -> None:
        """Notes how many epochs it has reported at the end of an attempt."""
        if reports > self.reports:
            self.reports, self.in_vain = reports, 0

    def try_again(self) -> None:
        """Marks it as not ended; its folder may be lost."""
        self.ended, self.error, self.failures, self.in_vain, self.reports = None, None, [], 0, 0


@dataclass
class Trial:
    """One point of a sweep and its runs.

    Args:
        number: counted from 1.
        how: why the search suggested this point.
        decisions: recorded decisions of early termination.
    """

    number: int
    point: Point
    how: Mapping[str, Any]
    runs: list[TrialRun]
    decisions: list[Mapping[str, Any]] = field(default_factory=list)

    def is_paused(self, run: TrialRun) -> bool:
        """Whether a run has paused, or the latest decision is to pause it."""
        decisions = [one for one in self.decisions if one["run"] == run.id]
        is_asked = bool(decisions) and decisions[-1].get("pause") is True
        return run.ended is None and (is_asked or run.cause is Cause.PAUSED)

    def suggestion(self) -> dict[str, Any]:
        """Its event in the journal before anything starts."""
        runs = [run.id for run in self.runs]
        return {"trial": self.number, "point": self.point, "how": dict(self.how), "runs": runs}

    @property
    def lineage(self) -> Mapping[str, Any] | None:
        """The trial it is a copy of, the epoch, and the changes; None if it is not a copy."""
        lineage = self.how.get("population")
        return lineage if isinstance(lineage, dict) else None

    @property
    def copy_of(self) -> str | None:
        if (lineage := self.lineage) is None:
            return None
        changed = [f", {name} {_short(values)}" for name, values in dict(lineage.get("changed", {})).items()]
        return f"trial {lineage.get('parent')} at epoch {lineage.get('epoch')}{''.join(changed)}"

    @property
    def state(self) -> str:
        """Failed once a run has failed permanently, pending while any has not ended, stopped, or finished."""
        states = [run.ended for run in self.runs]
        if "failed" in states:
            return "failed"
        if None in states:
            return "pending"
        return "stopped" if "stopped" in states else "finished"

    @property
    def is_over(self) -> bool:
        return all(run.ended is not None for run in self.runs)

    @property
    def error(self) -> str | None:
        return next((run.error for run in self.runs if run.error is not None), None)

    @property
    def diverged(self) -> bool:
        """Whether it failed only because of its values, which is a result."""
        lost = [run for run in self.runs if run.ended == "failed"]
        return bool(lost) and all(run.failures[-1:] == ["diverged"] for run in lost)


def _short(values: Any) -> str:
    return " -> ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in values)


def read_trials(events: Iterable[Mapping[str, Any]], folder: Path) -> dict[int, Trial]:
    """The trials of a sweep's folder by number, from checked events (see `event_fault`)."""
    trials: dict[int, Trial] = {}
    for event in events:
        if event["event"] == "suggest":
            runs = [TrialRun(folder / run_id) for run_id in event["runs"]]
            trials.setdefault(event["trial"], Trial(event["trial"], event["point"], event["how"], runs))
            continue
        trial = trials.get(event.get("trial", 0))
        if trial is None:
            continue
        if event["event"] == "decision":
            trial.decisions.append(event)
            continue
        run = next((run for run in trial.runs if run.id == event.get("run")), None)
        if run is not None:
            _apply(run, event)
    return dict(sorted(trials.items()))


def _apply(run: TrialRun, event: Mapping[str, Any]) -> None:
    if event["event"] == "reuse":
        run.folder, run.reused, run.ended = Path(event["folder"]), True, "finished"
    elif event["event"] == "start":
        run.begin()
    elif event["event"] == "end":
        run.reach(event.get("reports", 0))
        run.resources = event.get("resources", {})
        run.cause = known_cause(event.get("cause"))
        failure = event.get("failure")
        if "cause" not in event and (event.get("error") or "").startswith("diverged: "):
            failure = failure or "diverged"  # by a version without causes, for a sweep owned by W&B
        if failure:
            run.failures.append(failure)
        if event.get("over"):
            run.ended, run.error = event["state"], event.get("error")
            run.value = event["value"] if is_finite(event.get("value")) else None
    elif event["event"] == "retry":  # an explicit wish to retry a failed one
        run.try_again()
