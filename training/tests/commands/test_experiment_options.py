"""What run_experiment's options do and refuse before anything is trained; nothing here needs TensorFlow."""

import importlib.util
import json
import shutil

import pytest

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.errors import SpecError
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from training import run_experiment, run_sweep
from training.attempts.checkpoint import write_checkpoint
from training.run_experiment import main
from training.runs.contents import CHECKPOINT
from training.runs.given_spec import spec_from
from training.runs.run import Run

SPEC = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp", "experiment_group": "mine"}


@pytest.fixture
def attempts(tmp_path, monkeypatch) -> list[Run]:
    """The runs that would be trained."""
    started: list[Run] = []

    def attempt(run, *arguments, **launch):
        started.append(run)
        return 0

    monkeypatch.setattr(run_experiment, "attempt", attempt)
    monkeypatch.setattr(Experiment, "network_in_words", lambda _: "a network")
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return started


@pytest.fixture
def run(attempts, tmp_path) -> Run:
    made = Run.create(assemble(ExperimentSpec.parse(SPEC)).spec, "earlier")
    made.set_state("stopped", epoch=2)
    return made


def test_a_dry_run_of_a_resumption_says_where_it_would_go_on_and_starts_nothing(run, attempts, capfd):
    before = (run.folder / "status.json").read_text()
    assert main(["--resume", "earlier", "--dry-run", "--nowandb", "--gpu=none"]) == 0
    shown = capfd.readouterr().out
    assert f"resume      {run.folder}: stopped, epoch 2 of 16" in shown
    assert "a network" in shown
    assert attempts == []
    assert (run.folder / "status.json").read_text() == before
    run.set_state("running")  # then killed: how far it came is in its checkpoint
    write_checkpoint(run.folder / CHECKPOINT, {}, {"epochs": {"done": 9, "first_step": 90, "began_s": 1.0}})
    assert main(["--resume", "earlier", "--dry-run", "--nowandb", "--gpu=none"]) == 0
    assert f"resume      {run.folder}: died, epoch 9 of 16" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--experiment_group=other", 'experiment_group is "other", the run has "mine"'),
        ("--train_args.checkpoint_interval_s=1", "train_args.checkpoint_interval_s is 1.0, the run has 60.0"),
        ("--train_args.epochs=1", "train_args.epochs is 1, the run has 16"),
    ],
)
def test_what_a_resumption_would_not_heed_is_refused(override, message, run, attempts, capfd):
    assert main(["--resume", "earlier", override, "--nowandb", "--gpu=none"]) == 2
    assert message in capfd.readouterr().err
    assert main(["--resume", "earlier", json.dumps(SPEC), override, "--nowandb", "--gpu=none"]) == 2
    assert attempts == []


def test_a_spec_may_be_given_again_without_its_group(run, attempts, digits_prepared):
    without = {key: value for key, value in SPEC.items() if key != "experiment_group"}
    assert main(["--resume", "earlier", json.dumps(without), "--nowandb", "--gpu=none"]) == 0
    assert main(["--resume", "earlier", json.dumps(SPEC), "--experiment_group=mine", "--nowandb", "--gpu=none"]) == 0
    assert [started.id for started in attempts] == ["earlier", "earlier"]


def test_a_finished_run_is_still_promoted_when_asked(run, attempts, tmp_path, monkeypatch, capfd):
    run.set_state("finished", summary={"test_accuracy": 0.5})
    shutil.copytree(weights_folder() / "CharacterModel_DigitsDataset_lenet", run.folder / "model")
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    assert main(["--resume", "earlier", "--save", "--nowandb"]) == 0
    told = capfd.readouterr()
    assert "is finished already: test_accuracy 0.5000" in told.out
    assert "promoted as CharacterModel_DigitsDataset_mlp@1" in told.err
    assert ModelStore().current("CharacterModel_DigitsDataset_mlp").number == 1
    assert attempts == []


@pytest.mark.parametrize("start", [[json.dumps(SPEC)], [json.dumps(SPEC), "--dry-run"], ["--resume", "earlier"]])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gpu=17y"], "--gpu must be none, -1"),
        (["--gpu-memory=abc"], "--gpu-memory must be an amount like 6GiB"),
        ([], "WANDB_MODE must be one of online, offline, disabled. Received: 'bogus'."),
    ],
)
def test_wrong_settings_are_told_before_data_is_fetched(start, flags, message, run, attempts, monkeypatch, capfd):
    def prepare(_):
        raise AssertionError("data was fetched")

    run.set_state("finished")
    monkeypatch.setattr(DigitsDataset, "prepare", prepare)
    monkeypatch.setenv("WANDB_MODE", "offline" if flags else "bogus")
    assert main([*start, *flags]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("more.json", '{"train_args.learning_rate": 1e-4, "train_args": {"epochs": 3}, "experiment_group": "1e-4"}'),
        ("more.yaml", '{"train_args.learning_rate": 1e-4, "train_args": {"epochs": 3}, "experiment_group": "1e-4"}'),
        ("more.yaml", "train_args: {learning_rate: 1e-4, epochs: 3}\nexperiment_group: '1e-4'\n"),
    ],
)
def test_a_number_with_an_exponent_is_a_number_in_every_file(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    spec = spec_from(None, str(tmp_path / name), {})
    assert (spec.train_args["learning_rate"], spec.train_args["epochs"]) == (1e-4, 3)
    assert spec.experiment_group == "1e-4"  # in quotes it is text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("more.json", '{"seed": 1, "seed": 2}', "the key 'seed' occurs twice"),
        ("more.json", "seed: 1", "is not JSON"),
        ("more.yaml", "seed: 1\nseed: 2\n", "line 2: the key 'seed' is there twice"),
        (
            "more.yaml",
            "experiment_group: 2024-01-01\n",
            "line 1: the timestamp '2024-01-01' is nothing that JSON knows",
        ),
        ("more.yaml", "network_args: &again\n  units: *again\n", "lies inside what it stands for"),
        ("more.yaml", "- seed\n", "must be an object of values by (dotted) key"),
        ("more.yaml", "seed: [\n", "not valid YAML"),
        ("more.yaml", b"seed: \xff\n", "cannot read the overrides"),
    ],
)
def test_a_wrong_file_of_overrides_is_told_in_words(name, content, message, tmp_path, capfd):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([json.dumps(SPEC), f"--overrides={file}", "--dry-run"]) == 2
    assert message in capfd.readouterr().err


def test_what_yaml_reads_otherwise_is_pointed_out(tmp_path, capfd):
    (tmp_path / "more.yaml").write_text("seed: 010\n")
    assert spec_from(None, str(tmp_path / "more.yaml"), {}).seed == 8
    assert "warning: line 1: '010' is octal to YAML 1.1, 8." in capfd.readouterr().err


def test_problems_of_keys_and_of_parts_are_reported_together():
    wrong = {**SPEC, "sed": 1, "network": "mpl", "train_args": {"epochs": 0, "optimiser": "adam"}, "seed": -1}
    with pytest.raises(SpecError) as raised:
        spec_from(json.dumps(wrong), None, {})
    assert [problem.key for problem in raised.value.problems] == [
        "sed",
        "seed",
        "network",
        "train_args.optimiser",
        "train_args.epochs",
    ]


def test_a_key_of_train_args_that_stands_outside_of_them_is_answered_with_its_place():
    with pytest.raises(SpecError, match="unknown key 'epochs'. Did you mean 'train_args.epochs'"):
        spec_from(json.dumps({**SPEC, "epochs": 3}), None, {})


def test_a_missing_argument_is_not_reported_where_all_of_them_are_unreadable():
    with pytest.raises(SpecError) as raised:
        spec_from(json.dumps({**SPEC, "dataset": "ImageFolderDataset", "dataset_args": 3}), None, {})
    assert [problem.key for problem in raised.value.problems] == ["dataset_args"]


@pytest.mark.parametrize("command", [[json.dumps(SPEC), "--gpu=none"], ["sweep.yaml", "--jobs=1", "--gpu=none"]])
def test_without_tensorflow_nothing_is_fetched_or_begun_and_the_package_is_named(command, tmp_path, monkeypatch, capfd):
    fixed = {name: {"value": value} for name, value in SPEC.items()}
    content = {"method": "grid", "parameters": {**fixed, "seed": {"values": [1, 2]}}}
    (tmp_path / "sweep.yaml").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorflow" else there(name))
    monkeypatch.setattr(DigitsDataset, "prepare", lambda _: pytest.fail("the data were prepared"))
    program = run_sweep if command[0] == "sweep.yaml" else run_experiment
    assert program.main(command) == 2
    assert "TensorFlow, which is not installed: pip install 'text-recognizer[cpu]'" in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
