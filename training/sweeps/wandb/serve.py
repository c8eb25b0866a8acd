"""Serves a sweep owned by W&B on this machine: registered once, with a folder like any other sweep."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError
from text_recognizer.wording import counted, shell_word
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.executors.zygote.endings import quarantine
from training.files.json_objects import version_of
from training.runs.causes import Cause
from training.runs.run import ENDED, Run
from training.runs.run_table import read_row
from training.sweeps.file.command import DEFAULT_COMMAND
from training.sweeps.file.config import SweepConfig
from training.sweeps.folder import SweepFolder, Wish
from training.sweeps.history import History
from training.sweeps.ledger import write_end
from training.sweeps.limits import SweepEnd
from training.sweeps.plan import SweepPlan
from training.sweeps.results.ending import finish_sweep
from training.sweeps.trials import Trial, TrialRun
from training.sweeps.wandb.agents import Agents
from training.sweeps.wandb.registration import register, registered
from training.tracking.wandb.mode import has_key
from training.tracking.wandb.sweep_link import SweepLink


def check_servable(plan: SweepPlan, request: DeviceRequest) -> None:
    """Checks that W&B can run a sweep from here.

    Raises:
        SpecError: W&B's engine or its agents could not run the sweep from here.
        DeviceError: this machine lacks the devices of one run.
        RunError: there is no API key.
    """
    if plan.config is None:
        raise SpecError("--engine wandb takes a W&B sweep YAML; W&B has no sweeps over a list of experiments.")
    check_program(plan.config)
    GPUManager().capacity(request)
    if not has_key():
        raise RunError("no W&B key found. Run `wandb login`, set WANDB_API_KEY, or leave --engine out to stay offline.")


def serve(plan: SweepPlan, folder: SweepFolder, file: Path, jobs: int | None, request: DeviceRequest) -> int:
    """Registers the sweep if necessary, and serves it until W&B has no more trials; returns the exit code.

    Args:
        jobs: number of agents; None for one per device.
    Raises:
        RunError: W&B refuses the sweep.
    """
    folder.hold()
    try:
        link = registered(folder) or register(folder, file=file)
        count = jobs or GPUManager().capacity(request) or 1  # one on the CPU
        print(f"sweep       {plan.in_words()}")
        print(f"folder      {folder.path}, {counted(count, 'agent')}", flush=True)
        journal = _Journal(plan, folder, link)
        agents = Agents(link, folder.path, count, request)

        def look() -> None:
            journal.update()
            agents.broken_devices |= journal.broken_devices

        agents.serve(look, lambda: folder.wish)
        result = _result(journal.history, agents, folder.wish)
        folder.append("over", why=result.ended, complete=result.complete, wish=folder.wish)
        folder.sync()
    finally:
        folder.release()
    return finish_sweep(plan, folder, journal.history, result, takes_retries=False)


def check_program(config: SweepConfig) -> None:
    """Checks the sweep's program. Raises SpecError: W&B's agents could not start it here."""
    program = config.program
    if program is None and "${program}" in (config.command or DEFAULT_COMMAND):
        raise SpecError("the command of the sweep has ${program}, and there is none. Set `program`.")
    if program is not None and not Path(program).exists():
        raise SpecError(f"`program: {program}`: there is no such file here. W&B's agents start it from this folder.")


class _Journal:
    """Records the trials suggested by W&B in the sweep's journal, from the run folders."""

    def __init__(self, plan: SweepPlan, folder: SweepFolder, link: SweepLink) -> None:
        self._folder = folder
        self._link = link
        self.history = History(plan.metric, folder.trials())
        self._trials = {run.id: trial for trial in self.history.trials.values() for run in trial.runs}
        self._seen: dict[Path, Any] = {}
        self.broken_devices: set[str] = set()

    def update(self) -> None:
        """Looks at all runs that have changed since the last time; there may be thousands."""
        for path in sorted(self._folder.path.glob("*/wandb/sweep.json")):
            run = Run(path.parents[1])
            version = [version_of(run.folder / name) for name in ("launch.json", "status.json")]
            if self._seen.get(path) == version:
                continue
            link = SweepLink.read(run)
            if link is None or link.id != self._link.id:
                continue
            self._seen[path] = version
            known = self._trials.get(run.id)
            if known is None:
                how = {"by": "W&B", "sweep": self._link.path}
                known = Trial(self.history.next_number, dict(link.values), how, [TrialRun(run.folder)])
                self._folder.append("suggest", **known.suggestion())
                self.history.add(known)
                self._trials[run.id] = known
            self._follow(known, known.runs[0])
        self._folder.sync()

    def _follow(self, trial: Trial, run: TrialRun) -> None:
        for _ in range(run.attempts, len(Run(run.folder).attempts())):
            if run.ended is not None:  # W&B assigned it again
                self._folder.append("retry", trial=trial.number, run=run.id)
                run.try_again()
            self._folder.append("start", trial=trial.number, run=run.id)
            run.attempts += 1
        status = Run.open(run.folder).status()
        if run.ended is None and status.state in ENDED and status.state != "preempted":
            if status.cause is Cause.BROKEN_DEVICE:
                self._quarantine(Run(run.folder), status.error or "")
            why = {"failure": "diverged"} if status.cause is Cause.DIVERGED else {}
            run.failures += why.values()
            said = write_end(self._folder, self.history, trial, run, status, resources={}, **why)
            print(f"{said}  {run.id}" + (f" ({run.error})" if run.error else ""), flush=True)

    def _quarantine(self, run: Run, reason: str) -> None:
        """Puts the devices of the last attempt on this machine into quarantine; agents elsewhere have their own."""
        attempt = (run.attempts() or [{}])[-1]
        if attempt.get("host") == socket.gethostname():
            uuids = attempt.get("device_uuids", [])
            quarantine(uuids, reason)
            self.broken_devices.update(uuids)


def _result(history: History, agents: Agents, wish: Wish) -> SweepEnd:
    counts = history.counts()
    if agents.interrupted:
        return SweepEnd("the sweep was interrupted", False, False, 130)
    asked = wish in ("stop", "cancel")
    nothing = not counts["finished"] + counts["stopped"] and (counts["failed"] > 0 or not asked)
    why = "W&B has no more trials"
    if agents.broken:
        devices = ", ".join(sorted(agents.broken_devices))
        how = f": {devices} in quarantine" if devices else " repeatedly"
        why = f"{counted(agents.broken, 'agent')} broke down{how}"
    elif asked:
        why = f"asked to {wish}"
    elif nothing:
        why = "no run finished" if history.trials else "no agent was given a run"
    left = counts["pending"] > 0
    code = 1 if nothing or history.broken() or agents.broken or (left and not asked) else 0
    end = SweepEnd(why, not left, nothing or agents.broken > 0, code)
    pending = (read_row(trial.runs[0].folder) for trial in history.trials.values() if trial.state == "pending")
    died = [row.folder.name for row in pending if row is not None and row.state == "died"]
    commands = "; ".join(f"run_experiment --resume {shell_word(one)} --wandb online" for one in died)
    return replace(end, next=f"W&B does not start runs that were killed again: {commands}") if died else end
