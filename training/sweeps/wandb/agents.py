"""Agents: W&B's agents on this machine, one per device, for a sweep owned by W&B."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from text_recognizer.errors import DeviceError, RunError
from training.devices.gpu_manager import GPUManager, Lease
from training.devices.requests import DeviceRequest
from training.files.processes import kill_session
from training.runs.run import Run
from training.sweeps.folder import Wish
from training.sweeps.wandb.registration import is_over, steer, wandb_command, without_sweep
from training.terminal.command_line import say
from training.tracking.wandb.sweep_link import SweepLink

POLL_S = 0.2
# Interval of checks for a free device.
NEXT_TRY_S = 1.0
# How often a crashed agent is restarted.
RESTARTS = 3
# Time for the run of a dead agent to reach a checkpoint.
PREEMPTION_S = 30.0


class Agents:
    """Serves a sweep until no agent is left.

    Each agent has a lease on its device, which every run it starts inherits; this process keeps the lease too, until
    the last process of the agent has exited. So no two of them ever have the same device.

    Args:
        folder: folder of the sweep; the agents' files are in its .agents/.
        count: number of agents; those without a free device start when there is one.
        request: the devices of each.
    """

    def __init__(self, sweep: SweepLink, folder: Path, count: int, request: DeviceRequest) -> None:
        self._sweep = sweep
        self._folder = folder
        self._request = request
        self._slots = [_Slot(number, sweep, folder) for number in range(1, count + 1)]
        self._interrupts = 0
        self._stopping = False
        self._told: Wish = "run"
        self._next_try = 0.0
        self.broken = 0
        self.broken_devices: set[str] = set()  # their agents end: W&B never assigns failed runs again

    @property
    def interrupted(self) -> bool:
        return self._interrupts > 0

    def serve(self, look: Callable[[], None], wish: Callable[[], Wish]) -> None:
        """Returns when all agents have exited; polls several times a second, and follows the wish of the sweep."""
        first = self._lease(timeout_s=None)  # so that at least one is running; Ctrl-C still ends the wait
        earlier = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._slots[0].start(first)
            while any(not slot.over for slot in self._slots):
                for slot in self._slots:
                    self._tend(slot)
                self._obey(wish())
                look()
                time.sleep(POLL_S)
        finally:
            for slot in self._slots:
                slot.end()
            for number, handler in earlier.items():
                signal.signal(number, handler)
            look()

    def _tend(self, slot: "_Slot") -> None:
        if slot.process is None:
            slot.over = slot.over or self._stopping or self.interrupted
            if not slot.over and time.monotonic() >= self._next_try:
                self._next_try = time.monotonic() + NEXT_TRY_S
                with contextlib.suppress(DeviceError):  # none is free
                    slot.start(self._lease(timeout_s=0))
                    self._next_try = 0.0
            return
        if lost := self.broken_devices.intersection(slot.devices):
            say(f"agent {slot.number} ends: {', '.join(lost)} is in quarantine (text-recognizer gpus)")
            slot.preempt_and_wait()
            slot.end()
            self.broken += 1
            return
        code = slot.exit_code()
        if code is None:
            return
        if code == 0:
            slot.end()
        elif self._stopping or self.interrupted:  # told to leave during its start, it reports a crash
            if not any(slot.runs()):  # a run left behind reaches its end, or a checkpoint
                slot.end()
        elif is_over(self._sweep):  # its exit code is that of a crash
            slot.end()
        else:
            say(f"agent {slot.number} broke down (exit code {code}), see {slot.log}")
            slot.preempt_and_wait()
            if slot.restarts < RESTARTS:
                slot.restarts += 1
                slot.restart()
            else:
                self.broken += 1
                slot.end()

    def _lease(self, timeout_s: float | None) -> Lease:
        waiting = say if timeout_s is None else None
        return GPUManager().lease(self._request, timeout_s, waiting, f"agent of {self._sweep.path}")

    def _obey(self, wish: Wish) -> None:
        if wish == "cancel" or self._interrupts > 1:
            for slot in self._slots:
                slot.end()
        elif wish == "stop" or self._interrupts:
            self._stopping = True
            for slot in self._slots:
                slot.take_no_more()
                if self._interrupts:
                    slot.preempt()
        # Other machines may serve the sweep too; agents of a paused sweep keep asking, and W&B gives them nothing.
        # Last, since the response may take long.
        if wish != self._told:
            self._told = wish
            try:
                steer(self._sweep, wish)
            except RunError as error:  # no reason to end the runs
                say(f"warning: {error}")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            say("stopping: runs end at their next checkpoint and can be resumed at W&B. Again (Ctrl-C) to kill them.")


class _Slot:
    """Successive agents on one device."""

    def __init__(self, number: int, sweep: SweepLink, folder: Path) -> None:
        self.number = number
        self.over = False
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / ".agents" / f"agent-{number}.log"
        self._sweep = sweep
        self._folder = folder
        self._lease: Lease | None = None
        self._told = False
        self._preempted: set[int] = set()

    def start(self, lease: Lease) -> None:
        self._lease = lease
        for notice in lease.notices:
            say(notice)
        self.restart()

    def restart(self) -> None:
        assert self._lease is not None
        self.log.parent.mkdir(exist_ok=True)
        environ = {**without_sweep(), **self._lease.environ}
        # The agent starts programs as `python`.
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environ["WANDB_DIR"] = str(self.log.parent.resolve())
        environ["TEXT_RECOGNIZER_RUNS"] = str(self._folder.parent.resolve())
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*wandb_command(), "agent", self._sweep.path],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._lease.fds,
                start_new_session=True,
            )

    @property
    def devices(self) -> list[str]:
        """UUIDs of its devices."""
        return [device.uuid for device in self._lease.devices] if self._lease is not None else []

    def exit_code(self) -> int | None:
        """Its exit code once it has exited. It is not yet reaped, so its id stays its session's until `_kill_rest`."""
        assert self.process is not None
        ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def take_no_more(self) -> None:
        """Like Ctrl-C for an agent: wait for its run to end, and exit."""
        if self.process is not None and not self._told:
            self._told = True
            os.kill(self.process.pid, signal.SIGINT)

    def preempt(self) -> None:
        """Makes its run write a checkpoint and end; W&B assigns it again later."""
        for process in self.runs():
            if process not in self._preempted:
                self._preempted.add(process)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGUSR1)

    def preempt_and_wait(self) -> None:
        """Preempts the run left behind by an agent; kills it after a time-out."""
        until = time.monotonic() + PREEMPTION_S
        while any(self.runs()) and time.monotonic() < until:
            self.preempt()
            time.sleep(POLL_S)
        self._kill_rest()

    def end(self) -> None:
        self._kill_rest()
        if self._lease is not None:
            self._lease.release()
        self._lease, self.over = None, True

    def runs(self) -> Iterator[int]:
        """Processes of active runs that this agent started."""
        if self.process is None:
            return
        for lock in self._folder.glob("*/run.lock"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                number = int(lock.read_text(encoding="utf-8").split()[1])
                # Before it is running, it does not handle the signal.
                if os.getsid(number) == self.process.pid and Run.open(lock.parent).status().state == "running":
                    yield number

    def _kill_rest(self) -> None:
        """Kills the agent's remaining processes; its mirrors are in other sessions and continue."""
        if self.process is not None:
            kill_session(self.process.pid)
            self.process.wait()
            self.process = None
