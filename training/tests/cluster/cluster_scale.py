"""The driver's own cost with agents that only pretend to work; everything but the work is real.

python -m training.tests.cluster.cluster_scale TRIALS AGENTS [random|grid|bayes]
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from training import run_sweep
from training.executors.base import Ended, Setting
from training.executors.cluster.folder_cluster import SETTING, FolderCluster
from training.executors.cluster.mailbox import Beat, Inbox, Outbox, make_mailbox
from training.executors.cluster.messages import hello
from training.executors.cluster.pool import ClusterExecutor
from training.files.json_objects import read_object
from training.runs.run import Run

PROCESSES, CAPACITY = 2, 4
SWEEP = """
method: METHOD
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {SIZES}
  train_args.epochs: {value: 1}
"""


class PretendingCluster(FolderCluster):
    def keep_up(self) -> None:
        if not self._processes:
            command = [sys.executable, "-m", "training.tests.cluster.cluster_scale", "agents", str(self.folder)]
            share = str(self.nodes // PROCESSES)
            self._processes = tuple(subprocess.Popen([*command, str(index), share]) for index in range(PROCESSES))

    _processes: tuple["subprocess.Popen[bytes]", ...] = ()

    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        return None

    def waiting_for(self) -> str:
        return "waiting for pretending agents"

    def end_agents(self) -> None:
        for process in self._processes:
            process.wait()


class PretendingExecutor(ClusterExecutor):
    @classmethod
    def open(cls, setting: Setting, agents: int = 100) -> "PretendingExecutor":
        return cls(PretendingCluster(setting, agents), None)


class PretendingAgent:
    def __init__(self, folder: Path, name: str) -> None:
        make_mailbox(folder / name)
        self._orders, self._reports = Inbox(folder / name / "orders.jsonl"), Outbox(folder / name / "reports.jsonl")
        self._beat = Beat(folder / name / "beat")
        self._reports.send({"hello": hello(name, CAPACITY)})

    def step(self) -> bool:
        """Pretends to execute what it was given; whether it was told to leave."""
        self._beat.beat()
        for message in self._orders.receive():
            if "leave" in message:
                self._reports.send({"left": "told to"})
                return True
            self._reports.send({"running": message["run"], "place": "CPU 0"})
            run = Run.open(Path(message["folder"]))
            run.hold()
            run.set_state("running", epochs=1)
            run.log({"epoch": 1, "val_loss": 1.0, "time": time.time()})
            run.set_state("finished", epoch=1, summary={"val_loss": 1.0})
            run.release()
            self._reports.send({"ended": message["run"], "how": asdict(Ended(0, "finished"))})
        return False


def pretend(folder: Path, index: int, count: int) -> None:
    read_object(folder / SETTING)
    agents = [PretendingAgent(folder, f"agent-{index}-{number}") for number in range(count)]
    while agents:
        agents = [agent for agent in agents if not agent.step()]
        time.sleep(0.01)


def main(trials: int, agents: int, method: str = "random") -> None:
    sizes = f"values: {list(range(1, trials + 1))}" if method == "grid" else "min: 1, max: 1000000"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEXT_RECOGNIZER_RUNS"] = folder
        (Path(folder) / "scale.yaml").write_text(SWEEP.replace("METHOD", method).replace("SIZES", sizes))
        began = time.monotonic()
        options = ["--nowandb", "--gpu=none", f"--run-cap={trials}"]
        executor = f"--executor={__spec__.name}:PretendingExecutor:agents={agents}"
        code = run_sweep.main([f"{folder}/scale.yaml", executor, *options])
        used = resource.getrusage(resource.RUSAGE_SELF)
        with suppress(OSError):
            over = sum(json.loads(line).get("over", False) for line in open(f"{folder}/scale/trials.jsonl"))  # noqa: SIM115
        cpu_s = used.ru_utime + used.ru_stime
        print(
            f"exit {code}; {over} of {trials:,} trials over, {agents} agents: {time.monotonic() - began:.0f} s, driver "
            f"{cpu_s:.0f} s of processor time ({1000 * cpu_s / trials:.1f} ms a trial), {used.ru_maxrss / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    if sys.argv[1] == "agents":
        pretend(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
