"""Judge: early termination of active runs; each decision is recorded before it is executed."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from text_recognizer.errors import SpecError
from text_recognizer.named_part import NamedPart
from text_recognizer.wording import received
from training.executors.base import Job
from training.runs.causes import Cause
from training.sweeps.folder import SweepFolder
from training.sweeps.plan import SweepPlan
from training.sweeps.stopping_rules.base import Decision, StoppingRule
from training.sweeps.stopping_rules.hyperband import Hyperband
from training.sweeps.trials import Trial, TrialRun

_RESOURCES = ("wall_s", "cpu_s", "peak_memory_mib", "exit_code", "signal")


@dataclass(eq=False)
class LiveRun:
    """A run submitted to the executor."""

    trial: Trial
    run: TrialRun
    job: Job
    started: float | None = None
    timed_out: bool = False
    band: int | None = None
    cancelled: int = 0

    def cancel(self, kill: bool, reason: str, cause: Cause) -> None:
        """Cancels once, and kills once."""
        if self.cancelled < 1 + kill:
            self.cancelled = 1 + kill
            self.job.cancel(kill=kill, reason=reason, cause=cause)

    def end_if_overdue(self, limit_s: float) -> None:
        """Asks it to end when its time is over; kills it 30 s later."""
        now = time.monotonic()
        if self.started is not None and now - self.started > limit_s:
            self.cancel(kill=self.timed_out, reason=f"it took longer than {limit_s:g} s", cause=Cause.INTERRUPTED)
            if not self.timed_out:
                self.timed_out, self.started = True, now - limit_s + 30  # time to reach a checkpoint

    def resources(self) -> dict[str, Any]:
        """Resources used by its process, once it has ended."""
        taken = {name: getattr(self.job.ended, name, None) for name in _RESOURCES}
        return taken if self.job.place is None else {**taken, "place": self.job.place}


class Judge:
    """Applies the stopping rule of a sweep to its runs; the decisions go into the sweep's journal."""

    def __init__(self, rule: StoppingRule, metric: str, folder: SweepFolder) -> None:
        self._rule = rule
        self._metric = metric
        self._folder = folder

    def hear(self, run_id: str, values: Iterable[Any]) -> None:
        """Passes all reports of a run to the rule."""
        self._rule.forget(run_id)
        self._rule.report(run_id, values)

    def judge(self, runs: Sequence[LiveRun]) -> None:
        """Stops runs that are worse than the others; a run that was kept may be stopped later, after better ones."""
        for live in runs:
            if not live.job.done():
                self._follow(live, self._decision(live.run.id))

    def _decision(self, run_id: str) -> Decision:
        found: Any = self._rule.decide(run_id)
        if not isinstance(found, Decision):
            name = type(self._rule).__name__
            raise SpecError(f"stopping rule '{name}': decide() must return a Decision. {received(found)}")
        return found

    def _follow(self, live: LiveRun, decision: Decision) -> None:
        """Records a decision if it is the first at its band or a stop, and stops or pauses the run."""
        if decision.band is None or (decision.band == live.band and not decision.stop):
            return
        live.band = decision.band
        # By this driver, or an earlier one.
        earlier = [one for one in live.trial.decisions if one["run"] == live.run.id]
        is_stopped = any(one["stop"] for one in earlier)
        was_here = any(one.get("band") == decision.band for one in earlier)
        if is_stopped or (decision.pause and was_here):  # it pauses once per rung
            return
        explained = decision.explain(self._metric)
        self._write_down(live.trial, live.run, decision, decision.pause, explained)
        if decision.stop:
            live.cancel(kill=False, reason=f"early termination, {explained}", cause=Cause.EARLY_TERMINATION)
        elif decision.pause:
            live.cancel(kill=False, reason=explained, cause=Cause.PAUSED)

    def ends(self, trial: Trial, run: TrialRun) -> str | None:
        """Why a paused run will not continue, if that is decided; None while it waits."""
        decision = self._decision(run.id)
        if not decision.stop:
            return None
        explained = decision.explain(self._metric)
        if not any(one["stop"] for one in trial.decisions if one["run"] == run.id):
            self._write_down(trial, run, decision, False, explained)
        return explained

    def promotes(self, trial: Trial, run: TrialRun, anyway: bool = False) -> bool:
        """Whether a paused run continues now; `anyway`: even if it is not among the best."""
        decision = self._decision(run.id)
        if decision.stop or (decision.pause and not anyway):  # it may have changed since `ends` was called
            return False
        why = "continues as the best of all paused runs; " if decision.pause else ""
        self._write_down(trial, run, decision, False, why + decision.explain(self._metric))
        return True

    def _write_down(self, trial: Trial, run: TrialRun, decision: Decision, pause: bool, text: str) -> None:
        facts = {"stop": decision.stop, "pause": pause, "band": decision.band, **decision.facts, "text": text}
        self._folder.append("decision", trial=trial.number, run=run.id, **facts)
        self._folder.sync()
        trial.decisions.append({"run": run.id, **facts})


def stopping_rule(plan: SweepPlan, asked: str | None) -> StoppingRule | None:
    """The stopping rule, if any. Raises SpecError: it is unknown, or has no such argument.

    Args:
        asked: a rule that replaces the file's, by name with its arguments.
    """
    goal = plan.metric.goal if plan.metric is not None else "minimize"
    if asked is not None:
        return cast(StoppingRule, NamedPart.parse("stopping_rule", asked).make(goal=goal))
    settings = None if plan.config is None else plan.config.early_terminate
    return None if settings is None else Hyperband.from_config(settings, goal)
