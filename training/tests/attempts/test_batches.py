import time

import numpy as np
import pytest

from text_recognizer.datasets.characters.base import CharacterSplit
from training.attempts.batches import BatchOrder, BucketedOrder, GroupedBatches, GroupSize


class Fixed(GroupSize):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps


def split(samples):
    images = np.arange(samples, dtype=np.uint8).reshape(-1, 1, 1)
    return CharacterSplit(images, np.arange(samples), np.arange(samples), tuple(map(str, range(samples))))


def test_a_pass_holds_every_sample_once_in_an_order_of_its_own():
    order = BatchOrder(10, 4, seed=1)
    passes = [
        np.concatenate([order.positions(3 * number + batch) for batch in range(3)]).tolist() for number in range(2)
    ]
    assert [sorted(one) for one in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]
    assert [len(order.positions(step)) for step in range(3)] == [4, 4, 2]


def test_the_order_is_a_function_of_seed_and_step_alone():
    forwards, backwards = BatchOrder(10, 4, seed=1), BatchOrder(10, 4, seed=1)
    ahead = [forwards.positions(step).tolist() for step in range(9)]
    assert [backwards.positions(step).tolist() for step in reversed(range(9))] == ahead[::-1]
    assert BatchOrder(10, 4, seed=2).positions(0).tolist() != ahead[0]


@pytest.mark.parametrize("largest", [1, 2, 3, 100])
@pytest.mark.parametrize(("samples", "batch"), [(10, 4), (8, 4), (3, 4), (4, 1)])
def test_groups_are_the_same_batches_whatever_their_size(largest, samples, batch):
    order = BatchOrder(samples, min(batch, samples), seed=0)
    batches = GroupedBatches(split(samples), order)
    end = 2 * order.batches_per_pass + 1
    seen = [
        columns["label"][index].tolist()
        for steps, columns in batches.groups(1, end, Fixed(largest))
        for index in range(steps)
    ]
    batches.close()
    assert seen == [order.positions(step).tolist() for step in range(1, end)]


def test_the_time_that_training_waits_for_its_input_is_counted(monkeypatch):
    now, slow = [10.0], split(4)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def takes_three_seconds(batch):
        now[0] += 3.0
        return batch

    batches = GroupedBatches(slow, BatchOrder(4, 2, seed=0), takes_three_seconds)
    for _ in batches.groups(0, 2, Fixed(2)):  # one group: nothing is gathered while it trains
        now[0] += 5.0
    batches.close()
    assert batches.waited_s == 3.0


def test_no_steps_are_no_groups():
    batches = GroupedBatches(split(4), BatchOrder(4, 2, seed=0))
    assert list(batches.groups(3, 3, Fixed(5))) == []
    batches.close()


def test_group_size_follows_the_time_a_step_takes():
    size = GroupSize()
    size.observe(1, 5.0)  # tracing
    size.observe(1, 0.001)
    assert size.steps == 1
    size.observe(1, 0.005)
    assert size.steps == 10
    size.observe(10, 10.0)
    assert size.steps == 1
    size.observe(1, 1e-9)
    assert size.steps == GroupSize.MOST


def test_samples_that_cannot_be_learnt_from_are_in_no_batch():
    order = BatchOrder(10, 3, seed=1, members=np.array([1, 4, 5, 8]))
    seen = np.concatenate([order.positions(0), order.positions(1)])
    assert sorted(seen.tolist()) == [1, 4, 5, 8]
    assert order.batches_per_pass == 2


def test_lines_of_like_widths_come_together_in_batches_about_equally_large():
    widths = np.random.default_rng(0).integers(50, 1000, 103)
    order = BucketedOrder(widths, 10, seed=3)
    batches = [order.positions(step) for step in range(order.batches_per_pass)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(103))
    assert {len(batch) for batch in batches} == {9, 10}  # 103 in 11 batches
    padded = sum(int(widths[batch].max()) * len(batch) for batch in batches)
    shuffled = BatchOrder(103, 10, seed=3)
    plain = [shuffled.positions(step) for step in range(shuffled.batches_per_pass)]
    assert padded < 1.25 * widths.sum()
    assert padded < 0.75 * sum(int(widths[batch].max()) * len(batch) for batch in plain)


def test_a_line_has_other_neighbours_in_every_pass_and_widths_come_in_no_order():
    widths = np.repeat(np.arange(100, 1100, 10), 2)
    order = BucketedOrder(widths, 10, seed=0)
    passes = [[order.positions(20 * number + batch) for batch in range(20)] for number in range(3)]
    assert len({frozenset(passes[number][0].tolist()) for number in range(3)}) == 3
    largest = [int(widths[batch].max()) for batch in passes[0]]
    assert largest != sorted(largest)
    assert order.alike(0) == 1


def test_the_order_of_lines_too_is_a_function_of_seed_and_step_alone():
    widths = np.random.default_rng(0).integers(50, 1000, 40)
    members = np.arange(0, 40, 2)
    forwards = BucketedOrder(widths, 6, 1, members)
    backwards = BucketedOrder(widths, 6, 1, members)
    ahead = [forwards.positions(step).tolist() for step in range(9)]
    assert [backwards.positions(step).tolist() for step in reversed(range(9))] == ahead[::-1]
    assert {position for batch in ahead[:4] for position in batch} == set(members.tolist())
