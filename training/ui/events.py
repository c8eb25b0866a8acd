"""Live updates of an open page as server-sent events: changed rows, new reports and new lines of a log.

A cursor is a position in a file. Only what is new is sent; if nothing is, a comment keeps the connection alive.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.runs.run_table import RunRow
from training.runs.tails import LOG_BYTES, Cursor, Tail, read_tail, reports, text_of
from training.ui.poller import Poller, Size
from training.views.index import Index

KEEP_ALIVE_S = 15.0
# The cells of a row as text.
Cells = Callable[[RunRow], list[str]]


@dataclass
class Feed:
    """One open page.

    Args:
        since: the tick of its table of runs.
        runs, logs: cursors of the files it shows, by key of the run.
        cells: of its table of runs; None if it shows no table.
        more: further events, polled at each tick.
    """

    index: Index
    poller: Poller
    since: int
    runs: dict[str, Cursor] = field(default_factory=dict)
    logs: dict[str, Cursor] = field(default_factory=dict)
    cells: Cells | None = None
    more: Callable[[], Iterable[tuple[str, Any]]] = tuple
    _seen: dict[Path, Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders = {key: self.index.row(key).folder for key in (*self.runs, *self.logs)}
        self._reports = {key: folders[key] / "metrics.jsonl" for key in self.runs}
        self._texts = {key: folders[key] / "log.txt" for key in self.logs}

    async def stream(self) -> AsyncIterator[str]:
        """Events until the page is closed."""
        told = time.monotonic()
        yield "retry: 2000\n\n"
        with self.poller.watching([*self._reports.values(), *self._texts.values()]):
            while True:
                tick = self.poller.ticks
                text = "".join(event(name, value) for name, value in self._news())
                self.since = tick
                if text or time.monotonic() - told > KEEP_ALIVE_S:
                    told = time.monotonic()
                    yield text or ":\n\n"
                if not await self.poller.tick():
                    return

    def _news(self) -> Iterator[tuple[str, Any]]:
        keys = self.poller.changed_since(self.since)
        if keys and self.cells is not None:
            rows = {key: row for key, row in self.index.keyed() if key in keys}
            changed = [{"key": key, "state": row.state, "cells": self.cells(row)} for key, row in rows.items()]
            yield "rows", {"changed": changed, "gone": sorted(keys - rows.keys())}
        for key, row in self.index.keyed() if keys & {*self.runs, *self.logs} else ():
            if key in self.runs or key in self.logs:
                yield "touched", {"key": key, "state": row.state, "epoch": row.status.get("epoch")}
        for told, tail in self._grown(self._reports, self.runs, whole_lines=True):
            yield "reports", {**told, "rows": reports(tail)}
        for told, tail in self._grown(self._texts, self.logs, most=LOG_BYTES):
            yield "log", {**told, "text": text_of(tail)}
        yield from self.more()

    def _grown(
        self, paths: Mapping[str, Path], cursors: dict[str, Cursor], **how: Any
    ) -> Iterator[tuple[dict[str, Any], Tail]]:
        """New content of files: the start of the event for the page, and the content."""
        for key, path in paths.items():
            size = self.poller.sizes.get(path, (0, 0))
            if self._seen.get(path) != size:
                self._seen[path] = size
                tail = read_tail(path, cursors[key], **how)
                cursors[key] = tail.cursor
                if tail.content or tail.restarted:
                    yield {"key": key, "cursor": str(tail.cursor), "restarted": tail.restarted}, tail


def event(name: str, value: Any) -> str:
    """One event; JSON in ASCII has no line break that would split it."""
    return f"event: {name}\ndata: {json_of(value)}\n\n"


def json_of(value: Any) -> str:
    """JSON as browsers read it: NaN and infinities become null."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value, default=str), parse_constant=lambda _: None))
