"""How long a run takes to start in a warm pool: from submit() to the first line of the user's own code."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from training.benchmarks.figures import Figure

STARTS, BUDGET_MS = 100, 30.0

# Its first line in a run says what time it is, and that is all the run does.
CLOCK = """
import os, time
from text_recognizer.networks import Network

class Clock(Network):
    def __init__(self):
        if "TRIAL_START_CLOCK" in os.environ:
            print(time.monotonic(), flush=True)
            os._exit(0)

    def build(self, input_shape, output_shape):
        raise AssertionError("the process has ended by now")
"""
SPEC = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "trial_start_clock:Clock"}


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "trial_start_clock.py").write_text(CLOCK)
        sys.path.insert(0, folder)
        to_code_ms, to_end_ms = _measure(Path(folder))
    return [
        Figure(
            "submit to first line of the run's code / budget", statistics.median(to_code_ms), BUDGET_MS, "ms", "<= 1"
        ),
        Figure("the same, 95 of 100 / budget", statistics.quantiles(to_code_ms, n=20)[-1], BUDGET_MS, "ms", "<= 2"),
        Figure("submit to reported end / budget", statistics.median(to_end_ms), 2 * BUDGET_MS, "ms", "<= 1"),
    ]


def _measure(folder: Path) -> tuple[list[float], list[float]]:
    from text_recognizer.spec import ExperimentSpec
    from training.devices.requests import DeviceRequest
    from training.executors.local import LocalExecutor
    from training.executors.zygote.preloading import users_modules
    from training.runs.run import Run

    spec = ExperimentSpec.parse(SPEC)
    os.environ["TRIAL_START_CLOCK"] = "1"
    to_code_ms, to_end_ms = [], []
    with LocalExecutor(1, DeviceRequest(0), preload=users_modules([spec])) as executor:
        executor.wait_until_ready()
        for _ in range(STARTS):
            run = Run.create(spec, root=folder / "runs")
            submitted = time.monotonic()
            executor.submit(run).wait()
            to_end_ms.append((time.monotonic() - submitted) * 1000)
            said = float((run.folder / "log.txt").read_text().split()[-1])
            to_code_ms.append((said - submitted) * 1000)
    return to_code_ms, to_end_ms
