"""The local page on a thousand runs, and the prediction service with 32 clients."""

import base64
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from text_recognizer.experiment import assemble
from text_recognizer.exports.onnx import add_twin
from text_recognizer.images.read import png_bytes
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.harness import Figure, cpu_s, last_number, medians, memory_mb, own_folder, seconds
from training.benchmarks.lines import made_lines, write_reader
from training.runs.run import Run

RUNS, LIVE, METRICS, EPOCHS = 1000, 100, 10, 100
_SCRIPTS = ["main", "dom", "api", "runs", "run", "compare", "chart", "sweeps", "parallel", "devices", "data"]
LOADED = ["", "style.css", "vendor/uPlot.min.css", "vendor/uPlot.iife.min.js", *(f"{one}.js" for one in _SCRIPTS)]
SECONDS = 10
CLIENTS, REQUESTS, FEW_REQUESTS, ROUNDS = 32, 1500, 400, 3
_REBUILD = """
import sys, time, keras
from pathlib import Path
from text_recognizer.predictors.line import LinePredictor
folder, picture = sys.argv[1:3]
taken = []
for _ in range(7):
    began = time.perf_counter()
    keras.utils.clear_session()
    LinePredictor(Path(folder)).predict(picture)
    taken.append(time.perf_counter() - began)
print(sorted(taken[1:])[3])
"""


@contextmanager
def _serving(*arguments: str) -> Iterator[tuple[int, str]]:
    """A server in another process: its process id and address."""
    command = [sys.executable, "-m", "training.cli", *arguments, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = (re.search(r"http://[\d.]+:\d+", line) for line in process.stdout)
            address = next(found[0] for found in addresses if found)
            threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
            yield process.pid, address
        finally:
            process.kill()


def ui() -> list[Figure]:
    """The local page on a thousand runs: first response, bytes per tick, idle cost, against budgets."""
    with own_folder() as folder:
        live = [_make_run(number) for number in range(RUNS)][:LIVE]
        with _serving("ui", str(folder / "runs"), "--no-browser") as (pid, address):
            api = f"{address}/api"
            started = cpu_s(pid)  # the machine may have other things to do
            first = seconds(lambda: _get(f"{api}/runs?first=100"))
            _get(f"{api}/runs")
            again = min(seconds(lambda: _get(f"{api}/runs")) for _ in range(3))
            loaded = sum(len(_get(f"{address}/{name}")) for name in LOADED)
            key = f"default/{live[0].id}"
            whole = len(_get(f"{api}/run?run={key}"))
            resting = _cpu_share(pid)
            with _listening(f"{api}/events?columns=id,epoch,val_loss") as table:
                time.sleep(2)
                heard = len(table)
                idle = _cpu_share(pid)
                silent = len(table) - heard
            with _listening(f"{api}/events?run={key}@0-0") as page:
                time.sleep(3)
                heard = len(page)
                with _reporting(live):
                    busy = _cpu_share(pid)
            lines = (live[0].folder / "metrics.jsonl").read_bytes().split(b"\n")[EPOCHS:]
            told = len(page) - heard
            memory = memory_mb(pid, "Rss")
    return [
        Figure("page: processor time from the command to its address / half a second", started, 0.5, "s"),
        Figure(f"page: first rows of {RUNS:,} runs / one second", first, 1.0, "s"),
        Figure(f"page: later answers with {RUNS:,} runs / one second", again, 1.0, "s", "<= 0.3"),
        Figure("page: bytes before data / 150 KB", loaded, 150_000, "bytes"),
        Figure("page: bytes sent for new reports / the reports", told, sum(map(len, lines)), "bytes", "<= 2.0"),
        Figure("page: bytes of a tick / all of the run again", told / len(lines), whole, "bytes", "<= 0.05"),
        Figure(f"page: bytes in {SECONDS} s without news / a comment", silent, 3, "bytes"),
        Figure(f"page: processor with {LIVE} runs reporting each second / 5 %", busy, 0.05, "cores"),
        Figure("page: processor with a page open, no news / 0.5 %", idle, 0.005, "cores"),
        Figure("page: processor without a page open / 0.5 %", resting, 0.005, "cores"),
        Figure("page: memory / 80 MB", memory, 80.0, "MB"),
    ]


def _make_run(number: int) -> Run:
    spec = assemble(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", seed=number)).spec
    run = Run.create(spec, f"run-{number:04}")
    values = {"val_loss": 1 / (number + 1), **{f"metric_{one}": 0.123456789 * one for one in range(METRICS - 1)}}
    text = "".join(json.dumps({"epoch": epoch, **values}) + "\n" for epoch in range(1, EPOCHS + 1))
    (run.folder / "metrics.jsonl").write_text(text)
    run.set_state("finished", summary={"test_accuracy": 1 / (number + 1), "val_loss": 0.5}, epoch=EPOCHS)
    return run


@contextmanager
def _listening(address: str) -> Iterator[bytearray]:
    """The events sent to an open page."""
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


@contextmanager
def _reporting(runs: list[Run]) -> Iterator[None]:
    for run in runs:
        run.hold()
        run.set_state("running")
    over = threading.Event()

    def report() -> None:
        for epoch in itertools.count(EPOCHS + 1):
            if over.wait(1.0):
                return
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
    """The share of a core that a process uses over some seconds."""
    before = cpu_s(pid)
    time.sleep(SECONDS)
    return (cpu_s(pid) - before) / SECONDS


def serving() -> list[Figure]:
    """The prediction service with 32 clients, against itself without batches and a network rebuilt per request."""
    pictures = [png_bytes(line) for line in made_lines()]
    bodies = [json.dumps({"image": "data:image/png;base64," + base64.b64encode(one).decode()}) for one in pictures]
    with own_folder() as place:
        folder, picture = place / "model", place / "line.png"
        write_reader(folder)
        picture.write_bytes(sorted(pictures, key=len)[len(pictures) // 2])
        # Of the older design, only what it does for each request; no server around it, and no other clients.
        rebuilt = 1 / last_number(_REBUILD, str(folder), str(picture))
        add_twin(folder)
        serve = ("serve", f"--bundle={folder}")
        with _serving(*serve, "--batch=32") as (pid, batching), _serving(*serve, "--batch=1") as (_, alone):
            for address in (batching, alone):
                _ask(address, bodies, FEW_REQUESTS)
            before = memory_mb(pid, "Rss")
            taken: list[float] = []

            def in_batches() -> float:
                waits = _ask(batching, bodies, REQUESTS)
                taken.extend(waits[:-1])
                return REQUESTS / waits[-1]

            rate, slow_rate = medians(ROUNDS, in_batches, lambda: FEW_REQUESTS / _ask(alone, bodies, FEW_REQUESTS)[-1])
            after = memory_mb(pid, "Rss")
    p50, p99 = 1000 * np.percentile(taken, [50, 99])
    return [
        Figure(f"{CLIENTS} clients: in batches / one by one", rate, slow_rate, "lines a second", ">= 3"),
        Figure(f"{CLIENTS} clients: service / network rebuilt a request", rate, rebuilt, "lines a second", ">= 10"),
        Figure(f"{CLIENTS} clients: 99th percentile / median", p99, p50, "ms", "<= 10"),
        Figure(f"memory after {ROUNDS * REQUESTS:,} requests / before", after, before, "MB", "<= 1.05"),
    ]


def _ask(address: str, bodies: Sequence[str], count: int) -> list[float]:
    """Seconds of each request, sent by all clients as fast as they are answered; and last the total."""
    waiting, taken = iter(list(itertools.islice(itertools.cycle(bodies), count))), []  # taking one is atomic

    def client() -> None:
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        for body in waiting:
            began = time.perf_counter()
            connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            taken.append(time.perf_counter() - began)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    began = time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert len(taken) == count
    return [*taken, time.perf_counter() - began]
