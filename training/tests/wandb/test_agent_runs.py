"""Runs that W&B's agent starts: every way to pass values, and every way to end, with the real agent."""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from text_recognizer.errors import SpecError
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training import run_experiment, run_sweep
from training.runs.run import Run
from training.sweeps.wandb.agent_trial import AgentTrial
from training.tests.pausing_digits import PAUSING, pause
from training.tests.wandb.agent_command import agent_command, args_json
from training.tests.wandb.online_support import environ, register, runs_below
from training.tests.wandb.wandb_backend import WandbBackend, running_backend
from training.tests.wandb.wandb_backend_programs import Program
from training.tracking.wandb.mode import wandb_mode

VALUES: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.5},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args.layer_size": 16,
    "train_args": {"epochs": 3, "learning_rate": 0.001, "optimizer": "sgd", "optimizer_args": {"nesterov": False}},
    "seed": 7,
}


@pytest.fixture
def suggested(tmp_path, monkeypatch):
    """The environment of a trial, as the agent sets it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    path = tmp_path / "config-abc12xyz.yaml"
    path.write_text(yaml.safe_dump({"wandb_version": 1, **{name: {"value": value} for name, value in VALUES.items()}}))
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
    monkeypatch.setenv("WANDB_SWEEP_ID", "k3x9f2ab")
    monkeypatch.setenv("WANDB_RUN_ID", "abc12xyz")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return tmp_path


@pytest.fixture
def started(monkeypatch) -> list[Any]:
    """What would be run."""
    found: list[Any] = []

    def train(run_id: str, experiment: Any, arguments: Any, trial: Any) -> int:
        found.append((experiment.spec, trial))
        return 0

    monkeypatch.setattr(run_experiment, "_train", train)
    return found


COMMANDS = [
    None,
    ["${env}", "${interpreter}", "${program}"],
    *(
        ["${interpreter}", "${program}", f"${{{macro}}}"]
        for macro in (
            "args",
            "args_no_equals",
            "args_no_hyphens",
            "args_no_boolean_flags",
            "args_json",
            "args_json_file",
            "args_dict",
            "args_append_hydra",
            "args_override_hydra",
        )
    ),
]


@pytest.mark.parametrize("program", [run_experiment, run_sweep], ids=["run_experiment", "run_sweep"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: (command or ["default"])[-1])
def test_every_way_to_pass_the_values_gives_the_same_spec(command, program, suggested, started):
    (suggested / "values.json").write_text(args_json(VALUES))
    words = agent_command(VALUES, "program.py", command, args_json_file="values.json")
    assert program.run(words[words.index("program.py") + 1 :]) == 0
    ((spec, trial),) = started
    assert (spec.dataset, spec.network, spec.seed) == ("DigitsDataset", "mlp", 7)
    assert (spec.dataset_args["subsample_fraction"], spec.network_args["layer_size"]) == (0.5, 16)
    assert (spec.train_args["epochs"], spec.train_args["optimizer_args"]["nesterov"]) == (3, False)
    assert spec.experiment_group == "sweep-k3x9f2ab"
    assert (trial.run_id, trial.link.path, trial.link.values) == ("abc12xyz", "k3x9f2ab", VALUES)


def test_the_sweeps_values_keep_their_types_and_other_arguments_stay(suggested, started):
    values = {"network_args": {"layer_size": 8}, "dataset": "DigitsDataset"}
    file = {name: {"value": value} for name, value in values.items()}
    (suggested / "config-abc12xyz.yaml").write_text(yaml.safe_dump({"wandb_version": 1, **file}))
    run_experiment.run(["--network_args={'layer_size': 8}", "--dataset=DigitsDataset", "--seed=5", "--network=mlp"])
    ((spec, _),) = started
    assert (spec.seed, spec.network, spec.network_args["layer_size"]) == (5, "mlp", 8)
    assert spec.train_args["epochs"] == 40  # of the default experiment, which the values are put on


def test_without_a_sweep_at_wandb_the_values_count_all_the_same(suggested, started, monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_ID")
    assert run_experiment.run([]) == 0
    ((spec, trial),) = started
    assert (spec.seed, spec.experiment_group, trial.link, trial.run_id) == (7, "default", None, "abc12xyz")


def test_runs_of_an_agent_are_online_unless_asked_otherwise(suggested, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode(None, print) == "online"
    assert wandb_mode("offline", print) == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode(None, print) == "disabled"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_RUN_ID", "../elsewhere", "WANDB_RUN_ID must be a name that a folder can have"),
        ("WANDB_SWEEP_PARAM_PATH", "nosuch.yaml", "the values in nosuch.yaml cannot be read"),
    ],
)
def test_a_broken_environment_is_told_in_words(name, value, message, suggested, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match=message):
        run_experiment.run([])


def test_values_that_stand_for_gigabytes_are_refused_before_they_are_built(suggested):
    aliases = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    (suggested / "config-abc12xyz.yaml").write_text("\n".join(["a0: &a0 [x, x]", *aliases]))
    with pytest.raises(SpecError, match="line 6, column 15: not valid YAML: more than 50,000 values"):
        run_experiment.run([])


def test_a_run_that_was_preempted_is_found_in_a_group_whose_name_is_no_folder_name(suggested):
    trial = AgentTrial.from_environ()
    assert trial is not None
    assert trial.earlier_run("my group") is None
    spec = ExperimentSpec.parse({"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"})
    made = Run.create(dataclasses.replace(spec, experiment_group="my group"), trial.run_id)
    found = trial.earlier_run("my group")
    assert found is not None
    assert found.folder == made.folder


# The real agent

STORY = """
program: training/run_experiment.py
method: grid
project: stories
metric: {name: val_loss}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.2}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 16]}
  train_args: {parameters: {epochs: {value: 1000000}, checkpoint_interval_s: {value: 0}}}
"""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WandbBackend]:
    with running_backend(tmp_path) as backend:
        yield backend


def reports(backend: WandbBackend, run_id: str) -> int:
    return len(backend.runs[run_id].history) if run_id in backend.runs else 0


def process_of(run: Run) -> int:
    return int(run.read_json("launch.json")["attempts"][-1]["process"])


def ended(run: Run, state: str) -> bool:
    return run.status().state == state


def test_runs_are_preempted_resumed_and_stopped_by_the_agent(backend, digits_prepared):
    path = register(backend, STORY.replace("DigitsDataset", PAUSING))
    sweep = backend.sweeps["sweep001"]
    # A row is sent when the next begins: a pause after three shows two.
    surroundings = environ(backend) | pause(backend.folder / "gate", after=3)
    agent = Program(backend, "wandb", "agent", path, environ=surroundings)
    backend.wait_until(lambda: reports(backend, "s001r001") >= 2, program=agent)
    first = runs_below(backend.folder)["s001r001"]
    assert (first.folder.parent.name, first.spec.network_args["layer_size"]) == ("sweep-sweep001", 8)

    # Preempted by a batch system's warning: the same agent gets it again, and it goes on.
    os.kill(process_of(first), signal.SIGUSR1)
    agent.until(lambda: len(first.read_json("launch.json")["attempts"]) == 2)
    # Of the first process are at most four.
    backend.wait_until(lambda: reports(backend, "s001r001") >= 5, program=agent)
    assert len(first.read_json("launch.json")["attempts"]) == 2

    # Stopped by the agent, as early termination does it.
    backend.stop_by_agent("s001r001")
    agent.until(lambda: ended(first, "stopped"))
    assert first.status().error == "stopped by W&B's agent"
    backend.wait_until(lambda: reports(backend, "s001r002") >= 2, program=agent)
    stopped = backend.runs["s001r001"]
    assert (stopped.state, stopped.exit_code, stopped.sweep) == ("finished", 0, "sweep001")
    assert [row["_step"] for row in stopped.history] == list(range(1, len(first.rows()) + 1))
    assert stopped.resent == []

    # The machine goes down with agent and run: another agent takes the run up.
    second = runs_below(backend.folder)["s001r002"]
    child = process_of(second)
    agent.kill()
    agent.wait(PATIENCE_S)
    os.kill(child, signal.SIGTERM)
    wait_until(lambda: ended(second, "preempted"))
    before = len(second.rows())
    backend.wait_until(lambda: backend.runs["s001r002"].state == "preempted")
    another = Program(backend, "wandb", "agent", path, environ=surroundings)
    backend.wait_until(lambda: reports(backend, "s001r002") > before, program=another)
    backend.stop_by_agent("s001r002")
    another.succeed()
    assert sweep.state == "FINISHED"
    assert [row["_step"] for row in backend.runs["s001r002"].history] == list(range(1, len(second.rows()) + 1))
    config = backend.runs["s001r002"].config
    assert (config["network_args.layer_size"], config["network_args"]["layer_size"]) == (16, 16)
    told = [(command["type"], command.get("run_id")) for agent in sweep.agents for command in agent.commands]
    assert ("resume", "s001r001") in told
    assert ("resume", "s001r002") in told
    assert json.loads((second.folder / "wandb" / "sweep.json").read_text())["id"] == "sweep001"
