"""The prediction service with 32 clients, against itself without batches and against a network rebuilt a request."""

import base64
import http.client
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from text_recognizer.exports.twin import add_twin
from text_recognizer.images.read import png_bytes
from training.benchmarks.figures import Figure, python
from training.benchmarks.line_reading import made_lines, write_reader

CLIENTS = 32
REQUESTS, FEW_REQUESTS = 1500, 400
ROUNDS = 3
REBUILT = 6
_REBUILD = """
import sys, time, keras
from pathlib import Path
from text_recognizer.predictors.line import LinePredictor
folder, picture = sys.argv[1:3]
taken = []
for _ in range(int(sys.argv[3]) + 1):
    began = time.perf_counter()
    keras.utils.clear_session()
    LinePredictor(Path(folder)).predict(picture)
    taken.append(time.perf_counter() - began)
print(sorted(taken[1:])[len(taken) // 2 - 1])
"""


def measure() -> list[Figure]:
    pictures = [png_bytes(line) for line in made_lines()]
    bodies = [json.dumps({"image": "data:image/png;base64," + base64.b64encode(one).decode()}) for one in pictures]
    with tempfile.TemporaryDirectory() as place:
        folder, picture = Path(place, "model"), Path(place, "line.png")
        write_reader(folder)
        picture.write_bytes(sorted(pictures, key=len)[len(pictures) // 2])
        # Of the older design, only what it does for each request; no server around it, and no other clients.
        rebuilt = 1 / float(python(["-c", _REBUILD, str(folder), str(picture), str(REBUILT)]).split()[-1])
        add_twin(folder)
        with service(folder, 32) as batching, service(folder, 1) as alone:
            for server in (batching, alone):
                server.ask(bodies, FEW_REQUESTS)
            before_mib = batching.memory_mib()
            rounds = [(batching.ask(bodies, REQUESTS), alone.ask(bodies, FEW_REQUESTS)) for _ in range(ROUNDS)]
            after_mib = batching.memory_mib()
    rates = [statistics.median(pair[place].rate for pair in rounds) for place in (0, 1)]
    p50, p99 = (statistics.median(pair[0].percentile_ms(share) for pair in rounds) for share in (50, 99))
    return [
        Figure(f"{CLIENTS} clients: in batches / one by one", rates[0], rates[1], "lines a second", ">= 3"),
        Figure(f"{CLIENTS} clients: service / network rebuilt a request", rates[0], rebuilt, "lines a second", ">= 10"),
        Figure(f"{CLIENTS} clients: 99th percentile / median", p99, p50, "ms", "<= 10"),
        Figure(f"memory after {ROUNDS * REQUESTS:,} requests / before", after_mib, before_mib, "MiB", "<= 1.05"),
    ]


class Answers:
    """How long a number of requests took, together and each."""

    def __init__(self, taken_s: Sequence[float], wall_s: float) -> None:
        self.rate = len(taken_s) / wall_s
        self._taken = sorted(taken_s)

    def percentile_ms(self, share: int) -> float:
        return 1000 * self._taken[min(len(self._taken) * share // 100, len(self._taken) - 1)]


class Server:
    """A service in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process, self._port = process, port

    def ask(self, bodies: Sequence[str], count: int) -> Answers:
        """Answers to requests that all clients send as fast as they are answered."""
        waiting, taken = iter(itertools.islice(itertools.cycle(bodies), count)), []
        lock = threading.Lock()

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port)
            while True:
                with lock:
                    body = next(waiting, None)
                if body is None:
                    return
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
        return Answers(taken, time.perf_counter() - began)

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def service(folder: Path, batch: int) -> Iterator[Server]:
    command = [sys.executable, "-m", "training.cli", "serve", "--bundle", str(folder)]
    command += ["--port", "0", "--batch", str(batch)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                    yield Server(process, int(found[1]))
                    return
            raise AssertionError("the service has not started")
        finally:
            process.kill()
