"""One training on two processes gives the numbers of one, and survives the death of either."""

import json
import re
import signal
import socket
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.line_samples import write_lines
from text_recognizer.tests.waiting import PATIENCE_S
from training import run_experiment
from training.attempts import follow, peers
from training.attempts.cluster import Cluster
from training.runs.run import Run
from training.tests.attempts.test_resume import Workplace, facts
from training.tests.free_addresses import free_addresses
from training.tests.pausing_digits import pause

SHARED = "--train_args.distribution=multi_worker"
DIGITS = {"dataset": "DigitsDataset", "dataset_args": {"subsample_fraction": 0.1}, "model": "CharacterModel"}


@pytest.fixture
def addresses():
    with free_addresses(2) as addresses:
        yield addresses


def tf_config(addresses: list[str], index: Any, kind: str = "worker") -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


def start_both(place: Workplace, *arguments: str, **of_chief: str) -> Any:
    with free_addresses(2) as addresses:
        environs = [{"TF_CONFIG": tf_config(addresses, rank)} | (of_chief if rank == 0 else {}) for rank in (0, 1)]
        return [place.start(*arguments, SHARED, **environ) for environ in environs]


def losses(run: Run) -> Any:
    return np.array([[row["loss"], row["val_loss"]] for row in run.rows() if "loss" in row])


@pytest.mark.parametrize("network", ["lenet", "line_reader"])
def test_two_processes_give_the_losses_of_one(network, tmp_path, warm, digits_prepared):
    train_args = {"batch_size": 7, "epochs": 2, "steps_per_epoch": 2, "optimizer": "sgd", "learning_rate": 0.05}
    lines = {"dataset": "LineListDataset", "model": "LineModelCtc", "dataset_args": {"path": "lines", "height": 20}}
    spec = {
        "lenet": {**DIGITS, "network": "lenet", "train_args": train_args},
        "line_reader": {**lines, "network": "line_reader", "network_args": {"filters": 4, "units": 8, "layers": 1}},
    }[network]
    write_lines(tmp_path / "lines")
    both, one = (Workplace(tmp_path / name, warm) for name in ("both", "one") if (tmp_path / name).mkdir() is None)
    text = json.dumps({"train_args": {**train_args, "augmentation": "line_affine"}, **spec})
    text = text.replace('"lines"', json.dumps(str(tmp_path / "lines")))
    processes = [*start_both(both, text), one.start(text)]
    assert [process.wait(PATIENCE_S) for process in processes] == [0, 0, 0], both.output() + one.output()
    assert "process 1 of 2" in (both.run().folder / "log-1.txt").read_text()
    assert losses(both.run()) == pytest.approx(losses(one.run()), rel=1e-5)
    if network == "lenet":  # what two have begun, one goes on with
        longer = ("--resume", "last", "--extend", "epochs=3")
        with free_addresses(1) as alone:
            processes = [both.start(*longer, TF_CONFIG=tf_config(alone, 0)), one.start(*longer)]
        assert [process.wait(PATIENCE_S) for process in processes] == [0, 0], both.output() + one.output()
        assert len(losses(one.run())) == 3
        assert losses(both.run()) == pytest.approx(losses(one.run()), rel=1e-5)


@pytest.mark.parametrize("rank", [0, 1])
def test_after_the_death_of_a_process_the_others_say_so_and_all_resume_to_the_same_bits(
    rank, undisturbed_by_two, tmp_path, warm
):
    place = Workplace(tmp_path, warm)
    processes = start_both(place, "spec.json", **pause(tmp_path / "gate", after=2))
    place.wait_for(processes[0], (tmp_path / "gate.reached").exists)
    assert [process.poll() for process in processes] == [None, None], place.output()
    processes[rank].send_signal(signal.SIGKILL)
    processes[rank].wait(PATIENCE_S)
    (tmp_path / "gate").unlink()
    assert processes[1 - rank].wait(PATIENCE_S) == 2, place.output()
    assert f"process {rank} (127.0.0.1:" in place.output()
    assert place.run().status().state == ("died" if rank == 0 else "preempted")
    assert [process.wait(PATIENCE_S) for process in start_both(place, "--resume", "last")] == [0, 0], place.output()
    assert facts(place.run()) == undisturbed_by_two


@pytest.fixture(scope="module")
def undisturbed_by_two(tmp_path_factory, warm, digits_prepared):
    place = Workplace(tmp_path_factory.mktemp("undisturbed"), warm)
    assert [process.wait(PATIENCE_S) for process in start_both(place, "spec.json")] == [0, 0], place.output()
    return facts(place.run())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "TF_CONFIG must be like"),
        ("[" * 100_000, "TF_CONFIG must be like"),
        ('{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}', "TF_CONFIG must be like"),
        ('{"cluster": {"ps": ["h:1"], "worker": ["h:2"]}, "task": {"type": "ps", "index": 0}}', "the jobs ps; only"),
        (tf_config(["h1:1", "h1:1"], 0), "an address of its own"),
        (tf_config(["h1"], 0), "an address of its own, as HOST:PORT"),
        (tf_config(["h1:70000"], 0), "HOST:PORT"),
        (tf_config([], 0), "which its cluster has not"),
        (tf_config(["h1:1", "h2:1"], 2), "the task 'worker' 2, which its cluster has not"),
        (tf_config(["h1:1", "h2:1"], True), "the task 'worker' True"),
        (tf_config(["h1:1", "h2:1"], 0, "evaluator"), "the task 'evaluator' 0"),
    ],
)
def test_a_wrong_tf_config_is_refused_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        Cluster.from_environ({"TF_CONFIG": text})


def test_the_chief_comes_before_the_workers():
    jobs = {"chief": ["h0:1"], "worker": ["h1:1", "[::1]:2"]}
    clusters = [
        Cluster.from_environ({"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})})
        for kind, index in (("chief", 0), ("worker", 0), ("worker", "1"))  # TensorFlow takes both
    ]
    assert [cluster.rank for cluster in clusters] == [0, 1, 2]
    assert clusters[0].host_and_port(2) == ("::1", 2)


def test_the_tasks_of_a_slurm_step_are_the_processes_of_a_training():
    environ = {
        "SLURM_JOB_ID": "1003",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "node[08-09,11],r[1-2]gpu[1],cpu1",
        "SLURM_STEP_TASKS_PER_NODE": "2,1(x4),2",
    }
    cluster = Cluster.from_environ(environ)
    assert cluster.rank == 2
    hosts = ("node08", "node08", "node09", "node11", "r1gpu1", "r2gpu1", "cpu1", "cpu1")
    assert cluster.addresses == tuple(f"{host}:{14192 + rank}" for rank, host in enumerate(hosts))
    del environ["SLURM_STEP_NODELIST"]
    with pytest.raises(SpecError, match="SLURM_STEP_NODELIST.*Start the run by srun"):
        Cluster.from_environ(environ)
    with pytest.raises(SpecError, match="needs TF_CONFIG in the environment"):
        Cluster.from_environ({})


def test_this_process_is_that_of_the_host_it_is_on():
    cluster = Cluster.of_hosts("192.0.2.7,127.0.0.1:2222,[2001:db8::7]:3333")  # two addresses of nobody
    assert (cluster.rank, cluster.addresses) == (1, ("192.0.2.7:12345", "127.0.0.1:2222", "[2001:db8::7]:3333"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.7", "must have one name or address of this host, .*; 0 are"),
        ("127.0.0.1:1,127.0.0.1:2", "; 2 are.*set TF_CONFIG instead"),
        ("a,,b", "takes HOST,… or HOST:PORT,…"),
        ("a,a:12345", "each once"),
        ("a:0", "takes HOST"),
    ],
)
def test_a_wrong_list_of_hosts_is_refused_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        Cluster.of_hosts(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hosts=192.0.2.7"], "--hosts must have one name or address of this host"),
        (["--nodes=2"], "there is no Slurm here: the command s[a-z]+ is missing"),
        (["--nodes=2", "--hosts=a"], "no --hosts"),
        (["--slurm=partition=main"], "--slurm needs --nodes"),
        (["--ray-address=auto"], "--ray-address needs --nodes"),
        (["--nodes=2", "--slurm=partition=main", "--ray-address=auto"], "cannot be combined"),
    ],
)
def test_what_cannot_be_started_on_several_hosts_is_refused_before_a_run_is_made(
    options, said, tmp_path, monkeypatch, capsys, digits_prepared
):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = json.dumps({**DIGITS, "network": "mlp"})
    assert run_experiment.main([spec, "--gpu=none", "--nowandb", *options]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / "runs").exists()


def test_a_chief_whose_name_stands_for_loopback_listens_to_other_hosts_all_the_same():
    with peers._listening(Cluster(("127.0.1.1:0", "127.0.0.1:1"), 0)) as server:
        assert server.getsockname()[0] == "0.0.0.0"


def experiment(**changes: Any) -> Any:
    value = {**DIGITS, "network": "mlp", "train_args": {"distribution": "multi_worker"}, **changes}
    return assemble(ExperimentSpec.parse(value))


def joined(cluster: Cluster, spec: Any, errors: dict[int, str]) -> None:
    try:
        with peers.meeting(spec, cluster):
            pass
    except RunError as error:
        errors[cluster.rank] = str(error)


def test_processes_with_different_specs_do_not_train(addresses, digits_prepared):
    errors: dict[int, str] = {}
    specs = experiment(), experiment(seed=1)
    threads = [
        threading.Thread(target=joined, args=(Cluster(tuple(addresses), rank), spec, errors))
        for rank, spec in enumerate(specs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for said in (errors[0], errors[1]):
        assert f"process 1 ({addresses[1]}) and process 0 ({addresses[0]}) differ in spec" in said


def test_what_breaks_in_a_process_because_the_chief_has_failed_is_no_error_of_its_own(tmp_path, monkeypatch, capfd):
    cluster, (here, there) = Cluster(("h:1", "h:2"), 0), socket.socketpair()
    chief, other = peers.Peers(cluster, {1: here}), peers.Peers(replace(cluster, rank=1), {0: there})

    def break_off() -> None:
        chief.exit_code = 1
        chief.close()
        raise RuntimeError("Collective ops is aborted by: Socket closed")

    monkeypatch.setattr(follow, "Training", lambda *_: SimpleNamespace(follow=break_off))
    monkeypatch.setattr(follow, "start_tensorflow", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    chief.tell(run={"folder": str(tmp_path), "environ": {}})
    lease: Any = SimpleNamespace(environ={})
    assert follow.follow(experiment(), lease, other) == 1
    assert "the chief ended with exit code 1; its log says why" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("rank", "said"), [(0, "process 1 .* did not connect within 0.1 s"), (1, "the chief, did not answer within 0.1 s")]
)
def test_a_process_that_does_not_come_is_waited_for_so_long(rank, said, addresses, monkeypatch, digits_prepared):
    monkeypatch.setattr(peers, "PATIENCE_S", 0.1)
    with pytest.raises(RunError, match=said), peers.meeting(experiment(), Cluster(tuple(addresses), rank)):
        pass


def test_a_host_whose_name_is_unknown_is_named_at_once(addresses, monkeypatch, digits_prepared):
    warned, said = threading.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("warning: "):
            warned.set()

    monkeypatch.setattr(peers, "say", say)
    monkeypatch.setattr(peers, "PATIENCE_S", 0.1)
    unknown = "h" * 70  # no label of a host name is longer than 63 characters
    with pytest.raises(RunError), peers.meeting(experiment(), Cluster((addresses[0], f"{unknown}:12345"), 0)):
        pass
    assert warned.wait(PATIENCE_S)
    assert f"this host does not know the name of process 1 ({unknown}:12345): " in said[-1]
