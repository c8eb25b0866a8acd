"""Metrics of a running service in the text format of Prometheus.

Counters and a histogram are three kinds of lines; a client library would add a package to the image for them.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import json
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Key = tuple[str, ...]


class Metrics:
    """Counts requests and batches since the service started; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[_Key] = Counter()  # route, method, status
        self._buckets: Counter[tuple[str, int]] = Counter()  # route, place in BUCKETS_S
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._batches: Counter[str] = Counter()  # model
        self._images: Counter[str] = Counter()

    def count_request(self, route: str, method: str, status: int, duration_s: float) -> None:
        with self._lock:
            self._requests[route, method, str(status)] += 1
            self._buckets[route, bisect_left(BUCKETS_S, duration_s)] += 1
            self._seconds[route] += duration_s

    def count_batch(self, model: str, images: int) -> None:
        with self._lock:
            self._batches[model] += 1
            self._images[model] += images

    def text(self, in_flight: int) -> str:
        """The text that Prometheus scrapes; `in_flight`: predictions in progress."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines(in_flight))

    def _lines(self, in_flight: int) -> Iterator[str]:
        yield from _head("text_recognizer_requests_total", "counter", "Answered requests.")
        for (route, method, status), count in sorted(self._requests.items()):
            yield f'text_recognizer_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
        name = "text_recognizer_request_seconds"
        yield from _head(name, "histogram", "Time from a request to its answer.")
        for route in sorted(self._seconds):
            total = 0
            for place, bound in enumerate([*BUCKETS_S, "+Inf"]):
                total += self._buckets[route, place]
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {total}'
        for name, counts, what in (
            ("text_recognizer_batches_total", self._batches, "Batches that a model has read."),
            ("text_recognizer_images_total", self._images, "Characters or lines that a model has read."),
        ):
            yield from _head(name, "counter", what)
            yield from (
                f"{name}{{model={json.dumps(model, ensure_ascii=False)}}} {count}"
                for model, count in sorted(counts.items())
            )
        yield from _head("text_recognizer_requests_in_flight", "gauge", "Predictions in progress.")
        yield f"text_recognizer_requests_in_flight {in_flight}"


def _head(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP {name} {what}", f"# TYPE {name} {kind}"
