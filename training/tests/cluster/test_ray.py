"""Sweeps on a real Ray: three nodes on this machine, where Ray is installed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from text_recognizer.errors import DeviceError, RunError, SpecError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.devices.requests import DeviceRequest
from training.executors.base import Setting
from training.executors.cluster import ray, ray_training
from training.executors.cluster.ray import RayCluster, RayExecutor, connect
from training.run_experiment import main
from training.runs.run import Run
from training.sweeps.options import executor_of, parser
from training.tests.cluster.cluster_support import Driver, parent_of, processes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="needs Ray: pip install 'text-recognizer[ray]'")
    # Ray's niceness of 15 leaves little to agents on a loaded machine.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(3):
            cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def agents(sweep: Path) -> dict[str, int]:
    """The process of the actor of each agent that is there, by the node's id."""
    actors = {}
    for pid in processes(f"node_agent {sweep}/agents "):
        try:
            actors[Path(f"/proc/{pid}/cmdline").read_text().split("\0")[-2][:8]] = parent_of(pid)
        except OSError:
            continue  # it ended a moment ago
    return actors


def test_one_training_on_two_nodes_of_ray_ends_at_a_checkpoint_when_interrupted(
    cluster, tmp_path, monkeypatch, digits_prepared, warm, capsys
):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    data = {"dataset": "DigitsDataset", "dataset_args": {"subsample_fraction": 0.1}, "model": "CharacterModel"}
    spec = {**data, "network": "mlp", "train_args": {"batch_size": 7, "epochs": 100_000, "steps_per_epoch": 2}}
    options = [json.dumps(spec), "--nowandb", "--gpu=none", "--id=two", f"--ray-address={cluster.address}", "--nodes=2"]
    for wrong, text in {
        "--nodes=9": "at most as many as Ray has: 3. Received: 9",
        "--gpu=2x": "as many as Ray has with 2 GPUs: 0. Received: 2",
    }.items():
        assert main([*options, wrong]) == 2
        assert text in capsys.readouterr().err
    with open(tmp_path / "said.txt", "w") as said:
        command = [str(warm.programs / "python"), "-m", "training.run_experiment", *options]
        driver = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    folder = tmp_path / "default" / "two"
    wait_until(lambda: driver.poll() is not None or (folder / "metrics.jsonl").exists())
    driver.send_signal(signal.SIGINT)
    assert driver.wait(PATIENCE_S) == 130, (tmp_path / "said.txt").read_text()
    assert "devices     2, which share every batch" in (tmp_path / "said.txt").read_text()
    assert Run.open(folder).status().state == "stopped"


# Ray lists a node that this test removes for a while: what needs all of them stands above.
def test_a_disturbed_sweep_on_ray_ends_with_the_leaderboard_of_this_machine(
    cluster, tmp_path, digits_prepared, table_of_this_machine
):
    (tmp_path / "there").mkdir()
    options = ("--executor=ray", f"--ray-address={cluster.address}", "--nodes=2", "--retries=0")
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 1)
    driver.kill()
    driver = Driver(tmp_path / "there", *options)
    wait_until(lambda: driver.ends() >= 2 and len(agents(driver.sweep)) == 2)
    lost, killed = agents(driver.sweep).items()
    cluster.remove_node(next(node for node in cluster.list_all_nodes() if node.node_id.startswith(lost[0])), False)
    wait_until(lambda: driver.ends() >= 3)
    os.kill(killed[1], signal.SIGKILL)
    output = driver.finish()
    assert driver.table() == table_of_this_machine
    assert driver.times_over() == [1] * 6
    assert driver.failures() <= {"preempted"}, output
    wait_until(lambda: not agents(driver.sweep))


def test_a_node_that_ray_does_not_yet_know_to_be_dead_has_no_process_of_a_training(cluster, tmp_path):
    first = cluster.add_node(num_cpus=1, num_gpus=1)  # nodes with GPUs come first
    cluster.wait_for_nodes()
    cluster.remove_node(first, False)
    call = "nodes_to_train_on(int(sys.argv[2]), sys.argv[1], DeviceRequest(0))(['touch', sys.argv[3]])"
    modules = (
        "from training.devices.requests import DeviceRequest\nfrom training.executors.cluster.ray_training import *"
    )
    begin = [sys.executable, "-c", f"import sys\n{modules}\nsys.exit({call})", cluster.address]
    done = subprocess.run([*begin, "1", str(tmp_path / "trained")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "trained").exists()


DEAD, LIVING = "d" * 56, "e" * 56


class LostActors:
    """A Ray that takes two nodes for alive, one of which is dead: each actor there is lost at once."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(RayError=ConnectionError)
        self.started: list[str] = []

    def nodes(self) -> list[dict[str, Any]]:
        facts = {"NodeManagerHostname": "vm", "NodeManagerAddress": "127.0.0.1", "Alive": True, "Resources": {"CPU": 1}}
        return [{"NodeID": node, **facts} for node in (DEAD, LIVING)]

    def remote(self, num_cpus: int) -> Any:
        return lambda _: self

    def options(self, scheduling_strategy: Any) -> Any:
        self.started.append(scheduling_strategy.node_id)
        run = SimpleNamespace(remote=lambda _script: scheduling_strategy.node_id)
        return SimpleNamespace(remote=lambda: SimpleNamespace(run=run))

    def wait(self, results: list[str], **_: Any) -> tuple[list[str], list[str]]:
        return [result for result in results if result == DEAD], []

    def get(self, result: str) -> int:
        raise self.exceptions.RayError(result)

    def kill(self, actor: Any) -> None: ...


def test_a_node_that_loses_actors_before_ray_knows_it_dead_is_avoided_and_ends_no_sweep(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install 'text-recognizer[ray]'")
    lossy, now = LostActors(), [0.0]
    monkeypatch.setattr(ray, "ray_core", lambda: lossy)
    monkeypatch.setattr(ray, "time", SimpleNamespace(monotonic=lambda: now[0]))
    cluster = RayCluster(Setting(folder=tmp_path), 1)
    cluster.begin()
    for second in range(60):
        now[0] = float(second)
        cluster.keep_up()
    assert lossy.started == [DEAD, LIVING]
    assert "Ray lost its actor on vm" in cluster.waiting_for()


class ScriptsHere(LostActors):
    """A Ray that executes scripts here, without what is hidden from one node; the other never answers."""

    def __init__(self, hidden: Path) -> None:
        super().__init__()
        self.hidden = hidden
        self.is_connected = True

    def options(self, scheduling_strategy: Any, **_: Any) -> Any:
        run = SimpleNamespace(remote=lambda script: (scheduling_strategy.node_id, script))
        return SimpleNamespace(remote=lambda: SimpleNamespace(run=run))

    def wait(self, results: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return [result for result in results if result[0] != DEAD], []

    def get(self, result: Any) -> int:
        script = result[1].replace(str(self.hidden), "/not here")
        return subprocess.run(["/bin/sh", "-c", script], check=False).returncode

    def shutdown(self) -> None:
        self.is_connected = False


@pytest.mark.parametrize(
    ("nodes", "hidden", "why"),
    [
        (2, "/nothing", "1 of 2 nodes of Ray answer; --nodes 2 needs more"),
        (1, "runs", r"the node vm does not see .*: .* Set TEXT_RECOGNIZER_RUNS"),
        (1, sys.executable, "the node vm has no .*: the Python environment must be there too"),
        (1, "here", "the node vm has no .*: give the command in a folder that all nodes share"),
    ],
)
def test_nodes_of_ray_that_cannot_train_are_refused_before_anything_starts(nodes, hidden, why, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install 'text-recognizer[ray]'")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    here = ScriptsHere(tmp_path / hidden)
    for module in (ray, ray_training):
        monkeypatch.setattr(module, "ray_core", lambda: here)
    monkeypatch.setattr(ray_training, "connect", lambda *_, **__: None)
    with pytest.raises(RunError, match=why):
        ray_training.nodes_to_train_on(nodes, "auto", DeviceRequest(0))
    assert not here.is_connected
    assert not list((tmp_path / "runs").iterdir())


def greet_as_ssh(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def test_an_address_where_no_ray_answers_is_refused_at_once():
    pytest.importorskip("ray", reason="needs Ray: pip install 'text-recognizer[ray]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SpecError, match=rf"no Ray answers at 127\.0\.0\.1:{port}\. Start its head with: ray start"):
        connect(f"127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", 0)) as other:  # something else listens there
        greeter = threading.Thread(target=greet_as_ssh, args=[other])
        greeter.start()
        with pytest.raises(SpecError, match="no Ray answers"):
            connect(f"127.0.0.1:{other.getsockname()[1]}")
        greeter.join()
    with pytest.raises(SpecError, match="must be auto or HOST:PORT"):
        connect("10.0.0.1")


def test_more_gpus_than_a_node_has_are_refused_before_anything_starts(cluster, tmp_path):
    setting = Setting(request=DeviceRequest(3), folder=tmp_path)
    with pytest.raises(DeviceError, match=r"3 GPUs; a node has at most \d"):
        RayExecutor.open(setting, address=cluster.address)


def test_without_ray_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"no Ray here.*text-recognizer\[ray\]"):
        connect("auto")


def test_flags_of_another_executor_are_refused():
    arguments = parser("run_sweep").parse_args(["grid.yaml", "--executor=ray", "--partition=main"])
    with pytest.raises(SpecError, match="--partition needs --executor slurm"):
        executor_of(arguments)
    arguments = parser("run_sweep").parse_args(["grid.yaml", "--nodes=2"])
    with pytest.raises(SpecError, match="--nodes needs --executor slurm or --executor ray"):
        executor_of(arguments)
