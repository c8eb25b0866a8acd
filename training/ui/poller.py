"""Poller: reads the disk once a second for all open pages, and not at all while none is open."""

import asyncio
import contextlib
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from text_recognizer.errors import RunError
from training.files.json_objects import version_of
from training.views.index import Index

TICK_S = 1.0
# Runs that have ended are checked only every THOROUGH ticks; their files hardly change.
THOROUGH = 15
_KEPT = 10_000
Size = tuple[int, int]


@dataclass
class Poller:
    """What changes below a folder, tick by tick: inode and size of each file, (0, 0) if it does not exist."""

    index: Index
    tick_s: float = TICK_S
    ticks: int = 0
    sizes: dict[Path, Size] = field(default_factory=dict)
    _refreshing: threading.Lock = field(default_factory=threading.Lock)
    _looked_s: float = -math.inf
    _watched: Counter[Path] = field(default_factory=Counter)
    _clients: int = 0
    _changes: deque[tuple[int, set[str]]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _task: asyncio.Task[None] | None = None
    _next: asyncio.Event = field(default_factory=asyncio.Event)
    _is_closing: bool = False

    @contextlib.contextmanager
    def watching(self, paths: list[Path]) -> Iterator[None]:
        """Watches these files while a page that shows them is open."""
        self._watched.update(paths)
        self.sizes.update({path: version_of(path) for path in paths})
        self._clients += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._clients -= 1
            self._watched.subtract(paths)
            self._watched = +self._watched
            self.sizes = {path: size for path, size in self.sizes.items() if path in self._watched}

    async def tick(self) -> bool:
        """Waits for the next tick; False when the server is shutting down."""
        await self._next.wait()
        return not self._is_closing

    def changed_since(self, tick: int) -> set[str]:
        """Keys of the runs that have changed after a tick."""
        return set().union(*(keys for when, keys in list(self._changes) if when > tick))

    def close(self) -> None:
        """Ends the event streams of all pages."""
        self._is_closing = True

    async def _run(self) -> None:
        while self._clients:
            await asyncio.sleep(self.tick_s)
            if not self._is_closing:
                await asyncio.to_thread(self._look)
            self._next.set()
            self._next = asyncio.Event()

    def refresh(self, thorough: bool = True, within_s: float = math.inf) -> None:
        """Refreshes now. Raises RunError: the folder cannot be read.

        Args:
            thorough, within_s: see Index.refresh.
        """
        with self._refreshing:
            changed = self.index.refresh(thorough, within_s)
            if changed:
                self._changes.append((self.ticks + 1, changed))
            self._looked_s = time.monotonic()
            self.ticks += 1  # last: a reader of the new tick also sees its changes

    def refresh_if_idle(self) -> None:
        """Refreshes now, unless that has just happened or happens every second anyway."""
        if not self._clients and time.monotonic() - self._looked_s > self.tick_s:
            self.refresh()

    def _look(self) -> None:
        with contextlib.suppress(RunError):  # the folder is briefly unavailable
            self.refresh(thorough=self.ticks % THOROUGH == 0)
        self.sizes = {path: version_of(path) for path in list(self._watched)}
