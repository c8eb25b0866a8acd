"""Batcher: what many requests bring, read together by one thread."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Reads whatever has gathered while the last batch was read: full batches under load, no waiting without.

    Args:
        read: the results of items, in their order.
        most: items of a batch.
    """

    def __init__(self, read: Callable[[Sequence[Item]], Sequence[Result]], most: int) -> None:
        self._read = read
        self._most = most
        self._waiting: SimpleQueue[tuple[Item, Future[Result]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> "Future[Result]":
        """The result of an item, later. The caller bounds how many wait."""
        future: Future[Result] = Future()
        self._waiting.put((item, future))
        return future

    def close(self) -> None:
        """Reads what waits, then ends."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            chosen = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
            if not chosen:
                continue
            try:
                results = self._read([item for item, _ in chosen])
            except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, and the thread go on
                for _, future in chosen:
                    future.set_exception(error)
                continue
            for (_, future), result in zip(chosen, results, strict=True):
                future.set_result(result)

    def _next_batch(self) -> tuple[list[tuple[Item, "Future[Result]"]], bool]:
        """Waits for the first item only; and whether more may come."""
        batch = []
        entry = self._waiting.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == self._most:
                return batch, True
            try:
                entry = self._waiting.get_nowait()
            except Empty:
                return batch, True
        return batch, False
