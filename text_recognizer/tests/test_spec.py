import json

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.registry import names
from text_recognizer.spec import (
    ExperimentSpec,
    flatten,
    override_json,
    parse_json,
    parse_value,
    read_spec,
    without_dotted_keys,
)

MLP = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


def test_all_wrong_keys_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        ExperimentSpec.parse({"datset": "x", "model": 3, "network": "mlp", "seed": -1})
    assert caught.value.problems == [
        "unknown key 'datset'. Did you mean 'dataset'? A spec has: dataset, model, network, dataset_args, model_args, "
        "network_args, train_args, experiment_group, seed.",
        f"the key 'dataset' is missing. Known datasets: {', '.join(names('dataset'))}.",
        "model must be text. Received: 3.",
        "seed must be from 0 to 4294967295. Received: -1.",
    ]


def test_a_whole_seed_written_with_a_point_is_that_seed():
    # As a sampler of whole numbers writes it; random generators and the digest know whole numbers only.
    parsed = ExperimentSpec.parse({**MLP, "seed": 1.0})
    assert type(parsed.seed) is int
    assert parsed.digest == ExperimentSpec.parse({**MLP, "seed": 1}).digest


@pytest.mark.parametrize(("seed", "shown"), [(-1.0, "-1"), (1e10, "10000000000"), (2**32, "4294967296")])
def test_a_seed_out_of_range_is_refused_however_it_is_written(seed, shown):
    with pytest.raises(SpecError, match=f"seed must be from 0 to 4294967295. Received: {shown}"):
        ExperimentSpec.parse({**MLP, "seed": seed})


def test_json_mistakes_are_shown_where_they_are():
    with pytest.raises(SpecError) as caught:
        parse_json('{"dataset": "DigitsDataset",\n "model" "CharacterModel"}', "spec.json")
    assert str(caught.value) == (
        "spec.json is not JSON: Expecting ':' delimiter at line 2, column 10:\n"
        '     "model" "CharacterModel"}\n'
        "             ^"
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[1]", "must hold a JSON object"),
        ("", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number of thousands of digits"),
    ],
)
def test_what_json_would_let_pass_is_refused(text, part):
    with pytest.raises(SpecError, match=part):
        parse_json(text, "spec.json")


def test_a_spec_comes_from_the_command_line_a_file_or_standard_input(tmp_path, monkeypatch):
    import io

    file = tmp_path / "spec.json"
    file.write_text(json.dumps(MLP))
    assert read_spec(json.dumps(MLP))[0] == read_spec(str(file))[0] == MLP
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(MLP)))
    assert read_spec("-")[0] == MLP
    with pytest.raises(SpecError, match="there is no file 'nowhere.json'"):
        read_spec("nowhere.json")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"The included file of that name is /.*/training/experiments/cnn\.json\.$"):
        read_spec("training/experiments/cnn.json")
    with pytest.raises(SpecError, match="cannot read the spec"):
        read_spec(str(tmp_path))


def test_overrides_reach_into_objects_and_add_what_is_new():
    spec = ExperimentSpec.parse({**MLP, "network_args": {"layer_size": 64}})
    changed = spec.override({"network_args.layer_size": 128, "train_args.early_stopping.patience": 2, "seed": 3})
    assert changed.network_args == {"layer_size": 128}
    assert changed.train_args == {"early_stopping": {"patience": 2}}
    assert changed.seed == 3
    assert spec.network_args == {"layer_size": 64}


def test_overrides_that_lead_nowhere_are_all_reported():
    with pytest.raises(SpecError) as caught:
        override_json({**MLP, "train_args": {"optimizer": "adam"}}, {"netwrk.x": 1, "train_args.optimizer.beta_1": 0.5})
    assert "Did you mean 'network'?" in caught.value.problems[0]
    assert caught.value.problems[1] == (
        "'train_args.optimizer.beta_1' cannot be set: train_args.optimizer is 'adam', not an object."
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-4", 1e-4),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("[1, 2]", [1, 2]),
        ("{'units': 8}", {"units": 8}),
        ('"64"', "64"),
        ("lenet", "lenet"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_values_of_the_command_line_are_typed(text, value):
    parsed = parse_value(text)
    assert (parsed, type(parsed)) == (value, type(value))


def test_the_digest_tells_what_is_trained_not_how_it_is_filed():
    spec = ExperimentSpec.parse(MLP)
    assert spec.digest == spec.override({"experiment_group": "other"}).digest
    assert spec.digest == spec.override({"train_args.checkpoint_interval_s": 1}).digest
    assert spec.digest != spec.override({"seed": 1}).digest
    assert spec.digest != spec.override({"train_args.epochs": 1}).digest


def test_dotted_keys_of_a_spec_stand_for_what_they_lead_to():
    written = {"network_args.units": 8, "network": "mlp", "network_args": {"depth": 2}}
    assert without_dotted_keys(written) == {"network": "mlp", "network_args": {"depth": 2, "units": 8}}
    with pytest.raises(SpecError, match="network is 'mlp', not an object"):
        without_dotted_keys({"network.units": 8, "network": "mlp"})


def test_flatten_keeps_empty_objects():
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}
