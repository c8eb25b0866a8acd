"""How long the same trials take here and on two-node clusters.

    python -m training.tests.cluster.cluster_times FOLDER [TRIALS]

Two at a time everywhere. Beside our executors: a Slurm job a trial, a fresh Ray actor a trial, and Ray Tune, where what
`ray[tune]` installs is there, with a fresh actor a trial, as is its default. The trials phase is from
the start of the first trial to the end of the last. Each node has one of this machine's cores for itself, as
each trial here has: with both, its trials would have two threads each, and the same work on a node would take longer.
First, an agent alone: how long it takes from an order in its mailbox until the run's process has opened its log.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import ExperimentSpec
from training.devices.requests import DeviceRequest
from training.executors.base import Setting
from training.executors.cluster.slurm import SlurmCluster
from training.runs.run import Run
from training.tests.cluster.cluster_support import Driver, SlurmNodes, commanded, processes

SPEC = ExperimentSpec.parse(
    {
        "dataset": "DigitsDataset",
        "model": "CharacterModel",
        "network": "mlp",
        "train_args": {"epochs": 1, "steps_per_epoch": 2},
    }
)
TRIALS = int(sys.argv[2]) if len(sys.argv) > 2 else 16
CORES = sorted(os.sched_getaffinity(0))[:2]


def phase_s(runs: Path) -> float:
    times = [json.loads(file.read_text())["times"] for file in runs.glob("*/*/status.json")]
    assert len(times) == TRIALS, runs
    return float(max(each["ended"] for each in times) - min(each["started"] for each in times))


def starts_ms(sweep: Path) -> list[float]:
    """From the end of a trial to the start of the next in its place, of all trials but the first two."""
    times = [json.loads(file.read_text())["times"] for file in sweep.glob("*/status.json")]
    ends = sorted(each["ended"] for each in times)
    return [
        1000 * (start - end) for start, end in zip(sorted(each["started"] for each in times)[2:], ends, strict=False)
    ]


def swept(folder: Path, *options: str) -> tuple[float, float, float]:
    """Wall time, trials phase, and the median time between an end and the next start, in ms."""
    folder.mkdir()
    began = time.monotonic()
    driver = Driver(folder, *options, sizes=TRIALS)
    while driver.exit_code() is None:
        time.sleep(0.05)
    driver.finish()
    return time.monotonic() - began, phase_s(folder / "runs"), statistics.median(starts_ms(driver.sweep))


def order_to_process_ms(folder: Path, spec: ExperimentSpec, runs: int = 20) -> float:
    """The median of so many runs, one after the other, after a first that waits for TensorFlow to be imported."""
    request = DeviceRequest.parse("none")
    cluster = SlurmCluster(Setting(jobs=1, request=request, folder=folder), 1, [])  # it meets any agent in its folder
    cluster.begin()
    process = subprocess.Popen(["/bin/sh", "-c", cluster.script("alone")], start_new_session=True)
    while not (found := cluster.new_agents()):
        time.sleep(0.05)
    agent, took = found[0][0], list[float]()
    for number in range(runs + 1):
        run = Run.create(spec, f"run-{number}", folder)
        log, began = run.folder / "log.txt", time.monotonic()
        agent.send({"run": number, "folder": str(run.folder.resolve()), "launch": {}})
        while not log.exists():
            time.sleep(0.0005)
        took.append(1000 * (time.monotonic() - began))
        while not any("ended" in message for message in agent.receive()):
            cluster.new_agents()  # which shows the agent that its driver lives
            time.sleep(0.005)
    agent.send({"leave": False})
    process.wait()
    return statistics.median(took[1:])


def specs(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/grid/*/spec.json"))


def a_job_each(here: Path, runs: Path) -> float:
    began = time.monotonic()
    settings = f"env TEXT_RECOGNIZER_RUNS={runs} PYTHONPATH={REPOSITORY}"
    for spec in specs(here):
        command = f"{settings} {sys.executable} -m training.run_experiment {spec} --nowandb --gpu=none"
        commanded("sbatch", "--cpus-per-task=2", "--exclude=n3", "-o", f"{runs}.txt", "--wrap", command)
    while commanded("squeue", "-h"):
        time.sleep(0.05)
    return time.monotonic() - began


def an_actor_each(ray: Any, here: Path, runs: Path) -> float:
    class Fresh:
        def run(self, arguments: list[str], environ: dict[str, str]) -> int:
            os.environ.update(environ)
            from training.run_experiment import main

            return main(arguments)

    began = time.monotonic()
    actors: dict[Any, Any] = {}
    left = [str(spec) for spec in specs(here)]
    environ = {"TEXT_RECOGNIZER_RUNS": str(runs)}
    while left or actors:
        while left and len(actors) < 2:
            actor = ray.remote(num_cpus=1)(Fresh).remote()
            actors[actor.run.remote([left.pop(), "--nowandb", "--gpu=none"], environ)] = actor
        done, _ = ray.wait(list(actors), num_returns=1)
        assert ray.get(done) == [0]
        ray.kill(actors.pop(done[0]))
    return time.monotonic() - began


def with_ray_tune(here: Path, folder: Path) -> float:
    from ray import tune

    class Fresh(tune.Trainable):  # a function would be in a thread, where no process handles signals
        def step(self) -> dict[str, Any]:
            os.environ["TEXT_RECOGNIZER_RUNS"] = str(folder / "runs")
            from training.run_experiment import main

            return {"exit_code": main([self.config["spec"], "--nowandb", "--gpu=none"]), "done": True}

        def save_checkpoint(self, _: str) -> dict[str, Any]:
            return {}

    began = time.monotonic()
    results = tune.Tuner(
        Fresh,
        param_space={"spec": tune.grid_search([str(spec) for spec in specs(here)])},
        tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=False),
        run_config=tune.RunConfig(storage_path=str(folder / "results"), verbose=0),
    ).fit()
    assert all((results[number].metrics or {})["exit_code"] == 0 for number in range(TRIALS))
    return time.monotonic() - began


def main(folder: Path) -> None:
    from ray.cluster_utils import Cluster

    folder.mkdir(parents=True)
    found: dict[str, tuple[float, ...]] = {"order to process, ms": (order_to_process_ms(folder / "alone", SPEC),)}
    found["local"] = swept(folder / "here", "--jobs=2")
    show = lambda: print(json.dumps(found, indent=1), flush=True)  # noqa: E731
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for core in CORES:
        os.sched_setaffinity(0, {core})  # which processes inherit
        cluster.add_node(num_cpus=1)
    os.sched_setaffinity(0, CORES)
    cluster.wait_for_nodes()
    found["ray"] = swept(folder / "ray", "--executor=ray", f"--ray-address={cluster.address}", "--jobs=2")
    show()
    import ray

    ray.init(cluster.address, log_to_driver=False)
    found["a Ray actor a trial"] = (an_actor_each(ray, folder / "here", folder / "actors"),)
    with contextlib.suppress(ImportError):
        found["Ray Tune"] = (with_ray_tune(folder / "here", folder / "tune"),)
    ray.shutdown()
    cluster.shutdown()
    with SlurmNodes(folder / "slurmd"):
        for number, core in enumerate(CORES, start=1):
            for pid in processes(f"slurmd -N n{number}"):
                commanded("taskset", "--all-tasks", "--cpu-list", "--pid", str(core), str(pid))
        found["slurm"] = swept(folder / "slurm", "--executor=slurm", "--nodes=2", "--jobs=2")
        show()
        found["a Slurm job a trial"] = (a_job_each(folder / "here", folder / "jobs"),)
    found["local again"] = swept(folder / "again", "--jobs=2")
    show()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
