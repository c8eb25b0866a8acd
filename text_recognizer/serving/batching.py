"""Batcher: items of many requests, read in batches by a few threads."""

import heapq
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    future: "Future[Result]" = field(default_factory=Future)


class Batcher(Generic[Item, Result]):
    """Reads what has queued up while the last batches were read: large batches under load, no waiting otherwise.

    A batch contains the item that has waited longest and those nearest to it in size, but leaves the other threads
    their share: a thread that takes everything would leave them, and those that prepare the next items, idle.

    Args:
        read: the results of items, in their order; called in all threads at once.
        most: items per batch.
    """

    def __init__(self, read: Callable[[Sequence[Item]], Sequence[Result]], most: int, threads: int = 1) -> None:
        self._read = read
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[Item, Result]] = []
        self._is_closed = False
        self._threads = [threading.Thread(target=self._work, name="batches", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, item: Item, size: int = 0) -> "Future[Result]":
        """Queues an item; returns its future result. The caller limits how many are queued."""
        waiting: _Waiting[Item, Result] = _Waiting(item, size)
        with self._changed:
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def close(self) -> None:
        """Reads what is queued, then ends."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            chosen = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if not chosen:
                continue
            try:
                results = self._read([one.item for one in chosen])
            except Exception as error:  # noqa: BLE001 - passed on to the callers; the thread continues
                for one in chosen:
                    one.future.set_exception(error)
                continue
            for one, result in zip(chosen, results, strict=True):
                one.future.set_result(result)

    def _next_batch(self) -> list[_Waiting[Item, Result]]:
        """Waits for the first item only; empty once the batcher is closed and everything is read."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return []
            first, share = self._waiting[0], -(-len(self._waiting) // len(self._threads))
            batch = heapq.nsmallest(min(self._most, share), self._waiting, key=lambda one: abs(one.size - first.size))
            taken = set(batch)
            self._waiting = [one for one in self._waiting if one not in taken]
            return batch
