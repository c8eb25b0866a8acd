"""text-recognizer gpus: shows the devices, their holders and the queue."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from training.commands.base import Command
from training.devices.gpu_manager import GPUManager
from training.devices.status import DeviceStatus, Status
from training.terminal.parser import number
from training.terminal.tables import show_live, wide_console
from training.views.devices import as_json, state_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


class Gpus(Command):
    """Show devices, the runs that hold them, and the runs that wait for them."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer gpus\n  text-recognizer gpus --watch=5\n  text-recognizer gpus --json\n"
        )
        forms = parser.add_mutually_exclusive_group()
        forms.add_argument("--json", action="store_true", help="print one JSON object")
        seconds = number(float, 0.1, 3600)
        forms.add_argument("--watch", nargs="?", type=seconds, const=1.0, metavar="S", help="refresh until Ctrl-C")
        forms.add_argument("--clear-quarantine", metavar="UUID", help="release a repaired GPU from quarantine")
        parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    manager, console = GPUManager(), wide_console()
    if args.clear_quarantine:
        manager.clear_quarantine(args.clear_quarantine)
        console.print(f"{args.clear_quarantine} is no longer in quarantine.", soft_wrap=True)
    elif args.json:
        sys.stdout.write(json.dumps(as_json(manager.status()), indent=2) + "\n")
    elif args.watch:
        show_live(lambda: as_table(manager.status()), args.watch, console)
    else:
        console.print(as_table(manager.status()))
    return 0


def as_table(status: Status) -> "RenderableType":
    """The status as text."""
    from rich.console import Group
    from rich.text import Text

    if status.absence is not None:
        return Text(f"No GPU on this machine: {status.absence}. Runs use the CPU.")
    lines: list[str] = []
    if status.waiting:
        lines += ["", "Waiting, oldest first:"]
        lines += [
            f"  {place}. {holder.process} has waited since {holder.clock} for {holder.wanted}{holder.purpose}"
            for place, holder in enumerate(status.waiting, start=1)
        ]
    return Group(_device_table(status.devices), *map(Text, lines))


def _device_table(devices: list[DeviceStatus]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("--gpu", "device", "memory (MiB)", "load"):
        table.add_column(title, justify="left" if title == "device" else "right")
    table.add_column("state", overflow="fold")
    for status in devices:
        table.add_row(
            "hidden" if status.index is None else str(status.index),
            Text(f"{status.device.name}\n{status.device.uuid}"),
            f"{_number(status.used_mib)} / {_number(status.device.memory_mib)}",
            "?" if status.utilisation_percent is None else f"{status.utilisation_percent} %",
            Text(state_of(status)),
        )
    return table


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
