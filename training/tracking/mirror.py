"""The mirror: a process beside the run that reads its folder and calls a tracker.

So a tracker that hangs, fails or fills its disk does not affect training: it is another process, it holds nothing of
the run, and what it missed is still in the folder. `python -m training.tracking.mirror RUN_FOLDER` is one mirror.
"""

import argparse
import atexit
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.predictions import loss_of, prediction_fault
from text_recognizer.errors import RunError
from text_recognizer.experiment import assemble
from text_recognizer.named_part import NamedPart
from text_recognizer.whole_files import replace_file
from training.files import lock_files
from training.files.journals import read_journal
from training.files.json_objects import read_object_if_any
from training.files.processes import is_running
from training.runs.run import ENDED, Run
from training.tracking.base import Facts, Tracker
from training.tracking.choice import folder_name
from training.tracking.examples import Examples

POLL_S = 0.2
SAMPLES = 32
# A mirror that has not exited this long after its run never will.
LONGEST_FINISH_S = 900
# How long an earlier mirror may take to exit.
PREDECESSOR_S = 5.0
STATE_FILE, LOG_FILE, LOCK_FILE = "mirror.json", "mirror.log", "mirror.lock"


class Mirror:
    """The training process's handle of a running mirror."""

    def __init__(self, run: Run, choice: NamedPart) -> None:
        self.choice = choice
        self._run = run
        self._folder = folder = run.folder / folder_name(choice)
        folder.mkdir(exist_ok=True)
        _end_earlier_mirror(run, folder)
        (folder / STATE_FILE).unlink(missing_ok=True)
        with open(folder / LOG_FILE, "ab") as log:
            self._process = subprocess.Popen(
                mirror_command(run, str(choice)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def warning_at_end(self, patience_s: float) -> str | None:
        """Waits briefly for the mirror to finish; returns what went wrong, if anything. A slow one continues alone."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return f"the tracker {self.choice.name} is not done yet; process {self._process.pid} continues alone"
        state = read_state(self._folder)
        if self._process.returncode == 0 and state.get("state") == "done":
            return None
        return f"the tracker {self.choice.name} failed: {state.get('error') or f'see {self._folder / LOG_FILE}'}"

    @property
    def url(self) -> str | None:
        """The page of the run, if its tracker has one."""
        return read_state(self._folder).get("url")


def mirror_command(run: Run, tracker: str, deadline_s: int | None = None) -> list[str]:
    """The command of a mirror with this process's code, regardless of packages in the working folder."""
    place = str(Path(__file__).resolve().parents[2])
    start = f"import sys; sys.path.insert(0, {place!r}); from training.tracking.mirror import main; sys.exit(main())"
    deadline = [] if deadline_s is None else [f"--deadline={deadline_s}"]
    return [sys.executable, "-P", "-c", start, str(run.folder.resolve()), f"--track={tracker}", *deadline]


def _end_earlier_mirror(run: Run, folder: Path) -> None:
    """Ends a hanging mirror of an earlier attempt, which must not write into the same files as the new one."""
    process = read_state(folder).get("process")
    if type(process) is not int or process == os.getpid():  # the file may come from anywhere
        return
    with contextlib.suppress(OSError):  # it has exited
        if os.fsencode(run.folder.resolve()) in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0"):
            os.kill(process, signal.SIGKILL)
            until = time.monotonic() + PREDECESSOR_S  # its lock is free when it has exited, not when it is killed
            while time.monotonic() < until and is_running(process, None):
                time.sleep(0.005)


def read_state(folder: Path) -> dict[str, Any]:
    """The last state that a mirror wrote into its tracker's folder; empty if none."""
    return read_object_if_any(folder / STATE_FILE)


def mirror(run: Run, tracker: Tracker, longest_finish_s: int | None = None) -> Facts:
    """Follows a run to its end, for any reason; the tracker's last calls get longest_finish_s."""
    tracker.start(run)
    examples, sent = Examples(run), 0
    while True:
        # The status before the rows: a run may write its last rows and end in between.
        status = run.status()
        rows = run.rows()
        shown = examples.by_epoch() if len(rows) > sent else {}
        for row in rows[sent:] if sent else _latest(rows):
            epoch = int(row.get("epoch", 0))
            tracker.log(epoch, row)
            if "test_loss" not in row and epoch in shown:
                tracker.log_examples(epoch, examples.with_images(shown[epoch]))
        sent = len(rows)
        if status.state in ENDED or status.state == "died":
            break
        time.sleep(POLL_S)
    samples = _sample_predictions(run)
    if longest_finish_s is not None:
        signal.alarm(longest_finish_s)  # its default action ends the process
    if samples:
        tracker.log_predictions(int(rows[-1].get("epoch", 0)) if rows else 0, samples)
    facts = tracker.finish(status.state, status.summary)
    if not isinstance(facts, Facts):
        raise TypeError(f"finish() must return Facts. Received: {facts!r}. Is a return missing?")
    if longest_finish_s is not None:
        signal.alarm(0)
    return facts


def _latest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each epoch once: if a resumed run reported one again, the later report counts."""
    latest = {(row.get("epoch"), "test_loss" in row): row for row in rows}
    return sorted(latest.values(), key=lambda row: (row.get("epoch", 0), "test_loss" in row))


def _sample_predictions(run: Run) -> Sequence[Mapping[str, Any]]:
    """Rows of predictions.jsonl with their images: half of them the worst, the others evenly from the rest."""
    rows = read_journal(run.folder / "predictions.jsonl", prediction_fault)
    if not rows:
        return []
    ranked = sorted(rows, key=loss_of, reverse=True)
    worst, others = ranked[: SAMPLES // 2], ranked[SAMPLES // 2 :]
    evenly = np.linspace(0, len(others) - 1, min(len(others), SAMPLES - len(worst))).round().astype(int)
    chosen = worst + [others[index] for index in evenly]
    split = assemble(run.spec, has_begun=True).dataset.split("test")
    images = split.batch(np.array([row["position"] for row in chosen]))["image"]
    return [{**row, "image": image} for row, image in zip(chosen, images, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Mirror one run folder to a tracker.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--track", required=True, metavar="NAME[:ARGS]")
    parser.add_argument("--deadline", type=int, metavar="S", help="end after this many seconds, done or not")
    arguments = parser.parse_args()
    atexit.register(gc.freeze)  # otherwise Python would traverse W&B's whole package at exit
    run = Run.open(arguments.run)
    choice = NamedPart.parse("tracker", arguments.track)
    folder = run.folder / folder_name(choice)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the run's folder shows when it is over
    if arguments.deadline is not None:
        signal.alarm(arguments.deadline)  # its default action ends the process
    state: dict[str, Any] = {"process": os.getpid(), "tracker": str(choice), "state": "running"}
    with _only_mirror(run, folder):
        _write_state(folder, state)
        try:
            facts = mirror(run, choice.make(), LONGEST_FINISH_S if arguments.deadline is None else None)
        except BaseException as error:
            kind = type(error).__name__
            failure = {"state": "failed", "error": f"{kind}: {error}"[:2000], "error_type": kind}
            _write_state(folder, {**state, **failure})
            raise
        _write_state(folder, {**state, "state": "done", **asdict(facts)})
    return 0


@contextlib.contextmanager
def _only_mirror(run: Run, folder: Path) -> Iterator[None]:
    """Two mirrors of one run would send everything twice. Raises RunError: another process mirrors the run."""
    with open(folder / LOCK_FILE, "a") as lock:
        until = time.monotonic() + PREDECESSOR_S  # one that was killed a moment ago may not be gone yet
        earlier = read_state(folder).get("process")
        while not lock_files.lock(lock.fileno()):
            if time.monotonic() > until:
                raise RunError(f"the run {run.folder} is being mirrored by process {earlier}.")
            time.sleep(0.05)
        while earlier != os.getpid() and _still_sends(earlier) and time.monotonic() < until:
            time.sleep(0.05)
        yield


def _still_sends(mirror_process: object) -> bool:
    """Whether W&B's own process outlives the mirror that it worked for: it would send the same rows beside us."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            program, *arguments = path.read_bytes().split(b"\0")
            if b"wandb-core" in program and str(mirror_process).encode() in arguments:
                return True
    return False


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        replace_file(folder / STATE_FILE, json.dumps(state) + "\n", durable=False)


if __name__ == "__main__":
    sys.exit(main())
