"""Keeper: a process between the server and its runs, which asks runs to stop when their minutes are used up.

Runs continue when the agent and its server have exited, and so does this process.
"""

import subprocess
import sys
from pathlib import Path

from text_recognizer.errors import TextRecognizerError
from training.runs.run import AT_WORK, Run
from training.runs.run_table import RunRow, read_row
from training.sweeps.folder import SweepFolder
from training.terminal.command_line import say
from training.views.index import runs_below

EVERY_S = 1.0


def rows_at(place: Path) -> list[RunRow]:
    """The started runs in a folder, or the run itself."""
    rows = [row for folder in runs_below(place, {}) if (row := read_row(Path(folder))) is not None]
    return [row for row in rows if row.duration_s is not None]


def minutes_of(rows: list[RunRow]) -> float:
    """Total time that runs have trained and evaluated."""
    return sum(row.duration_s or 0.0 for row in rows) / 60


def keep(place: Path, minutes: float, process: "subprocess.Popen[bytes]") -> int:
    """Waits for a process; returns its exit code."""
    while True:
        try:
            return process.wait(EVERY_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            _stop_what_is_over(place, minutes)
        except (TextRecognizerError, OSError) as error:  # the disk may be full or briefly unavailable
            say(f"warning: {error}")


def _stop_what_is_over(place: Path, minutes: float) -> None:
    rows = rows_at(place)
    if minutes_of(rows) < minutes:
        return
    if (sweep := SweepFolder(place)).exists() and sweep.wish == "run":
        sweep.set_wish("stop")
    for run in (Run(row.folder) for row in rows if row.state in AT_WORK):
        if run.stop_requested() is None:
            run.request_stop(f"the {minutes:g} minutes that its agent gave it are over")


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), float(sys.argv[2]), subprocess.Popen([sys.executable, *sys.argv[3:]])))
