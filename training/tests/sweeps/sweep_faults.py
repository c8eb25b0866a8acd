"""Random SIGKILLs over a real sweep: its driver, its zygote, its trials, their mirrors. What must hold is checked.

python -m training.tests.sweeps.sweep_faults --trials 50 --kills 100
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from text_recognizer.tests.waiting import PATIENCE_S

# Only a hang or a defect takes longer.
_LONGEST_SWEEP_S = 2 * PATIENCE_S

MARK = "TEXT_RECOGNIZER_FAULT_TEST"

_WEIGHTS = {"driver": 2, "pool": 2, "mirror": 1, "trial": 5}
# In a short sweep too the kinds that matter most are met.
_FIRST = ["trial", "pool", "driver"]
# A driver gives up after three zygotes in a row that started no run.
_MOST_POOLS_OF_A_DRIVER = 2

SWEEP = """
method: {method}
metric: {{name: val_loss, goal: minimize}}
parameters:
  dataset: {{value: DigitsDataset}}
  dataset_args: {{value: {{subsample_fraction: 0.3}}}}
  model: {{value: CharacterModel}}
  network: {{value: mlp}}
  network_args.layer_size: {{values: [{sizes}]}}
  train_args.batch_size: {{value: 16}}
  train_args.epochs: {{value: 6}}
  train_args.checkpoint_interval_s: {{value: 0}}
"""


@dataclass
class Outcome:
    """What a disturbed sweep came to.

    Args:
        problems: what must not be.
    """

    kills: Counter[str] = field(default_factory=Counter)
    drivers: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def disturbed(
    folder: Path, trials: int, kills: int, seed: int, method: str = "grid", python: str = sys.executable
) -> Outcome:
    """Runs a sweep, killing something every now and then, until it is complete; compares it with one left alone.

    Args:
        python: for the one left alone.
    """
    file = folder / "faults.yaml"
    file.write_text(SWEEP.format(method=method, sizes=", ".join(str(size) for size in range(4, 4 + trials))))
    (folder / "quiet").mkdir()
    quiet = _Driver(folder / "quiet", file, trials, python, "--nowandb")
    try:
        assert quiet.process.wait(_LONGEST_SWEEP_S) == 0, quiet.output()
    finally:
        quiet.process.kill()
    outcome = Outcome()
    random_source = random.Random(seed)
    (folder / "loud").mkdir()
    started = time.monotonic()
    driver = _Driver(folder / "loud", file, trials)
    outcome.drivers = 1
    finished_before: set[str] = set()
    pools = 0
    until = time.monotonic() + _LONGEST_SWEEP_S + 60 * kills
    while driver.process.poll() != 0:
        if time.monotonic() > until:
            outcome.problems.append("the sweep did not come to its end in time")
            break
        if driver.process.poll() is not None:
            if driver.process.returncode not in (-signal.SIGKILL, 1):
                outcome.problems.append(f"the driver ended with {driver.process.returncode}: {driver.output()[-2000:]}")
                break
            finished_before |= _finished(folder / "loud")
            driver = _Driver(folder / "loud", file, trials)
            outcome.drivers += 1
            pools = 0
        if sum(outcome.kills.values()) < kills:
            kind = _next_kind(outcome.kills, pools, random_source)
            victim = _await_victim(kind, random_source, driver)
            if victim is not None:
                _kill(victim)
                outcome.kills[kind] += 1
                pools += kind == "pool"
        else:
            time.sleep(0.1)
    driver.process.kill()
    outcome.seconds = time.monotonic() - started
    outcome.problems += _compare(folder / "quiet", folder / "loud", trials, finished_before)
    outcome.problems += _left_behind(driver.mark)
    return outcome


def _next_kind(kills: Counter[str], pools: int, random_source: random.Random) -> str:
    """
    Args:
        pools: how many of the present driver were killed.
    """
    for kind in _FIRST:
        if not kills[kind]:
            return kind
    allowed = [kind for kind in _WEIGHTS if kind != "pool" or pools < _MOST_POOLS_OF_A_DRIVER]
    return random_source.choices(allowed, weights=[_WEIGHTS[kind] for kind in allowed])[0]


class _Driver:
    """One start of the sweep's command; every process it leads to carries the mark of its folder."""

    def __init__(self, folder: Path, file: Path, trials: int, python: str = sys.executable, *more: str) -> None:
        mark_file = folder / "mark"
        if not mark_file.exists():
            mark_file.write_text(uuid.uuid4().hex)
        self.mark = mark_file.read_text()
        self._output = folder / "output.txt"
        command = [
            python,
            "-m",
            "training.run_sweep",
            str(file),
            "--jobs",
            "2",
            "--gpu=none",
            "--retries",
            "1000",
        ]
        with open(self._output, "ab") as output:
            self.process = subprocess.Popen(
                [*command, "--run-cap", str(trials), "--seed", "5", *more],
                cwd=folder,
                env={**os.environ, "TEXT_RECOGNIZER_RUNS": str(folder / "runs"), MARK: self.mark},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text(errors="replace")


def _await_victim(kind: str, random_source: random.Random, driver: _Driver) -> int | None:
    """Some process of that kind, a random moment after there is one; None when the driver ends before."""
    until = time.monotonic() + PATIENCE_S
    while driver.process.poll() is None and time.monotonic() < until:
        if _of_kind(kind, driver):
            time.sleep(random_source.uniform(0, 0.8))
            if pids := _of_kind(kind, driver):
                return random_source.choice(pids)
        time.sleep(0.02)
    return None


def _of_kind(kind: str, driver: _Driver) -> list[int]:
    return [pid for pid in _marked(driver.mark) if _kind(pid, driver.process.pid) == kind]


def _kind(pid: int, driver: int) -> str:
    if pid == driver:
        return "driver"
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return "other"
    if "training.tracking.mirror" in command:
        return "mirror"
    if "training.executors.zygote.trial" in command:
        return "trial"
    if "zygote" in command:
        return "pool" if parent == driver else "trial"
    return "other"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdecimal() and wanted in Path(f"/proc/{entry}/environ").read_bytes():
                found.append(int(entry))
        except OSError:
            continue
    return found


def _events(folder: Path) -> list[dict[str, Any]]:
    journal = folder / "runs" / "faults" / "trials.jsonl"
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _finished(folder: Path) -> set[str]:
    """Runs whose folders say finished."""
    found = set()
    for status in (folder / "runs" / "faults").glob("*/status.json"):
        if json.loads(status.read_text())["state"] == "finished":
            found.add(status.parent.name)
    return found


def _compare(quiet: Path, loud: Path, trials: int, finished_before: set[str]) -> list[str]:
    problems = []
    tables = []
    for folder in (quiet, loud):
        with open(folder / "runs" / "faults" / "leaderboard.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        tables.append({row["trial"]: {key: value for key, value in row.items() if key != "run"} for row in rows})
        if len(rows) != trials or len({row["trial"] for row in rows}) != trials:
            problems.append(f"{folder.name}: {len(rows)} rows for {trials} trials")
    problems += [
        f"trial {number} differs: {tables[0].get(number)} and {tables[1].get(number)}"
        for number in sorted({*tables[0], *tables[1]})
        if tables[0].get(number) != tables[1].get(number)
    ]
    events = _events(loud)
    ends = Counter(event["run"] for event in events if event["event"] == "end" and event.get("over"))
    problems += [f"{run} ended {count} times" for run, count in ends.items() if count != 1]
    over: set[str] = set()
    for event in events:
        if event["event"] == "start" and event["run"] in over:
            problems.append(f"{event['run']} was started again after it had ended")
        if event["event"] == "end" and event.get("over"):
            over.add(event["run"])
    for run in finished_before:
        attempts = json.loads((loud / "runs" / "faults" / run / "launch.json").read_text())["attempts"]
        status = json.loads((loud / "runs" / "faults" / run / "status.json").read_text())
        if any(attempt["time"] > status["times"]["ended"] for attempt in attempts):
            problems.append(f"{run} was run again although it had finished")
    return problems


def _left_behind(mark: str) -> list[str]:
    """Processes that are still there long after the sweep has ended; mirrors get time to finish."""
    until = time.monotonic() + PATIENCE_S
    while (left := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    return [f"process {pid} was left behind: {_command(pid)}" for pid in left]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=("grid", "random"), default="grid")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = disturbed(Path(folder), arguments.trials, arguments.kills, arguments.seed, arguments.method)
    print(
        f"{arguments.trials} trials ({arguments.method}), {sum(outcome.kills.values())} SIGKILLs: {dict(outcome.kills)}"
    )
    print(f"{outcome.drivers} drivers, {outcome.seconds:.0f} s")
    print(
        "\n".join(outcome.problems)
        or "every trial once, none run again, results equal to an undisturbed sweep, nothing left"
    )
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
