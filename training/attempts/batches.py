"""The order of training batches: a function of (seed, step), independent of restarts."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import Split
from text_recognizer.models.base import Model

Batch = dict[str, NDArray[Any]]


class BatchOrder:
    """Determines the samples of each batch. Every pass over the data has its own order.

    Args:
        samples: number of samples in the training split.
        batch_size: the last batch of a pass may be smaller.
        members: (m,) positions of the samples to train on; all by default.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: int, members: NDArray[np.integer[Any]] | None = None
    ) -> None:
        # 32 bits hold every position, in half the memory.
        self.members = np.arange(samples, dtype=np.int32) if members is None else members.astype(np.int32)
        self.samples = len(self.members)
        self.batch_size = batch_size
        self.seed = seed
        self.batches_per_pass = -(-self.samples // batch_size)
        self._pass: int | None = None
        self._order: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._starts: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def positions(self, step: int) -> NDArray[np.int32]:
        """(B,) positions in the split of the batch of a step, counted from 0 over the whole training."""
        number, batch = divmod(step, self.batches_per_pass)
        if number != self._pass:
            self._order, self._starts = self._arrange(np.random.default_rng([self.seed, number]))
            self._pass = number
        return self._order[self._starts[batch] : self._starts[batch + 1]]

    def alike(self, step: int) -> int:
        """Number of steps from here on whose batches have one shape and belong to one pass."""
        place = step % self.batches_per_pass
        full_batches = self.samples // self.batch_size
        return full_batches - place if place < full_batches else 1

    def _arrange(self, random: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The samples of a pass in order, and the start and end of each batch."""
        starts = np.arange(self.batches_per_pass + 1) * self.batch_size
        return random.permutation(self.members), np.minimum(starts, self.samples)


class BucketedOrder(BatchOrder):
    """Batches of lines of similar widths, to reduce padding; all with about the same number of lines.

    Widths are randomly scaled by up to WIDTH_SPREAD before sorting, so that a line has other neighbours in each pass.

    Args:
        widths: (n,) widths of all samples of the split.
    """

    WIDTH_SPREAD = 0.15

    def __init__(
        self,
        widths: NDArray[np.integer[Any]],
        batch_size: int,
        seed: int,
        members: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        super().__init__(len(widths), batch_size, seed, members)
        self._log_widths = np.log(np.maximum(widths[self.members], 1).astype(np.float64))

    def alike(self, step: int) -> int:  # noqa: ARG002 - batches differ in width
        """Batches are as wide as their widest line, so no two are guaranteed to have one shape."""
        return 1

    def _arrange(self, random: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        stretch = random.uniform(-self.WIDTH_SPREAD, self.WIDTH_SPREAD, self.samples)
        by_width = self.members[np.argsort(self._log_widths + stretch, kind="stable")]
        batches = np.array_split(by_width, self.batches_per_pass)
        chosen = [batches[index] for index in random.permutation(self.batches_per_pass)]
        return np.concatenate(chosen), np.cumsum([0, *map(len, chosen)])


def order_of(split: Split, model: Model, trainable: NDArray[np.bool_], batch_size: int, seed: int) -> BatchOrder:
    """The order of the trainable samples of a split."""
    members = None if trainable.all() else np.flatnonzero(trainable)
    if split.widths is not None and model.data_spec.input_shape[1] is None:
        return BucketedOrder(split.widths, batch_size, seed, members)
    return BatchOrder(len(split), batch_size, seed, members)


class GroupedBatches:
    """Batches of equal size stacked into groups, so that one call of the compiled step trains on several.

    The next group is gathered from the store while the current one trains.

    Args:
        arranged: what a model makes of a batch of the split.

    Attributes:
        waited_s: how long training has waited for groups so far.
    """

    def __init__(self, split: Split, order: BatchOrder, arranged: Callable[[Batch], Batch] = lambda batch: batch):
        self._split = split
        self._order = order
        self._arranged = arranged
        self.waited_s = 0.0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")

    def groups(self, first_step: int, end_step: int, largest_group: "GroupSize") -> Iterator[tuple[int, Batch]]:
        """(steps in the group, columns (steps, B, …)) for all steps from first to end."""
        step, before = first_step, time.monotonic()
        waiting = self._gathering(step, end_step, largest_group)
        try:
            while waiting is not None:
                steps, columns = waiting.result()
                self.waited_s += time.monotonic() - before
                step += steps
                waiting = self._gathering(step, end_step, largest_group)
                yield steps, columns
                before = time.monotonic()
        finally:  # left early: the order must not be read by two threads once the next groups begin
            if waiting is not None:
                wait([waiting])

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _gathering(self, step: int, end_step: int, group: "GroupSize") -> Future[tuple[int, Batch]] | None:
        return self._pool.submit(self._gather, step, end_step, group.steps) if step < end_step else None

    def _gather(self, step: int, end_step: int, most: int) -> tuple[int, Batch]:
        count = max(1, min(most, self._order.alike(step), end_step - step))
        positions = [self._order.positions(step + index) for index in range(count)]
        batch = self._arranged(self._split.batch(np.concatenate(positions)))
        size = len(positions[0])
        return count, {name: column.reshape(count, size, *column.shape[1:]) for name, column in batch.items()}


class GroupSize:
    """How many steps to make in one call: enough that the call itself costs nothing, few enough to stop soon."""

    WANTED_S = 0.05
    MOST = 64

    def __init__(self, most: int = MOST) -> None:
        self.steps = 1
        self._most = most
        self._calls = 0

    def observe(self, steps: int, elapsed_s: float) -> None:
        """Learns from a call; the first two are dominated by tracing and warming up."""
        self._calls += 1
        if self._calls > 2 and elapsed_s > 0:
            self.steps = int(np.clip(self.WANTED_S * steps / elapsed_s, 1, self._most))
