import json
from pathlib import Path

import pytest

from text_recognizer.errors import SpecError
from training.run_sweep import main as run_sweep
from training.sweeps.plan import Condition, _culprits
from training.sweeps.plan_file import read_plan
from training.tests.processor_time import processor_s

REPOSITORY = Path(__file__).resolve().parents[3]
YAML = """
method: grid
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network:
    values: [mlp, lenet]
  network_args.layer_size:
    values: [8, 16]
  train_args:
    parameters:
      batch_size: {value: 64}
"""


@pytest.fixture
def plan(tmp_path):
    def make(text=YAML, name="sweep.yaml", **options):
        (tmp_path / name).write_text(text)
        return read_plan(tmp_path / name, **options)

    return make


def test_a_condition_leaves_the_name_of_the_sweep_as_it_is(plan):
    conditions = [Condition.parse("network_args.layer_size:network=mlp")]
    assert plan(conditions=conditions).name == "sweep"
    assert plan(conditions=conditions, name="other.yaml").name == "other"
    assert read_plan(Path(plan().source), name="mine", conditions=conditions).name == "mine"


def problems(plan):
    with pytest.raises(SpecError) as caught:
        plan.check()
    return caught.value.problems


def test_dotted_and_nested_parameters_override_the_base_alike(plan):
    made = plan(base={"network_args": {"dropout_amount": 0.1}, "train_args": {"epochs": 2}})
    spec = made.specs(made.config.space.grid[0])[0].to_json()
    assert spec["network_args"] == {"dropout_amount": 0.1, "layer_size": 8}
    assert spec["train_args"] == {"epochs": 2, "batch_size": 64}
    assert spec["experiment_group"] == "sweep"


def test_the_default_experiment_is_the_base_unless_the_sweep_names_all_parts(plan):
    assert plan().base == {}
    partial = plan(YAML.replace("  dataset: {value: DigitsDataset}\n", ""))
    assert partial.base["dataset"] == "DigitsDataset"
    assert partial.base["train_args"]["augmentation"] == "affine"


def test_every_point_is_checked_and_each_problem_shown_once_with_its_line(plan):
    text = YAML.replace("[8, 16]", "[8, 0, -1]").replace("batch_size", "bach_size")
    found = problems(plan(text))
    assert len(found) == len(set(found)) == 5
    assert {problem.partition(":")[0] for problem in found} == {"line 9", "line 13"}
    assert "line 9: network 'mlp': layer_size must be at least 1. Received: 0." in found
    assert "line 9: network 'lenet': layer_size must be at least 1. Received: -1." in found
    assert (
        sum("train_args has no argument 'bach_size'. Did you mean 'batch_size'?" in problem for problem in found) == 1
    )


def test_a_problem_has_the_line_of_its_key_whatever_other_keys_its_sentence_names(plan):
    text = YAML + "  train_args.bach_size: {value: 3}\n"
    line = len(text.splitlines())
    (found,) = {problem for problem in problems(plan(text)) if "bach_size" in problem}
    assert found.startswith(f"line {line}: train_args has no argument 'bach_size'. Did you mean 'batch_size'?")


def test_what_several_values_decide_has_the_lines_of_all_of_them():
    assert _culprits("network_args", ["network_args.a", "network_args.b", "network"]) == [
        "network_args.a",
        "network_args.b",
    ]
    assert _culprits("network_args.a.b", ["network_args", "network_args.a", "network_args.ab"]) == ["network_args.a"]
    assert _culprits("network", ["network_args.a"]) == []
    assert _culprits(None, ["network"]) == []


def test_a_wrong_value_in_a_range_is_found_at_its_corner(plan):
    text = YAML.replace("method: grid", "method: random").replace("values: [8, 16]", "{min: 0, max: 64}")
    assert any("layer_size must be at least 1. Received: 0." in problem for problem in problems(plan(text)))


def test_a_condition_leaves_a_parameter_out_where_it_does_not_apply(plan):
    text = YAML.replace("network_args.layer_size:", "network_args.num_layers:")
    assert any("'lenet' has no argument 'num_layers'" in problem for problem in problems(plan(text)))
    conditions = [Condition.parse("network_args.num_layers:network=mlp")]
    made = plan(text, conditions=conditions)
    assert len(made.check()) == 4
    lenet = next(point for point in made.config.space.grid if point["network"] == "lenet")
    assert "network_args.num_layers" not in made.overrides(lenet)
    with pytest.raises(SpecError, match="--when takes PARAMETER:OTHER=VALUE"):
        Condition.parse("network_args.num_layers")
    with pytest.raises(SpecError, match="not a parameter of the sweep"):
        plan(text, conditions=[Condition.parse("network_args.num:network=mlp")])


def test_enqueued_points_must_lie_in_the_space(plan):
    made = plan(enqueued=[{"network": "lenet", "network_args.layer_size": 16}])
    assert made.specs(made.enqueued[0])[0].network == "lenet"
    with pytest.raises(SpecError) as caught:
        plan(enqueued=[{"network": "fcn", "depth": 3}])
    assert caught.value.problems == [
        "the enqueued point has network = 'fcn', which the sweep does not. It has 'mlp', 'lenet'.",
        "the enqueued point {'network': 'fcn', 'depth': 3} lacks network_args.layer_size.",
        "the enqueued point has 'depth', which is not a parameter of the sweep.",
    ]


@pytest.mark.parametrize(
    ("settings", "inside", "outside", "words"),
    [
        ("min: 1, max: 6", 6, 40, "whole numbers from 1 to 6"),
        ("min: 1, max: 1048576", 1, 2.5, "whole numbers from 1 to 1048576"),
        ("min: 0.0, max: 0.5", 0.5, 0.7, "numbers from 0 to 0.5"),
        ("distribution: log_uniform_values, min: 0.0001, max: 0.03", 0.03, 0.04, "numbers from 0.0001 to 0.03"),
        ("distribution: q_uniform, min: 0, max: 1, q: 0.1", 0.3, 0.35, "multiples of 0.1 from 0 to 1"),
        ("distribution: normal", -1000000, "no", "numbers"),
        ("value: 16", 16, 17, "only 16"),
        ("values: [{a: 1}, {a: 2}]", {"a": 2}, {"a": 3}, "{'a': 1}, {'a': 2}"),
    ],
)
def test_enqueued_values_must_be_in_the_range(settings, inside, outside, words, plan):
    text = f"method: random\nparameters: {{network_args.layer_size: {{{settings}}}, seed: {{min: 0, max: 3}}}}\n"
    made = plan(text, enqueued=[{"network_args.layer_size": inside, "seed": 0}])
    assert made.overrides(made.enqueued[0])["network_args.layer_size"] == inside
    with pytest.raises(SpecError) as caught:
        plan(text, enqueued=[{"network_args.layer_size": outside, "seed": 0}])
    assert caught.value.problems == [
        f"the enqueued point has network_args.layer_size = {outside!r}, which the sweep does not. It has {words}."
    ]


CONDITIONAL = """
method: random
parameters:
  network: {values: [mlp, lenet]}
  network_args.num_layers: {min: 1, max: 6}
  network_args.dropout_amount: {values: [0.1, 0.2]}
  seed: {min: 0, max: 9}
"""
CHAIN = ("network_args.dropout_amount:network_args.num_layers=3,4", "network_args.num_layers:network=mlp")


@pytest.mark.parametrize("chain", [CHAIN, CHAIN[::-1]], ids=["inner first", "outer first"])
def test_conditions_on_conditions_hold_in_any_order(chain, plan):
    made = plan(CONDITIONAL, conditions=[Condition.parse(text) for text in chain])
    point = {"network": "lenet", "network_args.num_layers": 3, "network_args.dropout_amount": 0.1, "seed": 2}
    assert made.overrides(point) == {"network": "lenet", "seed": 2}
    assert made.overrides({**point, "network": "mlp"}) == {**point, "network": "mlp"}
    assert "network_args.dropout_amount" not in made.overrides(
        {**point, "network": "mlp", "network_args.num_layers": 2}
    )


@pytest.mark.parametrize("chain", [CHAIN, CHAIN[::-1]], ids=["inner first", "outer first"])
def test_an_enqueued_point_needs_only_what_applies_to_it(chain, plan):
    conditions = [Condition.parse(text) for text in chain]
    made = plan(CONDITIONAL, enqueued=[{"network": "lenet", "seed": 2}], conditions=conditions)
    assert made.overrides(made.enqueued[0]) == {"network": "lenet", "seed": 2}
    shallow = {"network": "mlp", "network_args.num_layers": 1, "seed": 2}
    made = plan(CONDITIONAL, enqueued=[shallow], conditions=conditions)
    assert made.overrides(made.enqueued[0]) == shallow
    with pytest.raises(SpecError, match=r"lacks network_args\.dropout_amount"):
        plan(CONDITIONAL, enqueued=[{**shallow, "network_args.num_layers": 3}], conditions=conditions)


COMMAND = (
    YAML + "command: ['${env}', '${interpreter}', '${program}', %s, '${args}']\nprogram: training/run_experiment.py\n"
)


def test_fixed_arguments_of_the_command_go_under_the_point(plan):
    made = plan(COMMAND % "'--train_args.epochs=1', '--network_args.layer_size=32', --seed, 7")
    spec = made.specs(made.config.space.grid[0])[0]
    assert (spec.train_args["epochs"], spec.network_args["layer_size"], spec.seed) == (1, 8, 7)
    assert made.digest != plan(YAML).digest
    above = plan(COMMAND % "'--train_args.epochs=1'", overrides={"train_args.epochs": 2})
    assert above.specs(above.config.space.grid[0])[0].train_args["epochs"] == 2
    assert made.warnings() == []


def test_fixed_arguments_can_name_the_spec_and_the_parts_that_the_parameters_leave_open(plan, tmp_path):
    (tmp_path / "base.json").write_text('{"dataset": "DigitsDataset", "model": "CharacterModel", "seed": 5}')
    made = plan(COMMAND % f"'{tmp_path / 'base.json'}', --seed=6")
    assert made.base == {"dataset": "DigitsDataset", "model": "CharacterModel", "seed": 6}
    assert plan(COMMAND % f"'{tmp_path / 'base.json'}'", base={"seed": 1}).base == {"seed": 1}
    text = (COMMAND % "'--dataset=DigitsDataset'").replace("  dataset: {value: DigitsDataset}\n", "")
    assert plan(text).base == {"dataset": "DigitsDataset"}


def test_wrong_fixed_arguments_are_found_with_the_line_of_the_command(plan):
    made = plan(COMMAND % "'--network_args.bogus=3'")
    assert problems(made) == [
        "line 14: network 'mlp' has no argument 'bogus'. It takes: layer_size, dropout_amount, num_layers.",
        "line 14: network 'lenet' has no argument 'bogus'. It takes: layer_size, dropout_amount.",
    ]
    with pytest.raises(SpecError, match="line 14: 'seed.x' cannot be set"):
        plan(COMMAND % "'--seed=1', '--seed.x=1'")


def test_a_cap_or_a_description_may_change_between_two_starts(plan):
    digest = plan(YAML).digest
    assert plan(YAML + "run_cap: 3\ndescription: first\n").digest == digest
    assert plan(YAML + "run_cap: 5\n").digest == digest
    assert plan(YAML.replace("minimize", "maximize")).digest != digest


def test_the_metric_must_be_reported_and_the_test_split_is_no_judge(plan):
    assert problems(plan(YAML.replace("val_loss", "epoch/val_los"))) == [
        "line 3: metric 'epoch/val_los' is not reported by a run. Did you mean 'val_loss'? Reported: loss, accuracy, "
        "val_loss, val_accuracy, val_top_3_accuracy, val_top_5_accuracy, test_loss, test_accuracy, "
        "test_top_3_accuracy, test_top_5_accuracy."
    ]
    warned = plan(YAML.replace("val_loss", "test_accuracy"))
    warned.check()
    assert any("chooses by the test split" in warning for warning in warned.warnings())


@pytest.mark.parametrize(("name", "goal"), [("val_accuracy", "minimize"), ("test_loss", "maximize")])
def test_a_goal_that_takes_the_worst_runs_for_the_best_is_warned_of(plan, name, goal):
    made = plan(YAML.replace("val_loss", name).replace("minimize", goal))
    doubt = made.doubt(made.check()) or ""
    other = {"minimize": "maximize", "maximize": "minimize"}[goal]
    assert f"goal is {goal}" in doubt
    assert doubt.endswith(f"Write `goal: {other}`.")
    right = plan(YAML.replace("val_loss", name).replace("minimize", other))
    assert right.doubt(right.check()) is None


def test_a_list_of_experiments_is_read_in_the_old_format(plan):
    text = json.dumps({"experiment_group": "G", "experiments": [{"dataset": "DigitsDataset", "network": "mlp"}]})
    made = plan(text, "list.json")
    assert (made.name, made.method, made.size) == ("G", "list", 1)
    assert problems(made)[0].startswith("experiment 1: the key 'model' is missing. Known models: CharacterModel")
    for wrong in ('{"experiments": []}', '{"experiments": [1]}', '{"experiment": []}', "[]", '{"experiments": {}}'):
        with pytest.raises(SpecError):
            plan(wrong, "list.json")


@pytest.mark.parametrize("name", ["sweep_digits.yaml", "sweep_emnist.yaml", "sweep_iam.yaml"])
def test_the_sweeps_that_ship_are_valid(name):
    made = read_plan(REPOSITORY / "training" / name)
    assert made.check()
    assert made.warnings() == []


def test_the_sample_experiments_are_valid():
    assert read_plan(REPOSITORY / "training" / "experiments" / "sample.json").check()


def test_a_single_experiment_is_no_list_of_them(tmp_path):
    file = tmp_path / "one.json"
    file.write_text('{"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}')
    with pytest.raises(SpecError, match=r"This looks like one experiment: run_experiment .*one\.json"):
        read_plan(file)


OLD_SWEEP = """
program: training/run_sweep.py
method: grid
metric:
  name: val_loss
  goal: minimize
parameters:
  dataset:
    value: EmnistDataset
  model:
    value: CharacterModel
  network:
    value: mlp
  network_args.layer_size:
    values: [128, 256]
  network_args.dropout_amount:
    values: [0.2, 0.4]
  network_args.num_layers:
    values: [3, 6]
  train_args.batch_size:
    values: [64, 128]
  train_args.epochs:
    value: 5
"""


def test_a_sweep_of_the_older_tool_is_read_unchanged(plan):
    made = plan(OLD_SWEEP)
    assert made.size == 16
    assert len(made.check()) == 16


def test_a_point_among_ten_thousand_is_checked_as_fast_as_one_among_a_thousand(plan):
    def check(sizes):
        values = ", ".join(str(size) for size in range(1, sizes + 1))
        rates = ", ".join(f"{rate / 1000:.3f}" for rate in range(1, 51))
        text = YAML.replace("[8, 16]", f"[{values}]").replace(
            "batch_size: {value: 64}", f"learning_rate: {{values: [{rates}]}}"
        )
        made = plan(text)
        assert made.size == len(made.check()) == 100 * sizes

    # Ten times as many points: ten times as long, or a hundred times where each is compared with all.
    assert processor_s(lambda: check(100), tries=1) < 40 * processor_s(lambda: check(10))


def test_a_value_for_all_trials_replaces_a_constant_of_the_file_and_nothing_that_is_searched(plan):
    made = plan(YAML, overrides={"train_args.batch_size": 32, "train_args.epochs": 3})
    (spec,) = made.specs(made.config.space.grid[0])
    assert (spec.train_args["batch_size"], spec.train_args["epochs"]) == (32, 3)
    for key in ("network_args.layer_size", "network_args"):
        with pytest.raises(SpecError, match=f"--set {key} is .* the sweep searches 'network_args.layer_size'"):
            plan(YAML, overrides={key: {}})


@pytest.mark.parametrize("wrong", ["--stopping-rule=hyperbnd", "--stopping-rule=hyperband:min_itr=1", "--search=rndom"])
def test_a_part_that_does_not_exist_is_refused_before_the_sweep_has_a_folder(wrong, tmp_path, monkeypatch, capsys):
    (tmp_path / "sweep.yaml").write_text(YAML)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    assert run_sweep([str(tmp_path / "sweep.yaml"), wrong]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
