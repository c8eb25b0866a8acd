import json
import subprocess
import sys
from pathlib import Path
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

# Ten of ten of ten …: a few hundred bytes that stand for a million values.
LAUGHTER = "a0: &a0 [1]\n" + "".join(f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 10)}]\n" for one in range(1, 7))
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


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        SweepConfig.from_yaml(text, "my_sweep.yaml")
    assert caught.value.source == "my_sweep.yaml"
    return [*caught.value.problems]


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


def test_all_problems_are_told_at_once_each_with_its_line() -> None:
    problems = refused(
        "method: Grid\n"
        "metric: {name: val_loss, gaol: minimize}\n"
        "run_cap: -1\n"
        "parameters:\n"
        "  lr: {min: 0.1, max: 0.01}\n"
        "  net:\n"
        "    parameters:\n"
        "      units: {vals: [1, 2]}\n"
    )
    assert [problem.split(":")[0] for problem in problems] == ["line 1", "line 2", "line 3", "line 5", "line 8"]
    assert "'Grid'. Did you mean 'grid'?" in problems[0]
    assert "no key 'gaol'. Did you mean 'goal'?" in problems[1]
    assert "`run_cap` must be a whole number above 0. Received: -1." in problems[2]
    assert "'lr': min 0.1 is not less than max 0.01" in problems[3]
    assert "'net.units' has the unknown key 'vals'. Did you mean 'values'?" in problems[4]


HEAD = "method: random\nmetric: {name: m}\n"
PARAMETERS = HEAD + "parameters:\n  "
WITH = HEAD + "parameters: {a: {value: 1}}\n"
EARLY = WITH + "early_terminate: {type: hyperband"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("parameters: {a: {value: 1}}\n", 1, "`method` is missing"),
        ("method: grid\n", 1, "`parameters` is missing"),
        ("method: grid\nparameters: {}\n", 2, "`parameters` is empty"),
        ("method: grid\nparameters: [a]\n", 2, "must be a mapping of names"),
        ("method: grid\nparameter: {a: {value: 1}}\n", 2, "Did you mean 'parameters'?"),
        ("method: grid\nparameters: {a: {value: 1}}\nearly_termination: {}\n", 3, "Did you mean 'early_terminate'?"),
        (PARAMETERS + "lr: 0.1\n", 4, "such as {value: ...}. Received: 0.1."),
        (PARAMETERS + "lr: [0.1]\n", 4, "such as {values: [...]}"),
        (PARAMETERS + "lr: {}\n", 4, "is empty"),
        (PARAMETERS + "1lr: {value: 1}\n", 4, "cannot be a parameter's name"),
        (PARAMETERS + "lr/a: {value: 1}\n", 4, "cannot be a parameter's name"),
        (PARAMETERS + "lr: {min: 1e-5, max: 0.1}\n", 4, "write 1.0e-5"),
        (PARAMETERS + "lr: {min: 0.0, max: 1.5E3}\n", 4, "write 1.5e+3"),
        (PARAMETERS + "lr: {min: '0.1', max: 1.0}\n", 4, "'0.1' is text, not a number"),
        (PARAMETERS + "lr: {min: 0.1}\n", 4, "needs 'max'"),
        (PARAMETERS + "lr: {distribution: log_unifrom_values, min: 1, max: 2}\n", 4, "mean 'log_uniform_values'?"),
        (PARAMETERS + "lr: {distribution: [uniform], min: 1, max: 2}\n", 4, "unknown distribution ['uniform']"),
        (PARAMETERS + "lr: {distribution: log_uniform, min: -5, max: -1}\n", 4, "Use log_uniform_values"),
        (PARAMETERS + "lr: {distribution: uniform, min: 0, max: 1, q: 2}\n", 4, "`distribution: q_uniform`"),
        (PARAMETERS + "lr: {distribution: int_uniform, min: 1.0, max: 2.0}\n", 4, "written without a point"),
        (PARAMETERS + "a: {value: 1, values: [1]}\n", 4, "both `value` and `values`"),
        (PARAMETERS + "a: {values: []}\n", 4, "a list of at least one value"),
        (PARAMETERS + "a: {values: x}\n", 4, "a list of at least one value"),
        (PARAMETERS + "a: {mu: 0, sigma: 1}\n", 4, "for example `distribution: normal`"),
        (PARAMETERS + "a: {values: [x, y], probabilities: [0.5, 0.6]}\n", 4, "add up to 1.1, not to 1"),
        (PARAMETERS + "a: {values: [x, y], probabilities: [1]}\n", 4, "2 values and 1 probabilities"),
        (PARAMETERS + "a: {distribution: categorical, values: [x], probabilities: [1]}\n", 4, "`distribution` out"),
        (PARAMETERS + "net: {units: {value: 1}}\n", 4, "a group of parameters needs the key `parameters`"),
        (PARAMETERS + "net: {parameters: {a: {value: 1}}, value: 2}\n", 4, "nothing beside `parameters`, not 'value'"),
        (WITH + "command: python train.py\n", 4, "a list, one item an argument"),
        (WITH + "run_cap: 0\n", 4, "a whole number above 0"),
        (WITH + "run_cap: true\n", 4, "a whole number above 0"),
        (WITH + "kind: run\n", 4, "`kind` must be sweep"),
        (WITH + "controller: {type: remote}\n", 4, "one of local, cloud"),
        (WITH + "early_terminate: {type: median}\n", 4, "must be hyperband"),
        (EARLY + "}\n", 4, "needs `min_iter`, or both"),
        (EARLY + ", min_iter: 0}\n", 4, "1 or more"),
        (EARLY + ", min_iter: 3, eta: 1}\n", 4, "a number above 1"),
        (EARLY + ", min_iters: 3}\n", 4, "Did you mean 'min_iter'?"),
        (WITH + "metrics: [{name: a}, {name: b}]\n", 4, "not both"),
        ("method: random\nmetric: val_loss\nparameters: {a: {value: 1}}\n", 2, "such as {name: val_loss"),
        ("method: random\nmetric: {goal: minimize}\nparameters: {a: {value: 1}}\n", 2, "`metric` needs `name`"),
        ("method: random\nmetric: {name: m, goal: min}\nparameters: {a: {value: 1}}\n", 2, "one of minimize, maximize"),
        ("method: random\nmetric: {name: m, impute_while_running: false}\n", 2, "'false' as text"),
    ],
)  # fmt: skip
def test_a_violation_is_told_with_its_line_and_a_remedy(text: str, line: int, words: str) -> None:
    assert violations(yaml.safe_load(text)) != []
    problems = refused(text)
    assert any(problem.startswith(f"line {line}: ") and words in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the sweep is empty"),
        ("# only a comment\n", "the sweep is empty"),
        ("just words", "a sweep is a mapping"),
        ("- method: grid\n", "a sweep is a mapping"),
        ("method: grid\n\tparameters: {}\n", "line 2: indented by a tab"),
        ("method: grid\nparameters: {a: {values: [1, 2}}\n", "line 2, column"),
        ("method: grid\n---\nmethod: random\n", "but found another document"),
        ("method: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("method: grid\x00", "not valid YAML"),
        (
            "method: grid\nparameters: {a: {value: 2024-99-99}}\n",
            "line 2, column 25: not valid YAML: '2024",
        ),
        ("method: !!timestamp s\n", "'s' is no timestamp"),
        ("method: !!bool perhaps\n", "'perhaps' is no bool"),
        ("method: !!int ''\n", "'' is no int"),
        ("method: !!binary é\n", "failed to convert base64 data into ascii"),
        (f"method: 1{':10' * 9000}\n", "a number of 27,001 characters"),
        (LAUGHTER, "not valid YAML: more than 50,000 values, aliases (*name) written out"),
        ("a: &a {b: &b {c: *a}}\n", "the alias *a lies inside what it stands for"),
        ("#" * 1_000_001, "it has 1,000,001 characters"),
        ("method: grid\n? [a]\n: 1\n", "unhashable key"),
        ("[" * 2000 + "]" * 2000, "nested more than 64 deep"),
    ],
)
def test_a_text_that_is_no_sweep_is_refused_in_words(text: str, words: str) -> None:
    assert any(words in problem for problem in refused(text)), refused(text)


def test_a_key_that_is_there_twice_is_refused_with_both_lines() -> None:
    problems = refused("method: grid\nparameters:\n  lr: {values: [1]}\n  lr: {values: [2]}\nmethod: random\n")
    assert problems == [
        "line 4: the key 'lr' is there twice; readers of YAML silently drop that of line 3.",
        "line 5: the key 'method' is there twice; readers of YAML silently drop that of line 1.",
    ]


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "method: grid\nparameters:\n  a: &a {distribution: q_uniform, min: 0, max: 4, q: 1}\n  b: {<<: *a, max: 0}\n"
    assert refused(text) == ["line 3: parameter 'b': min 0 is not less than max 0."]
    (problem,) = refused(text.replace("max: 0}", "q: -1}"))
    assert problem.startswith("line 4: parameter 'b': q must be a number above 0.")
    config = SweepConfig.from_yaml(text.replace("max: 0}", "max: 2}"))
    assert [point["b"] for point in config.space.grid][:3] == [0, 1, 0]


def test_text_that_looks_like_a_number_is_pointed_out_and_stays_text() -> None:
    config = SweepConfig.from_yaml("method: grid\nparameters:\n  lr:\n    values: [0.1, 1e-3]\n  s: {value: '1e-3'}\n")
    assert config.space.grid[1]["lr"] == "1e-3"
    assert len(config.warnings) == 1
    assert config.warnings[0].startswith("line 4: '1e-3' is text to YAML 1.1: write 1.0e-3 ")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("[yes, x]", "'yes' is True"),
        ("[off, x]", "'off' is False"),
        ("[010]", "'010' is octal to YAML 1.1, 8"),
        ("[1:30]", "base 60"),
        ("[true, 0x10, 1.0e-3, 0.5, '010', \"no\"]", None),
    ],
)
def test_what_yaml_reads_otherwise_than_meant_is_pointed_out(values: str, words: str | None) -> None:
    warnings = SweepConfig.from_yaml(f"method: grid\nparameters:\n  a: {{values: {values}}}\n").warnings
    assert (words is None) == (warnings == ())
    assert words is None or (words in warnings[0] and warnings[0].startswith("line 3: "))


def test_what_is_allowed_and_hardly_meant_gets_a_warning() -> None:
    config = SweepConfig.from_yaml(
        "method: random\nparameters:\n"
        "  net:\n    parameters:\n"
        "      a: {distribution: log_uniform, min: -5, max: -1}\n"
        "      b: {min: 1, max: 2.5}\n"
        "command: ['${program}', '--bs=${batch_size}', '${arg}']\n"
        "job: some-job\n"
    )
    lines = [warning.split(":")[0] for warning in config.warnings]
    assert lines == ["line 5", "line 6", "line 7", "line 7", "line 8"]
    assert "exponents of e" in config.warnings[0]
    assert "takes that for uniform here" in config.warnings[1]
    assert "passes '--bs=${batch_size}' as it is" in config.warnings[2]
    assert "drops '${arg}'" in config.warnings[3]
    assert "Did you mean 'args'?" in config.warnings[3]
    assert "`job` concerns W&B's own services" in config.warnings[4]


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


def test_the_file_is_named_and_a_missing_or_unreadable_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    with pytest.raises(SpecError, match=r"sweep\.yaml cannot be read: No such file"):
        SweepConfig.from_file(path)
    path.write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match="no UTF-8 text"):
        SweepConfig.from_file(path)
    path.write_text("method: grid\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"line 1: `parameters` is missing.*sweep\.yaml"):
        SweepConfig.from_file(path)


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
