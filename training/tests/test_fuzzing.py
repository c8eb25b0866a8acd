import random
import subprocess
import sys
from pathlib import Path

import pytest

from training.tests.fuzzing.campaign import Find, Tally
from training.tests.fuzzing.mutators import STRUCTURED, changed, mutated

FINDS = sorted((Path(__file__).parent / "fuzzing" / "finds").glob("*.zip"))

# Targets that misbehave, each in its own way, at one of three inputs.
MISBEHAVING = """
import ctypes, os, subprocess, sys, time
import numpy as np
from text_recognizer.errors import DataError
from training.tests.fuzzing import campaign
from training.tests.fuzzing.base import Target
from training.tests.fuzzing.targets import TARGETS

campaign.MOST_CPU_S, campaign.MOST_MB = 1, 50

def refuse(): raise DataError("no")
def compute():
    while True: pass
def fill(): np.ones(80 << 20, np.uint8)
def ask_too_much(): np.empty(1 << 50, np.uint8)
def start():
    try: subprocess.run(["true"])
    except Exception: pass
def crash(): ctypes.string_at(0)
def fail(): {}["x"]

def at_the_second(misbehave):
    def read(folder):
        if (folder / "x").read_bytes() == b"2": misbehave()
    return read

for misbehave in (refuse, compute, fill, ask_too_much, start, crash, fail):
    name = misbehave.__name__
    TARGETS[name] = Target(name, lambda: [{"x": b"1"}, {"x": b"2"}, {"x": b"3"}], at_the_second(misbehave))
    tally = campaign.Campaign(TARGETS[name]).run(3)
    print(name, tally.accepted, tally.refused, *tally.bad.values())
"""


def test_each_kind_of_misbehaviour_is_counted_and_the_inputs_after_it_are_tried():
    done = subprocess.run([sys.executable, "-c", MISBEHAVING], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [  # accepted, refused, tracebacks, hangs, over memory
        "refuse 2 1 0 0 0",
        "compute 2 0 0 1 0",
        "fill 2 0 0 0 1",
        "ask_too_much 2 0 0 0 1",
        "start 2 0 1 0 0",
        "crash 2 0 1 0 0",
        "fail 2 0 1 0 0",
    ]


def test_of_many_inputs_that_fail_at_one_place_the_smallest_is_held():
    tally = Tally("x")
    for index, size in enumerate((3, 1, 2)):
        tally.add(Find("x", index, "traceback", "no", "KeyError at y:1", {"x": bytes(size)}))
    ((count, find),) = tally.finds.values()
    assert (count, find.index, tally.bad["traceback"]) == (3, 1, 3)


def test_the_same_seed_gives_the_same_inputs():
    seeds = [{"a.json": b'{"a": [1, {"b": 2}]}', "b.txt": b"one two\nthree"}]
    first, second = ([mutated(seeds, random.Random(str(index))) for index in range(50)] for _ in range(2))
    assert first == second
    assert len({repr(files) for files in first}) > 40


def test_a_file_that_lost_its_structure_is_changed_all_the_same():
    for ending in STRUCTURED:
        assert any(changed(f"x{ending}", b"no structure", random.Random(seed)) != b"no structure" for seed in range(9))


def fuzzing(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training.tests.fuzzing", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def replayed() -> dict[str, str]:
    """What each find comes to now."""
    lines = fuzzing(*map(str, FINDS)).stdout.splitlines()
    said = [line.partition(".zip: ") for line in lines if ".zip: " in line]
    return {f"{Path(path).name}.zip": outcome for path, _, outcome in said}


@pytest.mark.parametrize("name", [path.name for path in FINDS])
def test_an_input_that_once_failed_is_accepted_or_refused(name, replayed):
    assert replayed[name].startswith(("accepted", "refused: "))


def test_a_short_campaign_finds_nothing_and_every_target_accepts_what_is_valid():
    from training.tests.fuzzing.targets import TARGETS

    names = [name for name, target in TARGETS.items() if not target.tensorflow]
    done = fuzzing(*names, "--inputs", "12")
    assert done.returncode == 0, done.stdout
    accepted = {row.split()[0]: int(row.split()[2]) for row in done.stdout.splitlines()[1:-1]}
    assert accepted.keys() == set(names)
    assert all(accepted.values())
