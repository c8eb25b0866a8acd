"""Sweep: the loop. A sweep is a function of its plan and of the run folders so far; to resume is to start again."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from text_recognizer.errors import RunError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.devices.gpu_manager import GPUManager
from training.executors.base import Executor, first_ended
from training.runs.causes import Cause
from training.runs.contents import has_checkpoint, lost_files
from training.runs.places import new_run_id
from training.runs.run import Run, is_made
from training.runs.run_table import read_row
from training.sweeps.adopt import adopt_runs
from training.sweeps.failures import classify
from training.sweeps.folder import SweepFolder, suggestion_facts
from training.sweeps.history import History
from training.sweeps.judge import Judge, stopping_rule
from training.sweeps.limits import Limits, SweepResult
from training.sweeps.plan import SweepPlan
from training.sweeps.reuse import Reusable
from training.sweeps.runs import (
    INTERRUPTED,
    LiveRun,
    is_over,
    status_when_left_alone,
    stop_left_alone,
)
from training.sweeps.search.base import Search, Suggestion
from training.sweeps.trials import Trial, TrialRun, next_number, read_trials
from training.terminal.command_line import say

POLL_S = 0.1
FULL_DISK = "the disk is full; free some space and give the same command again"


class Watcher(Protocol):
    """Who is shown how a sweep goes."""

    def update(self, sweep: "Sweep") -> None:
        """Called several times a second."""

    def event(self, text: str) -> None:
        """One line worth keeping."""


class Sweep:
    """Runs a sweep from wherever it is to its end."""

    def __init__(
        self,
        plan: SweepPlan,
        search: Search,
        executor: Executor,
        folder: SweepFolder,
        limits: Limits,
        watcher: Watcher,
        reusable: Reusable | None = None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.limits = limits
        self.executor = executor
        self.history = History(plan.metric, {})
        self.live: list[LiveRun] = []
        self._search = search
        self._watcher = watcher
        self._reusable = reusable
        rule = stopping_rule(plan, limits.stopping_rule)
        self._judge = Judge(rule, self.history.metric.name, folder) if rule is not None else None
        self._interrupts = 0
        self._why_over: str | None = None
        self._exhausted = False

    @property
    def trials(self) -> dict[int, Trial]:
        return self.history.trials

    def run(self) -> SweepResult:
        """Drives the sweep; the folder is held meanwhile."""
        self.folder.hold(self.plan.point_fault)
        earlier = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            result = self.executor.drive(self._loop)
            self.folder.append("over", why=result.ended, complete=result.complete, wish=self.folder.wish)
        finally:
            self.executor.close()
            for number, handler in earlier.items():
                signal.signal(number, handler)
            self.folder.release()
        return result

    def _loop(self) -> SweepResult:
        self._replay()
        while True:
            self._obey()
            self._start_runs()
            if not self.live and self._nothing_left():
                return self._result()
            self._wait()
            # Which jobs are over is noted before their reports are read: a run may write its last rows and end
            # between the two.
            over = [live for live in self.live if live.job.done()]
            self._read_reports()
            for live in over:
                self._settle(live)
            self._end_overdue()
            self._watcher.update(self)

    def _wait(self) -> None:
        if self.live:
            first_ended([live.job for live in self.live], POLL_S)
        else:
            time.sleep(POLL_S)

    # The steps of the loop

    def _replay(self) -> None:
        """Takes up what earlier drivers of this sweep wrote down, and what became of their runs since."""
        self.history.trials = read_trials(self.folder.events(), self.folder.path)
        if adopt_runs(self.plan, self.folder, self.trials, self._watcher.event):
            self.history.trials = read_trials(self.folder.events(), self.folder.path)
        for trial in self.trials.values():
            for run in trial.runs:
                if run.ended is None:
                    self._settle_orphan(trial, run)
                elif self._goes_on(trial, run):
                    self.folder.append("retry", trial=trial.number, run=run.id)
                    run.ended, run.error, run.failures = None, None, []
            self._search.tell(self.history.past(trial))
        if self._judge is not None:
            for trial in self.trials.values():
                for run in trial.runs:
                    self._judge.hear(run.id, self.history.reports.update(run)[0])

    def _goes_on(self, trial: Trial, run: TrialRun) -> bool:
        """Whether a run that is over is started again all the same."""
        if run.ended == "finished" and not run.reused:
            return not self._is_whole(trial, run.folder)
        return run.ended == "failed" and self.limits.retry_failed

    def _is_whole(self, trial: Trial, folder: Path) -> bool:
        """Whether a finished run holds what it made, or can only be taken as it is; says what is lost."""
        try:
            lost = lost_files(folder)
        except RunError:  # somebody deleted or damaged it; it is not missed: the journal has its value
            return True
        if not lost:
            return True
        rebuilt = has_checkpoint(folder)
        end = "it is finished again from its checkpoint" if rebuilt else "it has no checkpoint, and is left as it is"
        self._watcher.event(f"trial {trial.number} has lost {', '.join(lost)}: {end}")
        return not rebuilt

    def _settle_orphan(self, trial: Trial, run: TrialRun) -> None:
        """A run whose driver died before it could write down how the run ended."""
        if not is_made(run.folder):
            return  # suggested, but never made
        if self._is_damaged(trial, run):
            return
        status = status_when_left_alone(run.folder)
        told_to_stop = next(
            (decision for decision in trial.decisions if decision["stop"] and decision["run"] == run.id), None
        )
        if status.state not in ("finished", "stopped") and told_to_stop is not None:
            stop_left_alone(run.folder, f"early termination, {told_to_stop['text']}")
            status = Run.open(run.folder).status()
        if status.state == "finished" and not self._is_whole(trial, run.folder):
            return
        if is_over(status):
            self._end_run(trial, run, status.state, status.error, status.cause)

    def _is_damaged(self, trial: Trial, run: TrialRun) -> bool:
        """Whether a run's folder cannot be read: then it has failed, and the others go on."""
        row = read_row(run.folder)
        if row is not None and row.damage is None:
            return False
        self._end_run(trial, run, "failed", f"damaged: {row.damage if row else 'the folder is gone'}", None)
        return True

    def _obey(self) -> None:
        """Does what the sweep's control file and signals want."""
        wish = self.folder.wish
        if wish in ("stop", "cancel") and self._why_over is None:
            self._why_over = f"asked to {wish}"
        if wish == "cancel":
            for live in self.live:
                live.cancel(kill=True, reason="the sweep was cancelled", cause=Cause.ASKED)
        if self._interrupts:
            self._why_over = self._why_over or INTERRUPTED
            for live in self.live:
                live.cancel(kill=self._interrupts > 1, reason=INTERRUPTED, cause=Cause.INTERRUPTED)

    def _start_runs(self) -> None:
        """Gives the executor as many runs as it can execute at once."""
        while len(self.live) < self.executor.capacity and self._may_start():
            waiting = self._waiting_run()
            if waiting is None:
                return
            trial, run = waiting
            self.folder.append("start", trial=trial.number, run=run.id)
            run.attempts += 1
            job = self.executor.submit(Run.open(run.folder), sweep=self.folder.name, trial=trial.number)
            self.live.append(LiveRun(trial, run, job))

    def _may_start(self) -> bool:
        return self._why_over is None and self.folder.wish == "run"

    def _waiting_run(self) -> tuple[Trial, TrialRun] | None:
        """The next run to start: of a trial that is not over, else of a new one."""
        at_work = {live.run.folder for live in self.live}
        for trial in self.trials.values():
            if trial.state == "failed":
                continue
            for index, run in enumerate(trial.runs):
                if run.ended is None and run.folder not in at_work:
                    self._make_folder(trial, index)
                    return trial, run
        suggestion = self._suggest()
        if suggestion is None:
            return None
        trial = self._begin(next_number(self.trials), suggestion)
        return self._waiting_run() if trial.is_over else (trial, trial.runs[0])

    def _suggest(self) -> Suggestion | None:
        if self.limits.run_cap is not None and len(self.trials) >= self.limits.run_cap:
            return None
        best = self.history.best()
        value = self.history.value(best) if best is not None else None
        if value is not None and self.history.metric.reached(value):
            self._why_over = self._why_over or f"{self.history.metric.name} reached its target: {value:g}"
            return None
        suggestion = self._search.ask(next_number(self.trials))
        self._exhausted = suggestion is None
        return suggestion

    def _begin(self, number: int, suggestion: Suggestion) -> Trial:
        """Writes a suggestion down, before anything of it starts."""
        specs = self.plan.specs(suggestion.point)
        ids = [
            f"{new_run_id(spec)[:21]}-t{number:04d}" + (f"-s{index}" if len(specs) > 1 else "")
            for index, spec in enumerate(specs, start=1)
        ]
        self.folder.append("suggest", **suggestion_facts(number, suggestion.point, suggestion.how, ids))
        trial = Trial(number, suggestion.point, suggestion.how, [TrialRun(self.folder.path / run_id) for run_id in ids])
        self.trials[number] = trial
        for index, spec in enumerate(specs):
            self._reuse(trial, trial.runs[index], spec)
            self._make_folder(trial, index)
        self._search.tell(self.history.past(trial))
        return trial

    def _reuse(self, trial: Trial, run: TrialRun, spec: ExperimentSpec) -> None:
        """Answers a run from an earlier one that was the same in everything that matters."""
        earlier = self._reusable.find(spec) if self._reusable is not None else None
        if earlier is None:
            return
        self.folder.append("reuse", trial=trial.number, run=run.id, folder=str(earlier))
        run.folder, run.reused, run.ended = earlier, True, "finished"
        self._watcher.event(f"trial {trial.number} is answered by the earlier run {earlier}")

    def _make_folder(self, trial: Trial, index: int) -> None:
        run = trial.runs[index]
        if not run.reused and not is_made(run.folder):
            completed = assemble(self.plan.specs(trial.point)[index]).spec
            Run.create(completed, run.id, self.folder.path.parent)

    def _read_reports(self) -> None:
        """Reads new reports and lets early termination judge every live run that reported or may be judged anew."""
        changed = False
        for live in self.live:
            if live.started is None and live.job.state == "running":
                live.started = time.monotonic()
            values, is_new = self.history.reports.update(live.run)
            if is_new:
                changed = True
                if self._judge is not None:
                    self._judge.hear(live.run.id, values)
                self._search.tell(self.history.past(live.trial))
        if changed and self._judge is not None:
            self._judge.judge(self.live)

    def _settle(self, live: LiveRun) -> None:
        """What to do with a run whose process is over."""
        self.live.remove(live)
        if self._is_damaged(live.trial, live.run):
            return
        status = Run.open(live.run.folder).status()
        ended = live.job.ended
        resources = {
            name: getattr(ended, name, None) for name in ("wall_s", "cpu_s", "peak_memory_mib", "exit_code", "signal")
        }
        if live.job.place is not None:
            resources["place"] = live.job.place
        if is_over(status):
            self._end_run(live.trial, live.run, status.state, status.error, status.cause, resources)
            return
        if self._interrupts or self.folder.wish == "cancel":
            self.folder.append("end", trial=live.trial.number, run=live.run.id, state=status.state, resources=resources)
            return  # it goes on when the sweep does
        self._after_failure(live, status.error or (ended.reason if ended else "nobody saw its end"), resources)

    def _after_failure(self, live: LiveRun, error: str, resources: dict[str, Any]) -> None:
        status = Run.open(live.run.folder).status()
        failure = classify(live.job.ended, status, live.timed_out)
        live.run.failures.append(failure)
        again = self.limits.policy.tries_again(live.run.failures, live.run.attempts)
        if failure == "device":
            self._quarantine(live.run, error)
        facts = {
            "trial": live.trial.number,
            "run": live.run.id,
            "failure": failure,
            "error": error,
            "cause": status.cause or (live.job.ended.cause if live.job.ended else None),
            "resources": resources,
        }
        self.folder.append("end", state="failed", over=not again, **facts)
        live.run.resources = resources
        what = f"trial {live.trial.number} failed ({failure}): {error}"
        if again and failure == "full disk":  # so would every other trial; this one goes on when there is space
            self._watcher.event(what)
            self._why_over = FULL_DISK
            return
        if again:
            self._watcher.event(f"{what}; it is started again from its last checkpoint")
            return
        live.run.ended, live.run.error = "failed", f"{failure}: {error}"
        self._watcher.event(f"{what}; see {live.run.folder / 'log.txt'}")
        self._search.tell(self.history.past(live.trial))
        self._give_up_if_everything_fails()

    def _end_run(
        self,
        trial: Trial,
        run: TrialRun,
        state: str,
        error: str | None,
        cause: Cause | None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        value = self.history.run_value(run)
        facts = {"value": value, "error": error, "cause": cause, "resources": dict(resources or {})}
        self.folder.append("end", trial=trial.number, run=run.id, state=state, over=True, **facts)
        run.ended, run.error, run.cause, run.resources = state, error, cause, dict(resources or {})
        self._search.tell(self.history.past(trial))
        shown = f" {self.history.metric.name} {value:.4g}" if value is not None else ""
        why = f" ({error})" if state == "stopped" and error else ""
        self._watcher.event(f"trial {trial.number} {state}{shown}{why}")

    def _quarantine(self, run: TrialRun, reason: str) -> None:
        """Keeps others from a device that failed."""
        attempts = Run.open(run.folder).attempts()
        for device in attempts[-1].get("devices", []) if attempts else []:
            uuid = device.rpartition(" ")[2]
            if uuid != "cpu":
                GPUManager().quarantine(uuid, reason)
                self._watcher.event(f"device {device} is in quarantine: {reason}")

    def _give_up_if_everything_fails(self) -> None:
        failed = [trial for trial in self.trials.values() if trial.state == "failed" and not trial.diverged]
        if any(trial.state in ("finished", "stopped") for trial in self.trials.values()):
            return
        enough = self.limits.policy.first_failures
        if self.plan.size is not None:
            enough = min(enough, self.plan.size)
        if len(failed) >= enough:
            self._why_over = f"the first {len(failed)} trials all failed: {failed[-1].error}"

    def _end_overdue(self) -> None:
        limit = self.limits.trial_timeout_s
        for live in self.live if limit is not None else []:
            if live.started is not None and limit is not None and time.monotonic() - live.started > limit:
                live.cancel(kill=live.timed_out, reason=f"it took longer than {limit:g} s", cause=Cause.INTERRUPTED)
                if not live.timed_out:
                    live.timed_out, live.started = True, time.monotonic() - limit + 30  # to reach a checkpoint

    def _nothing_left(self) -> bool:
        if self._why_over is not None:
            return True
        if self.folder.wish == "pause":
            return False
        waits = any(
            run.ended is None for trial in self.trials.values() if trial.state != "failed" for run in trial.runs
        )
        capped = self.limits.run_cap is not None and len(self.trials) >= self.limits.run_cap
        return not waits and (self._exhausted or capped)

    def _result(self) -> SweepResult:
        failed = [trial for trial in self.trials.values() if trial.state == "failed"]
        finished = [trial for trial in self.trials.values() if trial.state in ("finished", "stopped")]
        over = self._why_over
        if over is None:
            over = "all trials are done" if self._exhausted else f"{len(self.trials)} trials, the run cap"
        fails = over == FULL_DISK or (bool(failed) and not finished)
        complete = not any(trial.state == "pending" for trial in self.trials.values()) and not self._interrupts
        # A setting that diverges is a result; everything else that failed is a reason to look.
        broken = [trial for trial in failed if not trial.diverged]
        code = 130 if self._interrupts else 1 if fails or broken else 0
        return SweepResult(over, complete, fails, code)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            say("stopping: trials end at their next checkpoint. Again (Ctrl-C) to kill them.")
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # the third ends this process, whatever it waits for
        self.executor.kill()  # here, not in the loop, which may wait for something too
