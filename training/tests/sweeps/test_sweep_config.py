"""Sweeps that are read: the verdicts of W&B's engine and client, forms, defaults, lines, and whatever text there is."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from text_recognizer.errors import SpecError
from training.sweeps.file.config import Metric, SweepConfig
from training.sweeps.file.forms import filled
from training.sweeps.stopping_rules.hyperband import Hyperband
from training.tests.sweeps.peer_cases import peer_cases
from training.tests.sweeps.sweep_generator import Generator
from training.tests.sweeps.sweep_support import violations

# Cases that the engine suggests runs for, and that are refused here all the same: see the documented differences.
REFUSED_BEYOND = ("early_terminate` needs `metric`",)

FULL = """\
program: training/run_sweep.py
method: bayes
name: lines
description: width against depth
project: text-recognizer
entity: someone
run_cap: 40
command: ["${env}", python, "${program}", "${args}"]
metric:
  name: val_loss
  goal: maximize
  target: 0.9
  impute: latest
early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: false}
parameters:
  dataset: {value: EmnistDataset}
  network_args.layer_size: {values: [128, 256]}
  train_args:
    parameters:
      batch_size: {min: 16, max: 64}
      learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}
"""


@pytest.mark.parametrize("case", peer_cases("validation"))
def test_a_case_gets_the_verdict_of_the_engine_and_of_the_client(case: dict[str, Any]) -> None:
    assert (not violations(yaml.safe_load(case["yaml"]))) == case["engine_valid"]
    accepted_there = case["engine_valid"] and case["client_ok"] and case["engine_next_run"] == "ok"
    try:
        SweepConfig.from_yaml(case["yaml"])
    except SpecError as error:
        assert not accepted_there or all(any(reason in text for reason in REFUSED_BEYOND) for text in error.problems)
    else:
        assert accepted_there


@pytest.mark.parametrize("case", peer_cases("inference"))
def test_a_case_is_inferred_and_filled_in_as_by_the_engine(case: dict[str, Any]) -> None:
    assert filled(case["param"]) == (case["expect"] or {}).get("filled")


@pytest.mark.parametrize(
    ("given_config", "expected"),
    [
        ({"value": None}, {"value": None, "distribution": "constant"}),
        ({"values": [1]}, {"values": [1], "distribution": "categorical"}),
        ({"min": 1, "max": 9}, {"min": 1, "max": 9, "distribution": "int_uniform"}),
        ({"min": 1.0, "max": 9}, {"min": 1.0, "max": 9, "distribution": "uniform"}),
        ({"min": 1, "max": 9, "distribution": "uniform"}, {"min": 1, "max": 9, "distribution": "uniform"}),
        ({"distribution": "normal"}, {"distribution": "normal", "mu": 0.0, "sigma": 1.0}),
        ({"distribution": "q_beta", "b": 3}, {"distribution": "q_beta", "a": 1, "b": 3, "q": 1.0}),
        ({"distribution": "categorical", "values": [1], "probabilities": [1]}, None),
        ({"distribution": "int_uniform", "min": 1.0, "max": 9}, None),
        ({"min": True, "max": 9}, None),
        ({"min": 1}, None),
        ({"distribution": "normal", "sigma": -1}, None),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, None),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, None),
        ({"mu": 0, "sigma": 1}, None),
        ({"parameters": {"a": {"value": 1}}}, None),
        ({}, None),
    ],
)
def test_forms_are_recognised_by_their_keys_and_types(given_config: Any, expected: Any) -> None:
    assert filled(given_config) == expected


def test_everything_a_sweep_says_is_there() -> None:
    config = SweepConfig.from_yaml(FULL)
    assert (config.method, config.name, config.run_cap) == ("bayes", "lines", 40)
    assert config.program == "training/run_sweep.py"
    assert config.command == ("${env}", "python", "${program}", "${args}")
    assert config.metric == Metric("val_loss", "maximize", 0.9, "latest")
    assert config.early_terminate == {"type": "hyperband", "min_iter": 3, "eta": 2, "strict": False}
    assert [parameter.name for parameter in config.space.parameters] == [
        "dataset",
        "network_args.layer_size",
        "train_args.batch_size",
        "train_args.learning_rate",
    ]
    assert config.warnings == ()


def test_what_a_sweep_leaves_out_has_the_defaults_of_wandb() -> None:
    config = SweepConfig.from_yaml("{method: grid, metric: {name: m}, parameters: {a: {values: [1, 2]}}}")
    assert (config.run_cap, config.program, config.command, config.early_terminate) == (None, None, None, None)
    assert config.metric == Metric("m", "minimize", None, "worst", "false")


def test_a_sweep_of_the_old_tool_is_read_unchanged() -> None:
    config = SweepConfig.from_yaml(
        "program: training/run_sweep.py\nmethod: grid\nmetric:\n  name: val_loss\n  goal: minimize\nparameters:\n"
        "  dataset:\n    value: EmnistDataset\n  network_args.layer_size:\n    values: [128, 256]\n"
        "  network_args.num_layers:\n    values: [3, 6]\n  train_args.epochs:\n    value: 5\n"
    )
    assert config.space.grid.size == 4
    assert config.space.values_of(config.space.grid[1]) == {
        "dataset": "EmnistDataset",
        "network_args.layer_size": 128,
        "network_args.num_layers": 6,
        "train_args.epochs": 5,
    }


def test_lines_are_found_by_path_and_by_dotted_name() -> None:
    config = SweepConfig.from_yaml(FULL)
    assert config.line_of("method") == 2
    assert config.line_of("metric", "goal") == 11
    assert config.line_of("metric", "impute_while_running") == 9  # not there: the line of what surrounds it
    assert config.line_of_parameter("network_args.layer_size") == 17
    assert config.line_of_parameter("train_args.learning_rate") == 21
    assert config.line_of_parameter("no such") == 15


def test_the_target_is_reached_from_the_side_of_the_goal() -> None:
    assert [Metric("m", "minimize", 0.1).reached(value) for value in (0.2, 0.1, 0.05)] == [False, True, True]
    assert [Metric("m", "maximize", 0.9).reached(value) for value in (0.8, 0.9, 0.95)] == [False, True, True]
    assert not Metric("m").reached(0.0)


def test_what_is_registered_is_what_the_client_of_wandb_would_send() -> None:
    client = pytest.importorskip("wandb.apis.public.sweeps")
    text = FULL + "  width: {min: 1.0, max: 2.0}\n  depth: {min: 1, max: 3}\n  k: {value: {1: x, s: .inf}}\n"
    registered = SweepConfig.from_yaml(text).to_wandb()
    as_sent = json.loads(json.dumps(client._validate_config_and_fill_distribution(yaml.safe_load(text))))
    assert registered == as_sent
    assert registered["parameters"]["width"]["distribution"] == "uniform"
    assert registered["parameters"]["depth"]["distribution"] == "int_uniform"
    assert violations(registered) == []


def test_whatever_the_client_of_wandb_refuses_is_refused_here() -> None:
    client = pytest.importorskip("wandb.apis.public.sweeps")
    generator = Generator(11)
    refused_there = 0
    for config in (generator.config() for _ in range(3_000)):
        try:
            client._validate_config_and_fill_distribution(config)
        except Exception:  # noqa: BLE001 - it fails in several ways
            refused_there += 1
            with pytest.raises(SpecError):
                SweepConfig.from_yaml(yaml.safe_dump(config))
    assert refused_there > 50


def test_a_generated_sweep_that_is_accepted_can_be_run() -> None:
    generator = Generator(12)
    accepted = []
    for config in (generator.config() for _ in range(3_000)):
        try:
            accepted.append(SweepConfig.from_yaml(yaml.safe_dump(config)))
        except SpecError as error:
            assert all(problem.startswith("line ") for problem in error.problems)
    assert len(accepted) > 200
    for sweep in accepted:
        point = sweep.space.grid[0] if sweep.method == "grid" else sweep.space.random_point(0, 0)
        assert sweep.space.point_key(point) is not None
        if sweep.early_terminate is not None:
            assert sweep.metric is not None
            assert len(Hyperband.from_config(sweep.early_terminate).bands) > 0


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*" \n\t:-{}[],&*!|>'\"#%@`?1a", "method", "grid", "parameters", "<<"])).map("".join))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    try:
        SweepConfig.from_yaml(text)
    except SpecError as error:
        assert error.problems


@settings(max_examples=200)
@given(st.data())
def test_no_damage_to_a_sweep_ends_in_a_traceback(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FULL)))
    end = data.draw(st.integers(start, min(len(FULL), start + 12)))
    inserted = data.draw(st.text(st.characters(codec="utf-8"), max_size=6))
    try:
        SweepConfig.from_yaml(FULL[:start] + inserted + FULL[end:])
    except SpecError as error:
        assert error.problems


def test_reading_a_sweep_imports_nothing_heavy() -> None:
    script = (
        "import sys; from training.sweeps.file.config import SweepConfig\n"
        "config = SweepConfig.from_yaml(sys.argv[1])\n"
        "list(config.space.grid)\n"
        "print(*{'tensorflow', 'keras', 'wandb', 'boto3', 'scipy', 'sklearn', 'optuna'} & set(sys.modules))\n"
    )
    text = "{method: grid, parameters: {a: {min: 1, max: 5}, b: {distribution: q_uniform, min: 0, max: 1, q: 0.1}}}"
    done = subprocess.run([sys.executable, "-c", script, text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
