"""How much memory four runs on one large store take for its images, all together."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from training.benchmarks.figures import Figure, python
from training.benchmarks.made_data import write_emnist_like

RUNS = 4
IMAGES = 1_370_000  # of 784 bytes: 1 GB
PRIVATE = ("Private_Clean", "Private_Dirty")

IDLE = """
import sys
import numpy
from text_recognizer.datasets.characters.emnist import EmnistDataset
from training.attempts.batches import BatchOrder
"""
PREPARE = f"{IDLE}dataset = EmnistDataset()\ndataset.prepare()\n"
READER = f"""{PREPARE}
split = dataset.split("train")
order = BatchOrder(len(split), 256, seed={{}})
for step in range(order.batches_per_pass):  # one whole pass, as an epoch reads it
    split.batch(order.positions(step))
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        environ = write_emnist_like(Path(folder), IMAGES, 1_000)
        python(["-c", PREPARE], environ)
        store = next(Path(environ["TEXT_RECOGNIZER_DATA"]).glob("processed/*/train.images.npy"))
        size_mb = store.stat().st_size / 1e6
        *readers, idle = [_started(code, environ) for code in [*map(READER.format, range(RUNS)), IDLE]]
        time.sleep(0.2)
        mapped = sum(_store_pss_mb(reader.pid, str(store)) for reader in readers)
        beyond_idle = sum(smaps_mb(reader.pid, *PRIVATE) for reader in readers) - RUNS * smaps_mb(idle.pid, *PRIVATE)
        for process in (*readers, idle):
            process.communicate()
    # The mapped pages of the store, shared by all, and whatever the readers hold privately beyond an idle process.
    return [
        Figure(f"memory of {RUNS} readers / size of the store", mapped + max(0.0, beyond_idle), size_mb, "MB", "<= 1.1")
    ]


def _started(code: str, environ: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A process that has done its work and waits for the end of its input."""
    command = [sys.executable, "-c", f"{code}\nprint('read', flush=True)\nsys.stdin.read()"]
    process = subprocess.Popen(command, env={**os.environ, **environ}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"read\n"
    return process


def _store_pss_mb(pid: int, path: str) -> float:
    """This process's proportional share of the store's pages in memory."""
    total_kib, counting = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            counting = line.endswith(path)
        elif counting and line.startswith("Pss:"):
            total_kib += int(line.split()[1])
    return total_kib * 1024 / 1e6


def smaps_mb(pid: int, *kinds: str) -> float:
    """Memory of a process by /proc/PID/smaps_rollup; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) * 1024 / 1e6
