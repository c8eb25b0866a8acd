"""text-recognizer watch: runs and devices in the terminal, live; also over ssh."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from text_recognizer.wording import counted
from training.commands.base import Command
from training.commands.gpus import as_table
from training.devices.gpu_manager import GPUManager
from training.devices.status import Status
from training.runs.places import runs_folder
from training.runs.run import AT_WORK
from training.runs.run_table import RunRow, select
from training.runs.tails import last_reported
from training.terminal.parser import number
from training.terminal.tables import show_live, shown, wide_console
from training.views.devices import as_json
from training.views.index import Index

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EXAMPLES = """examples:
  text-recognizer watch
  text-recognizer watch --filter network=crnn --every 5
  text-recognizer watch --once --json
"""
_REPORTED = ("val_character_error_rate", "val_accuracy", "val_loss", "loss")
_UNLIMITED = 100_000


class Watch(Command):
    """Show active runs and devices in the terminal, live."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        add = parser.add_argument
        add("folder", nargs="?", metavar="FOLDER", help="folder with run folders (default: your runs)")
        add("--filter", action="append", default=[], metavar="COND", help="as in runs list")
        add("--ended", type=number(int, 0), default=5, metavar="N", help="also the last N runs that ended (default: 5)")
        add("--every", type=number(float, 0.2, 3600), default=2.0, metavar="SECONDS", help="(default: %(default)s)")
        add("--once", action="store_true", help="print it once")
        add("--json", action="store_true", help="print one JSON object, once")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    index, manager, console = Index(runs_folder(arguments.folder)), GPUManager(), wide_console()

    def rows() -> list[RunRow]:
        index.refresh()
        return chosen(select(index.rows(), arguments.filter), arguments.ended)

    if arguments.json:
        runs = [{**row.to_json(), "reported": last_reported(row.folder / "metrics.jsonl")} for row in rows()]
        print(json.dumps({"runs": runs, "gpus": as_json(manager.status())}, indent=1))
    elif arguments.once or not console.is_terminal:
        console.print(drawn(rows(), manager.status(), console))
    else:
        show_live(lambda: drawn(rows(), manager.status(), console), arguments.every, console)
    return 0


def chosen(rows: Sequence[RunRow], ended: int) -> list[RunRow]:
    """Active runs, newest first, then those that ended most recently."""
    at_work = [row for row in rows if row.state in AT_WORK]
    others = [row for row in rows if row.state not in AT_WORK]
    others.sort(key=lambda row: row.times.get("ended", row.times.get("created", 0.0)), reverse=True)
    return [*at_work, *others[:ended]]


def drawn(rows: Sequence[RunRow], status: Status, console: "Console") -> "RenderableType":
    """The table of the runs, or two lines for each where it is too wide, and that of `gpus`."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "state", "epoch", "took", "latest", box=SIMPLE_HEAD, pad_edge=False)
    lines: list[Text] = []
    for row in rows:
        reported = last_reported(row.folder / "metrics.jsonl")
        latest = next((f"{name} {shown(name, reported[name])}" for name in _REPORTED if name in reported), "-")
        epoch = f"{shown('epoch', reported.get('epoch'))}/{shown('epochs', row.value('epochs'))}"
        took = shown("duration_s", row.duration_s)
        name, facts = f"{row.value('group')}/{row.value('id')}", (row.state, epoch, took, latest)
        table.add_row(*map(Text, (name, *facts)))
        lines += [Text(name), Text("  " + "  ".join(facts))]
    at_work = sum(row.state == "running" for row in rows)
    width = console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum
    shown_runs = [table] if width <= console.width else lines  # a truncated or folded id cannot be copied
    return Group(Text(counted(at_work, "active run")), *shown_runs, as_table(status))
