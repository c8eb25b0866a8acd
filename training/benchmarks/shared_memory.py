"""How much memory four runs on one large store take for its images, all together."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from training.benchmarks.figures import Figure
from training.benchmarks.made_data import write_emnist_like

RUNS = 4
IMAGES = 1_370_000  # of 784 bytes: 1 GB

READER = """
import sys
import numpy as np
from text_recognizer.datasets.characters.emnist import EmnistDataset
from training.attempts.batches import BatchOrder

dataset = EmnistDataset()
dataset.prepare()
split = dataset.split("train")
order = BatchOrder(len(split), 256, seed=int(sys.argv[1]))
for step in range(order.batches_per_pass):  # one whole pass, as an epoch reads it
    split.batch(order.positions(step))
print("read", flush=True)
sys.stdin.read()
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **write_emnist_like(Path(folder), IMAGES, 1_000)}
        prepare = "from text_recognizer.datasets.characters.emnist import EmnistDataset; EmnistDataset().prepare()"
        subprocess.run([sys.executable, "-c", prepare], env=environ, check=True)
        store = next(Path(environ["TEXT_RECOGNIZER_DATA"]).glob("processed/*/train.images.npy"))
        size_mb = store.stat().st_size / 1e6
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, str(seed)], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for seed in range(RUNS)
        ]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"read\n"
        time.sleep(0.2)
        mapped = sum(_store_pss_mb(reader.pid, str(store)) for reader in readers)
        private = sum(_private_mb(reader.pid) for reader in readers)
        idle = _idle_private_mb(environ) * RUNS
        for reader in readers:
            reader.communicate()
    # The mapped pages of the store, shared by all, and whatever the readers hold privately beyond an idle process.
    return [
        Figure(
            f"memory of {RUNS} readers / size of the store", mapped + max(0.0, private - idle), size_mb, "MB", "<= 1.1"
        )
    ]


def _store_pss_mb(pid: int, path: str) -> float:
    """This process's proportional share of the store's pages in memory."""
    total_kib, counting = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            counting = line.endswith(path)
        elif counting and line.startswith("Pss:"):
            total_kib += int(line.split()[1])
    return total_kib * 1024 / 1e6


def _private_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return (
        sum(int(value) for value in re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", rollup, re.MULTILINE)) * 1024 / 1e6
    )


def _idle_private_mb(environ: dict[str, str]) -> float:
    code = "import sys, numpy; from text_recognizer.datasets.characters.emnist import EmnistDataset; from training.attempts.batches import BatchOrder; print('read', flush=True); sys.stdin.read()"  # noqa: E501
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as idle:
        assert idle.stdout is not None
        idle.stdout.readline()
        found = _private_mb(idle.pid)
        idle.communicate()
    return found


if __name__ == "__main__":
    print(json.dumps([figure.__dict__ for figure in measure()], indent=2))
