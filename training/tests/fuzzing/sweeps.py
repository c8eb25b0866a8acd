"""Folders of sweeps, and of the leases of GPUs."""

import contextlib
import fcntl
import io
import json
from functools import partial
from pathlib import Path

from training.devices.device import Device, Reading
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.sweeps.folder import SweepFolder
from training.tests.fuzzing.base import Target, as_json, written
from training.tests.fuzzing.mutators import Files
from training.tests.fuzzing.runs import told
from training.tests.fuzzing.specs import GRID


def sweeps(healthy: bool = True) -> list[Files]:
    """A finished sweep of two trials, and another one that stays as it is."""
    from training.tests.sweeps.sweep_support import by_layer_size, run_sweep

    def make(folder: Path) -> None:
        run_sweep(GRID, folder / "runs", by_layer_size, name="damaged")
        if healthy:
            run_sweep(GRID, folder / "runs", by_layer_size, name="healthy")
        (folder / "runs" / "damaged" / "control").write_text("run\n")

    return written(make)


def leases() -> list[Files]:
    record = {"format": 1, "pid": 1, "started": 5, "namespace": "pid:[1]", "user": "u", "label": "x", "asked": 1.7e9}
    wish = {"count": 1, "candidates": {"GPU-0": None}, "force": False, "text": "1 GPU"}
    held = {**record, "wish": wish, "holds": {"GPU-0": 1000}, "since": 1.7e9}
    waits = {**record, "wish": wish, "holds": None, "since": None}
    quarantine = {"uuid": "GPU-1", "reason": "ECC errors", "since": 1.7e9, "user": "u"}
    values = {"000000000001.lease": held, "000000000002.waiting": waits, "GPU-1.quarantine": quarantine}
    return [{f"locks/{name}": as_json(value) for name, value in values.items()} | {"locks/mutex": b""}]


def _sweeps(_: Path) -> None:
    assert '"healthy"' in told("sweeps", "list", "--json"), "a damaged sweep hides the others"
    for action in (("list",), ("show", "damaged"), ("show", "damaged", "--json"), ("explain", "damaged")):
        told("sweeps", *action)
    assert "healthy" in told("sweeps", "list")


def _sweep_again(folder: Path) -> None:
    """The same sweep goes on from what is left of its folder."""
    from training.sweeps.results.leaderboard import write_leaderboard
    from training.tests.sweeps.sweep_support import MadeUpExecutor, by_layer_size, sweep_of

    executor = MadeUpExecutor(by_layer_size)
    sweep, _ = sweep_of(GRID, folder / "runs", executor, name="damaged")
    sweep.run()
    executor.close()
    write_leaderboard(sweep.plan, sweep.folder, sweep.history)
    SweepFolder(folder / "runs" / "damaged").facts()


class _ThreeGpus:
    """NVML of a machine with three idle GPUs."""

    absence = ""

    def devices(self) -> list[Device]:
        return [Device(f"GPU-{number}", "a GPU", number, 80_000) for number in range(3)]

    def readings(self) -> list[Reading]:
        return [Reading(device, 0, 0, {}) for device in self.devices()]


def _leases(folder: Path) -> None:
    from training.commands.gpus import as_table
    from training.views.devices import as_json

    manager = GPUManager()
    manager._nvml = _ThreeGpus()  # type: ignore[assignment]
    with contextlib.ExitStack() as stack:
        for path in (folder / "locks").glob("*.[lw]*"):  # locked, as if the processes that wrote them were alive
            file = stack.enter_context(open(path, "rb"))
            fcntl.flock(file, fcntl.LOCK_EX if path.suffix == ".waiting" else fcntl.LOCK_SH)
        status = manager.status()
        json.dumps(as_json(status))
        from rich.console import Console

        Console(file=io.StringIO(), width=100).print(as_table(status))
        with manager.lease(DeviceRequest.parse("any"), timeout_s=0):
            pass


TARGETS = (
    Target("sweeps", sweeps, _sweeps, kept="runs/healthy/", share=0.3),
    Target("sweep_again", partial(sweeps, False), _sweep_again),
    Target("leases", leases, _leases),
)
