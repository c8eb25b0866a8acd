"""Sweeps that are refused or warned of: with their lines, all problems at once, in words."""

from pathlib import Path

import pytest
import yaml

from text_recognizer.errors import SpecError
from training.sweeps.file.config import SweepConfig
from training.tests.sweeps.sweep_support import violations

# Ten of ten of ten …: a few hundred bytes that stand for a million values.
LAUGHTER = "a0: &a0 [1]\n" + "".join(f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 10)}]\n" for one in range(1, 7))


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        SweepConfig.from_yaml(text, "my_sweep.yaml")
    assert caught.value.source == "my_sweep.yaml"
    return [*caught.value.problems]


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


def test_the_file_is_named_and_a_missing_or_unreadable_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    with pytest.raises(SpecError, match=r"sweep\.yaml cannot be read: No such file"):
        SweepConfig.from_file(path)
    path.write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match="not UTF-8 text"):
        SweepConfig.from_file(path)
    path.write_text("method: grid\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"line 1: `parameters` is missing.*sweep\.yaml"):
        SweepConfig.from_file(path)
