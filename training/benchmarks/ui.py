"""The local page on a thousand runs: how soon it answers, what it sends a tick, what it costs while nobody looks."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.figures import Figure, seconds
from training.runs.run import Run

RUNS, LIVE, METRICS, EPOCHS = 1000, 100, 10, 100
LOADED: tuple[str, ...] = (
    "",
    "style.css",
    "vendor/uPlot.min.css",
    "vendor/uPlot.iife.min.js",
    "main.js",
    "dom.js",
    "api.js",
    "runs.js",
)
LOADED += ("run.js", "compare.js", "chart.js", "sweeps.js", "parallel.js", "devices.js", "data.js")
SECONDS = 10
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        live = [_make_run(Path(folder), number) for number in range(RUNS)][:LIVE]
        with _serving(folder) as (process, address):
            started = _cpu_s(process.pid)  # the machine may have other things to do
            first = seconds(lambda: _get(f"{address}api/runs?first=100"))
            _get(f"{address}api/runs")
            again = min(seconds(lambda: _get(f"{address}api/runs")) for _ in range(3))
            loaded = sum(len(_get(f"{address}{name}")) for name in LOADED)
            key = f"default/{live[0].id}"
            whole = len(_get(f"{address}api/run?run={key}"))
            resting = _cpu_share(process.pid)
            with _listening(f"{address}api/events?columns=id,epoch,val_loss") as table:
                time.sleep(2)
                heard = len(table)
                idle = _cpu_share(process.pid)
                silent = len(table) - heard
            with _listening(f"{address}api/events?run={key}@0-0") as page:
                time.sleep(3)
                heard = len(page)
                with _reporting(live):
                    busy = _cpu_share(process.pid)
            lines = (live[0].folder / "metrics.jsonl").read_bytes().split(b"\n")[EPOCHS:]
            told = len(page) - heard
            memory = _memory_mb(process.pid)
    return [
        Figure("page: processor time from the command to its address / half a second", started, 0.5, "s", "<= 1.0"),
        Figure(f"page: first rows of {RUNS:,} runs / one second", first, 1.0, "s", "<= 1.0"),
        Figure(f"page: later answers with {RUNS:,} runs / one second", again, 1.0, "s", "<= 0.3"),
        Figure("page: bytes before data / 150 KB", loaded, 150_000, "bytes", "<= 1.0"),
        Figure("page: bytes sent for new reports / the reports", told, sum(map(len, lines)), "bytes", "<= 2.0"),
        Figure("page: bytes of a tick / all of the run again", told / len(lines), whole, "bytes", "<= 0.05"),
        Figure(f"page: bytes in {SECONDS} s without news / a comment", silent, 3, "bytes", "<= 1.0"),
        Figure(f"page: processor with {LIVE} runs reporting each second / 5 %", busy, 0.05, "cores", "<= 1.0"),
        Figure("page: processor with a page open, no news / 0.5 %", idle, 0.005, "cores", "<= 1.0"),
        Figure("page: processor without a page open / 0.5 %", resting, 0.005, "cores", "<= 1.0"),
        Figure("page: memory / 80 MB", memory, 80.0, "MB", "<= 1.0"),
    ]


def _make_run(root: Path, number: int) -> Run:
    spec = assemble(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", seed=number)).spec
    run = Run.create(spec, f"run-{number:04}", root)
    values = {"val_loss": 1 / (number + 1), **{f"metric_{one}": 0.123456789 * one for one in range(METRICS - 1)}}
    text = "".join(json.dumps({"epoch": epoch, **values}) + "\n" for epoch in range(1, EPOCHS + 1))
    (run.folder / "metrics.jsonl").write_text(text)
    run.set_state("finished", summary={"test_accuracy": 1 / (number + 1), "val_loss": 0.5}, epoch=EPOCHS)
    return run


@contextlib.contextmanager
def _serving(folder: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "training.cli", "ui", folder, "--no-browser", "--port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split(": ")[1].split()[0]
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _listening(address: str) -> Iterator[bytearray]:
    """What an open page is sent."""
    heard, parts = bytearray(), urllib.request.Request(address)
    connection = http.client.HTTPConnection(parts.host)
    connection.request("GET", parts.selector)
    answer = connection.getresponse()

    def hear() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while content := answer.read1(65536):
                heard.extend(content)

    threading.Thread(target=hear, daemon=True).start()
    try:
        yield heard
    finally:
        connection.close()


@contextlib.contextmanager
def _reporting(runs: list[Run]) -> Iterator[None]:
    """While each of these runs reports once a second."""
    for run in runs:
        run.hold()
        run.set_state("running")
    over = threading.Event()

    def report() -> None:
        epoch = EPOCHS
        while not over.wait(1.0):
            epoch += 1
            for run in runs:
                run.log({"epoch": epoch, **{f"metric_{one}": 0.123456789 * one for one in range(METRICS)}})
                run.note(epoch=epoch)

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()
        time.sleep(2.0)  # the last reports are sent
        for run in runs:
            run.release()


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:
        content: bytes = answer.read()
        return content


def _cpu_share(pid: int) -> float:
    """Of a core, over some seconds."""
    before = _cpu_s(pid)
    time.sleep(SECONDS)
    return (_cpu_s(pid) - before) / SECONDS


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
