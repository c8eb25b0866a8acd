"""Sweep: the loop. A sweep is a function of its plan and of the run folders so far; resuming is starting again."""

import signal
import time
from contextlib import suppress
from queue import Empty, Queue
from types import FrameType
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import received
from training.executors.base import Executor, Job
from training.runs.causes import Cause
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.sweeps.history import History
from training.sweeps.judge import Judge, LiveRun, stopping_rule
from training.sweeps.ledger import POLL_S, Ledger, Watcher, is_over, terminated
from training.sweeps.limits import FIRST_FAILURES, Limits, SweepEnd, classify
from training.sweeps.plan import SweepPlan
from training.sweeps.reuse import Reusable
from training.sweeps.search.base import Search, Suggestion, asked
from training.sweeps.trials import Trial, TrialRun
from training.terminal.command_line import say

INTERRUPTED = "the sweep was interrupted"
_FULL_DISK = "the disk is full"
# They share one disk sync; the first of them must not wait long for the last.
_STARTS_AT_ONCE = 16


class Sweep:
    """Runs a sweep from its current state to its end."""

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
        self.ledger = Ledger(plan, search, folder, watcher, reusable)
        self.live: list[LiveRun] = []
        self._search = search
        self._watcher = watcher
        rule = search.stopping_rule or stopping_rule(plan, limits.stopping_rule)
        self._judge = Judge(rule, self.history.metric.name, folder) if rule is not None else None
        # Not a SimpleQueue: until Python 3.13 its get() waits forever once a signal's handler outlasts the timeout.
        self._ended: Queue[LiveRun] = Queue()
        self._reports_due = 0.0
        self._interrupts = 0
        self._why_over: str | None = None
        self._exhausted = self._disk_is_full = False

    @property
    def history(self) -> History:
        return self.ledger.history

    @property
    def trials(self) -> dict[int, Trial]:
        return self.history.trials

    def run(self) -> SweepEnd:
        """Drives the sweep, holding its folder. Raises RunError: the disk is full, or cannot be written."""
        self.folder.hold()
        earlier = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            result = self.executor.drive(self._loop)
            self.folder.append("over", why=result.ended, complete=result.complete, wish=self.folder.wish)
            self.folder.sync()
            if self._disk_is_full:
                raise RunError(f"{_FULL_DISK}: {self.folder.path}. Free some space and give the same command again.")
        finally:
            self.executor.close()
            for number, handler in earlier.items():
                signal.signal(number, handler)
            self.folder.release()
        return result

    def _loop(self) -> SweepEnd:
        self.ledger.take_up(self.limits.retry_failed, self._rejoin)
        for run in (run for trial in self.trials.values() for run in trial.runs):
            if self._judge is not None:
                self._judge.hear(run.id, self.history.reports.update(run)[0])
        while True:
            self._obey()
            while self._start_runs():
                pass
            if not self.live and self._nothing_left():
                return self._result()
            self.folder.sync()
            # Ended jobs are determined before their reports are read: a run may write its last rows and end in
            # between.
            over = self._wait_for_ends()
            self._read_reports(over)
            for live in over:
                self._settle(live)
            if self.limits.trial_timeout_s is not None:
                for live in self.live:
                    live.end_if_overdue(self.limits.trial_timeout_s)
            self._watcher.update(self)

    def _rejoin(self, trial: Trial, run: TrialRun) -> bool:
        """Whether the executor still has a run started by an earlier driver."""
        job = self.executor.rejoin(Run(run.folder))
        if job is not None:
            self._follow(trial, run, job)
        return job is not None

    def _follow(self, trial: Trial, run: TrialRun, job: Job) -> None:
        live = LiveRun(trial, run, job)
        self.live.append(live)
        job.future.add_done_callback(lambda _: self._ended.put(live))

    def _wait_for_ends(self) -> list[LiveRun]:
        """The runs whose jobs have ended, after a time-out at the latest."""
        ended: list[LiveRun] = []
        with suppress(Empty):
            ended.append(self._ended.get(timeout=POLL_S))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _obey(self) -> None:
        wish = self.folder.wish
        if wish in ("stop", "cancel") and self._why_over is None:
            self._why_over = f"asked to {wish}"
        if self._interrupts:
            self._why_over = self._why_over or INTERRUPTED
        for live in self.live:
            if wish == "cancel":
                live.cancel(kill=True, reason="the sweep was cancelled", cause=Cause.ASKED)
            if self._interrupts:
                live.cancel(kill=self._interrupts > 1, reason=INTERRUPTED, cause=Cause.INTERRUPTED)

    def _start_runs(self) -> bool:
        """Submits some of the runs that the executor has capacity for; returns whether it may take more."""
        starting: list[tuple[Trial, TrialRun]] = []
        free = min(_STARTS_AT_ONCE, self.executor.capacity - len(self.live))
        while len(starting) < free and self._why_over is None and self.folder.wish == "run":
            waiting = self._waiting_run(starting)
            if waiting is None:
                break
            starting.append(waiting)
        self.ledger.start(starting)
        for trial, run in starting:
            launch: dict[str, Any] = {"sweep": self.folder.name, "trial": trial.number}
            if (pause_after := self._search.pause_after(trial.number)) is not None:
                launch["pause_after"] = pause_after
            job: Any = self.executor.submit(Run.open(run.folder), **launch)
            if not isinstance(job, Job):
                name = type(self.executor).__name__
                raise SpecError(f"executor '{name}': submit() must return a Job. {received(job)}")
            self._follow(trial, run, job)
        return len(starting) == _STARTS_AT_ONCE

    def _waiting_run(self, starting: list[tuple[Trial, TrialRun]]) -> tuple[Trial, TrialRun] | None:
        """The next run to start: of an unfinished trial, else of a new one."""
        at_work = {live.run.folder for live in self.live} | {run.folder for _, run in starting}
        waiting = [pair for pair in self._unfinished() if pair[1].folder not in at_work]
        for trial, run in waiting:
            is_paused = trial.is_paused(run)
            if is_paused and self._judge is not None and (why := self._judge.ends(trial, run)) is not None:
                self.ledger.end(trial, run, terminated(run, why))
            elif not is_paused or (self._judge is not None and self._judge.promotes(trial, run)):
                return trial, run
        suggestion = self._suggest()
        if suggestion is None:
            return None if starting else self._last_paused(waiting)
        trial = self.ledger.begin(suggestion)
        return self._waiting_run(starting) if trial.is_over else (trial, trial.runs[0])

    def _last_paused(self, paused: list[tuple[Trial, TrialRun]]) -> tuple[Trial, TrialRun] | None:
        """The best paused run, if no trial is left to compare it with, and none has finished."""
        if self.live or self._judge is None or self._why_over is not None or self.history.counts()["finished"]:
            return None
        sign = self.history.metric.sign
        valued = [(sign * value, pair) for pair in paused if (value := self.history.run_value(pair[1])) is not None]
        best = min(valued, key=lambda one: one[0], default=None)
        if best is None or not self._judge.promotes(*best[1], anyway=True):
            return None
        return best[1]

    def _unfinished(self) -> list[tuple[Trial, TrialRun]]:
        trials = [trial for trial in self.history.unfinished() if trial.state != "failed"]
        return [(trial, run) for trial in trials for run in trial.runs if run.ended is None]

    def _suggest(self) -> Suggestion | None:
        if self._is_capped():
            return None
        metric, best = self.history.metric, self.history.best()
        value = self.history.value(best) if best is not None else None
        if value is not None and metric.reached(value):
            self._why_over = self._why_over or f"{metric.name} reached its target: {value:g}"
            return None
        suggestion = asked(self._search, self.plan, self.history.next_number)
        self._exhausted = suggestion is None
        return suggestion

    def _is_capped(self) -> bool:
        return self.limits.run_cap is not None and len(self.trials) >= self.limits.run_cap

    def _read_reports(self, over: list[LiveRun]) -> None:
        """Reads new reports, occasionally of all runs, and applies early termination to live runs again."""
        changed, is_due = False, time.monotonic() >= self._reports_due
        if is_due:
            self._reports_due = time.monotonic() + POLL_S
        for live in self.live if is_due else over:
            if live.started is None and live.job.state == "running":
                live.started = time.monotonic()
            values, is_new = self.history.reports.update(live.run)
            if is_new:
                changed = True
                if self._judge is not None:
                    self._judge.hear(live.run.id, values)
                self.ledger.tell(live.trial)
        if changed and self._judge is not None:
            self._judge.judge(self.live)

    def _settle(self, live: LiveRun) -> None:
        trial, run = live.trial, live.run
        self.live.remove(live)
        if self.ledger.is_damaged(trial, run):
            return
        status = Run.open(run.folder).status()
        resources = live.resources()
        if is_over(status):
            self.ledger.end(trial, run, status, resources)
        elif status.state == "stopped" and status.cause is Cause.PAUSED:
            self.ledger.pause(trial, run, status, resources)
        elif self._interrupts or self.folder.wish == "cancel":  # it continues with the sweep
            self.ledger.interrupt(trial, run, status.state, resources=resources)
        else:
            self._after_failure(live, resources)

    def _after_failure(self, live: LiveRun, resources: dict[str, Any]) -> None:
        trial, run, ended = live.trial, live.run, live.job.ended
        status = Run.open(run.folder).status()
        error = status.error or (ended.reason if ended else "its end was not observed")
        failure = classify(ended, status, live.timed_out)
        run.failures.append(failure)
        run.reach(self.history.reports.epochs(run))
        again = self.limits.tries_again(run.failures, run.in_vain)
        if failure == "device":  # where it ran, it is in quarantine
            latest = (Run.open(run.folder).attempts() or [{}])[-1]
            for device in set(latest.get("devices", [])) - {"cpu"}:
                self._watcher.event(f"device {device} on {latest.get('host')} is in quarantine")
        facts = {"failure": failure, "error": error, "cause": status.cause or (ended.cause if ended else None)}
        self.ledger.interrupt(trial, run, "failed", over=not again, **facts, resources=resources)
        run.resources = resources
        what = f"trial {trial.number} failed ({failure}): {error.rstrip('.')}"
        if again and failure == "full disk":  # every other trial would fail too; this one continues when there is space
            self._watcher.event(what)
            self._why_over = _FULL_DISK
            self._disk_is_full = True
        elif again:
            self._watcher.event(f"{what}; it is started again from its last checkpoint")
        else:
            run.ended, run.error = "failed", f"{failure}: {error}"
            self._watcher.event(f"{what}; see {run.folder / 'log.txt'}")
            self.ledger.tell(trial)
            self._give_up_if_everything_fails()

    def _give_up_if_everything_fails(self) -> None:
        counts = self.history.counts()
        enough = FIRST_FAILURES if self.plan.size is None else min(FIRST_FAILURES, self.plan.size)
        if not counts["finished"] + counts["stopped"] and len(broken := self.history.broken()) >= enough:
            self._why_over = f"the first {len(broken)} trials all failed: {broken[-1].error}"

    def _nothing_left(self) -> bool:
        if self._why_over is not None:
            return True
        at_work = any(not trial.is_paused(run) for trial, run in self._unfinished())
        return self.folder.wish != "pause" and not at_work and (self._exhausted or self._is_capped())

    def _result(self) -> SweepEnd:
        if self._why_over is None:  # nothing is left to compare them with
            for trial, run in self._unfinished():
                self.ledger.end(trial, run, Run.open(run.folder).status())
        counts = self.history.counts()
        fails = counts["failed"] > 0 and not counts["finished"] + counts["stopped"]
        over = self._why_over
        if over is None:
            over = "all trials are done" if self._exhausted else f"{len(self.trials)} trials, the run cap"
            over += ", and none finished" if fails else ""
        code = 130 if self._interrupts else 1 if fails or self.history.broken() else 0
        return SweepEnd(over, not counts["pending"] and not self._interrupts, fails, code)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            say("stopping: trials end at their next checkpoint. Again (Ctrl-C) to kill them.")
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # a third one ends this process immediately
        self.executor.kill()  # here, not in the loop, which may be waiting too
