"""run_sweep and text-recognizer sweeps as a user meets them: real runs, real processes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.cli import main as text_recognizer
from training.devices.requests import DeviceRequest
from training.prepare_experiments import main as prepare_experiments
from training.run_sweep import main
from training.runs.find import find_run
from training.runs.run import Run
from training.sweeps import options
from training.sweeps.folder import find_sweep
from training.tests.pausing_digits import PAUSING, pause

SWEEP = """
program: training/run_sweep.py
method: grid
metric: {name: val_accuracy, goal: maximize}
parameters:
  dataset: {value: DigitsDataset}
  dataset_args: {value: {subsample_fraction: 0.2}}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 64]}
  train_args:
    parameters:
      epochs: {value: 2}
      batch_size: {values: [16, 64]}
"""


pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training.run_sweep", *arguments, "--nowandb", "--gpu=none"],
        cwd=place,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_prepared):
    """A sweep that ran to its end, with what it printed."""
    place = tmp_path_factory.mktemp("swept")
    (place / "sweep.yaml").write_text(SWEEP)
    patch = pytest.MonkeyPatch()
    patch.setenv("TEXT_RECOGNIZER_RUNS", str(place / "runs"))
    process = start(place, "sweep.yaml", "--jobs", "2")
    output, _ = process.communicate(timeout=PATIENCE_S)
    patch.undo()
    assert process.returncode == 0, output
    return place, output


@pytest.fixture
def there(finished, monkeypatch):
    monkeypatch.chdir(finished[0])
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(finished[0] / "runs"))
    return finished[0]


def test_a_sweep_leaves_its_table_its_best_spec_and_a_report(finished, there):
    _, output = finished
    folder = there / "runs" / "sweep"
    with open(folder / "leaderboard.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["finished"] * 4
    values = [float(row["val_accuracy"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert {(row["network_args.layer_size"], row["train_args.batch_size"]) for row in rows} == {
        ("8", "16"),
        ("8", "64"),
        ("64", "16"),
        ("64", "64"),
    }
    best = json.loads((folder / "best_spec.json").read_text())
    assert best == Run(folder / rows[0]["run"]).read_json("spec.json")
    report = (folder / "report.html").read_text()
    for part in ("Parallel coordinates", "Best so far", "Importance", "Curves of the best", "data:image/png;base64,"):
        assert part in report
    words = re.sub(r"data:image/png;base64,[^\"]*", "", report)  # any four letters may come in a picture
    assert "http" not in words.replace("http://www.w3.org", "")
    for line in ("ended       all trials are done (4 finished)", "importance", "best        trial", "report "):
        assert line in output


def test_what_each_trial_cost_is_in_the_journal(there):
    events = list(find_sweep("sweep").events())
    ends = [event for event in events if event["event"] == "end"]
    assert len(ends) == 4
    for event in ends:
        assert event["resources"]["exit_code"] == 0
        assert event["resources"]["cpu_s"] > 0
        assert event["resources"]["peak_memory_mib"] > 50


def test_sweeps_are_listed_shown_explained_and_exported(there, capfd):
    assert text_recognizer(["sweeps", "list"]) == 0
    listed = capfd.readouterr().out.splitlines()[1].split()
    assert listed[:6] == ["sweep", "grid", "finished", "4/4", "4", "0"]
    assert text_recognizer(["sweeps", "show", "sweep"]) == 0
    shown = capfd.readouterr().out
    assert shown.count("finished") == 5
    assert "network_args.layer_size" in shown
    assert '"dataset"' not in shown  # what all have in common is left out
    assert text_recognizer(["sweeps", "explain", "sweep", "--trial", "2"]) == 0
    assert '"grid_point": 2, "of": 4' in capfd.readouterr().out
    assert text_recognizer(["sweeps", "explain", "sweep", "--trial", "9"]) == 2
    assert text_recognizer(["sweeps", "export", "sweep", "study.db"]) == 0
    assert text_recognizer(["sweeps", "export", "sweep", "study.db"]) == 2
    assert text_recognizer(["sweeps", "export", "sweep", "nowhere/study.db"]) == 2
    assert "exists already" in capfd.readouterr().err
    assert text_recognizer(["sweeps", "show", "swep"]) == 2
    assert "Did you mean 'sweep'?" in capfd.readouterr().err


def test_the_same_command_does_nothing_when_everything_is_done(there):
    before = (there / "runs" / "sweep" / "trials.jsonl").read_text().count('"start"')
    process = start(there, "sweep.yaml", "--jobs", "2", "--resume")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert (there / "runs" / "sweep" / "trials.jsonl").read_text().count('"start"') == before == 4


def test_identical_trials_are_answered_from_earlier_runs(there):
    process = start(there, "sweep.yaml", "--name", "again", "--reuse")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    events = list(find_sweep("again").events())
    assert [event["event"] for event in events if event["event"] in ("start", "reuse")] == ["reuse"] * 4
    assert all(Path(event["folder"]).parent.name == "sweep" for event in events if event["event"] == "reuse")
    different = start(there, "sweep.yaml", "--name", "other", "--reuse", "--set", "seed=1", "--run-cap", "1")
    output, _ = different.communicate(timeout=PATIENCE_S)
    assert different.returncode == 0, output
    assert "reuse" not in {event["event"] for event in find_sweep("other").events()}


def test_a_dry_run_shows_what_would_run_and_makes_nothing(place, capfd):
    (place / "sweep.yaml").write_text(SWEEP + "early_terminate: {type: hyperband, min_iter: 3}\n")
    assert main(["sweep.yaml", "--dry-run"]) == 0
    printed = capfd.readouterr().out
    for part in (
        "grid search, 4 trials",
        "checked     4 points",
        "hyperband: after 3, 9, 27",
        '  1  {"network_args.layer_size": 8',
    ):
        assert part in printed
    assert not (place / "runs").exists()
    assert main(["sweep.yaml", "--dry-run", "--jobs", "1", "--set", "train_args.minutes=5", "--run-cap", "3"]) == 0
    printed = capfd.readouterr().out
    assert "grid search, at most 3 trials" in printed
    assert "time        about 15 min" in printed


def test_a_dry_run_compares_batches_with_data_that_are_prepared(place, digits_prepared, capfd):
    (place / "sweep.yaml").write_text(SWEEP.replace("[16, 64]", "[16, 640]"))
    assert main(["sweep.yaml", "--dry-run"]) == 2
    assert "line 14: train_args.batch_size must be at most 216, the images of" in capfd.readouterr().err
    listed = [{**LISTED, "train_args": {"batch_size": size}} for size in (64, 5000)]
    (place / "list.json").write_text(json.dumps({"experiments": listed}))
    assert main(["list.json", "--dry-run"]) == 2
    assert "experiment 2: train_args.batch_size must be at most" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nowhere.yaml"], "there is no file 'nowhere.yaml'"),
        (["training/sweep_digits.yaml"], "/training/sweep_digits.yaml.\n"),
        (["sweep.yaml", "--jobs", "0"], "--jobs: a whole number from 1"),
        (["sweep.yaml", "--run-cap", "-1"], "--run-cap: a whole number from 1"),
        (["sweep.yaml", "--gpus-per-trial", "1.5"], "--gpus-per-trial must be a whole number"),
        (["sweep.yaml", "--gpus-per-trial", "1", "--gpu", "0"], "mean the same"),
        (["sweep.yaml", "--set", "train_args.epochs"], "--set takes KEY=VALUE"),
        (["sweep.yaml", "--set", "train_arg.epochs=3"], "Did you mean 'train_args'?"),
        (["sweep.yaml", "--set", "train_args.distribution=multi_worker"], "for run_experiment, not for sweeps"),
        (["sweep.yaml", "--run-capp", "3"], "Did you mean '--run-cap'?"),
        (["sweep.yaml", "--count", "3"], "unknown argument '--count'. Did you mean '--run-cap'?"),
        (["sweep.yaml", "--resume"], "there is no sweep to resume"),
        (["sweep.yaml", "--enqueue", "{"], "is not JSON"),
        (["sweep.yaml", "--base", "nowhere.json"], "there is no file 'nowhere.json'"),
        (["sweep.yaml", "--dry-run", "--gpu", "abc"], "--gpu must be none"),
        (["sweep.yaml", "--dry-run", "--gpu-memory", "6"], "--gpu-memory must be an amount"),
        (["sweep.yaml", "--dry-run", "--gpus-per-trial", "nan"], "--gpus-per-trial must be a whole number"),
        (["sweep.yaml", "--dry-run", "--gpus-per-trial", "0.5", "--gpu-memory", "0.5"], "mean the same"),
        (["sweep.yaml", "--dry-run", "--trial-timeout", "nan"], "--trial-timeout: a number from 0.001 to"),
        (["sweep.yaml", "--dry-run", "--trial-timeout", "-5"], "--trial-timeout: a number from 0.001 to"),
        (["sweep.yaml", "--sampler", "gp"], "no effect on a grid search: --sampler."),
        (["sweep.yaml", "--allow-repeats"], "no effect on a grid search: --allow-repeats."),
        (["sweep.yaml", "--isolation", "inline", "--jobs", "2"], "--jobs must be 1. Received: 2"),
    ],
)
def test_mistakes_end_with_a_message_and_exit_code_2(arguments, part, place, capfd):
    assert main(arguments) == 2
    assert part in capfd.readouterr().err


LISTED = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}


@pytest.mark.parametrize(
    "flags",
    [
        ["--base", json.dumps(LISTED)],
        ["--seed", "3"],
        ["--enqueue", '{"network": "mlp"}'],
        ["--when", "seed:network=mlp"],
        ["--sampler", "gp"],
        ["--allow-repeats"],
    ],
    ids=lambda flags: flags[0],
)
def test_a_list_of_experiments_refuses_the_flags_of_a_search(flags, place, capfd):
    (place / "list.json").write_text(json.dumps({"experiments": [LISTED]}))
    assert main(["list.json", *flags, "--dry-run"]) == 2
    assert f"no effect on a list of experiments: {flags[0]}." in capfd.readouterr().err


def write_a_list_with_mistakes(place: Path) -> None:
    mistyped = {**LISTED, "network_args": {"layer_siz": 8}}
    listed = [mistyped, {**LISTED, "train_args": {"epochs": 1}}, 3, {**LISTED, "network.layer_size": 5}]
    (place / "list.json").write_text(json.dumps({"experiment_group": "L", "experiments": listed}))


def test_what_is_invalid_in_a_list_blocks_the_others_only_unless_it_is_skipped(place, digits_prepared, capfd):
    write_a_list_with_mistakes(place)
    assert main(["list.json", "--dry-run"]) == 2
    assert "experiment 3: an experiment must be an object. Received: 3." in capfd.readouterr().err
    assert main(["list.json", "--skip-invalid", "--nowandb", "--gpu=none", "--isolation=inline"]) == 0
    printed = capfd.readouterr().out
    assert "1 finished" in printed
    assert "left out    experiment 1: network 'mlp' has no argument 'layer_siz'" in printed
    assert "left out    experiment 4: 'network.layer_size' cannot be set" in printed
    assert main(["sweep.yaml", "--skip-invalid", "--dry-run"]) == 2
    assert "no effect on a grid search: --skip-invalid." in capfd.readouterr().err


def test_a_list_of_mistakes_alone_is_refused_also_when_they_are_skipped(place, capfd):
    (place / "list.json").write_text(json.dumps({"experiments": [3, {}]}))
    assert main(["list.json", "--skip-invalid"]) == 2
    assert "experiment 2: " in capfd.readouterr().err


@pytest.mark.parametrize("path", ["nowhere.tsv", "empty.tsv"])
def test_data_that_cannot_be_had_for_one_experiment_keep_no_other_from_training(path, place, digits_prepared, capfd):
    (place / "empty.tsv").write_text("path\ttext\n")
    lines = {"dataset": "LineListDataset", "dataset_args": {"path": path}}
    lines |= {"model": "LineModelCtc", "network": "line_lstm_ctc"}
    listed = [lines, {**LISTED, "train_args": {"epochs": 1}}]
    (place / "list.json").write_text(json.dumps({"experiments": listed, "experiment_group": "L"}))
    main(["list.json", "--skip-invalid", "--nowandb", "--gpu=none", "--isolation=inline"])
    captured = capfd.readouterr()
    assert path in captured.out
    assert "1 finished" in captured.out


def test_a_wandb_mode_that_is_none_is_told_before_anything_is_done(place, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "bogus")
    assert main(["sweep.yaml", "--dry-run"]) == 2
    assert "WANDB_MODE must be one of" in capfd.readouterr().err


def test_dotted_keys_of_specs_mean_the_same_as_in_one_experiment(place, capfd):
    (place / "list.json").write_text(json.dumps({"experiments": [{**LISTED, "network_args.layer_size": 5}]}))
    assert main(["list.json", "--dry-run"]) == 0
    (place / "base.json").write_text(json.dumps({"train_args.label_smoothing": 0.25}))
    assert main(["sweep.yaml", "--base", "base.json", "--dry-run"]) == 0
    assert '"train_args": {"label_smoothing": 0.25}' in capfd.readouterr().out
    (place / "list.json").write_text(json.dumps({"experiments": [{**LISTED, "network.layer_size": 5}]}))
    assert main(["list.json", "--dry-run"]) == 2
    assert "experiment 1: 'network.layer_size' cannot be set" in capfd.readouterr().err
    (place / "list.json").write_text(json.dumps({"experiment_group": 3, "experiments": [LISTED]}))
    assert main(["list.json", "--dry-run"]) == 2
    assert "experiment_group must be text. Received: 3." in capfd.readouterr().err


def test_the_command_line_raises_the_run_cap_of_the_file(place, capfd):
    (place / "sweep.yaml").write_text(SWEEP + "run_cap: 1\n")
    assert main(["sweep.yaml", "--dry-run", "--run-cap", "3"]) == 0
    assert "at most 3 trial" in capfd.readouterr().out
    assert main(["sweep.yaml", "--dry-run"]) == 0
    assert "at most 1 trial" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--gpu", "1", "--gpu-memory", "6GiB", "--gpu-force"], DeviceRequest(1, ("1",), 6144, force=True)),
        (["--gpus-per-trial", "2", "--gpu-force"], DeviceRequest(2, force=True)),
        (["--gpus-per-trial", "5e-1"], DeviceRequest(1, memory_share=0.5)),
        (["--gpus-per-trial", "1", "--gpu-memory", "6GiB"], DeviceRequest(1, memory_mib=6144)),
    ],
)
def test_the_devices_of_each_trial_are_asked_for_as_for_one_experiment(flags, expected):
    assert options.device_request(options.parser("run_sweep").parse_args(["sweep.yaml", *flags])) == expected


def test_values_of_one_trial_run_one_experiment(place, digits_prepared):
    values = ["--dataset=DigitsDataset", "--model=CharacterModel", "--network=mlp", "--train_args.epochs=1"]
    assert main([*values, "--network_args={'layer_size': 4}", "--nowandb", "--gpu=none"]) == 0
    spec = find_run("last").spec
    assert spec.network_args["layer_size"] == 4
    assert spec.train_args["augmentation"] == "none"  # not the default experiment's: the values say all that matters


def test_a_list_killed_half_way_is_resumed_with_nothing_done_twice(place, digits_prepared):
    spec = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp", "train_args": {"epochs": 3}}
    experiments = [{**spec, "network_args": {"layer_size": size}} for size in (8, 16, 32, 64)]
    (place / "list.json").write_text(json.dumps({"experiment_group": "L", "experiments": experiments}))
    process = start(place, "list.json", "--jobs", "2")
    wait_until(lambda: len(list(place.glob("runs/L/*/evaluation.json"))) >= 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = start(place, "list.json", "--jobs", "2", "--resume")
    output, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, output
    assert "4 finished" in output
    runs = [Run.open(path) for path in (place / "runs" / "L").iterdir() if path.is_dir()]
    assert len(runs) == 4
    assert all(run.status().state == "finished" for run in runs)
    once = [run for run in runs if len(run.read_json("launch.json")["attempts"]) == 1]
    assert len(once) >= 2


def test_experiments_are_printed_as_commands_a_shell_takes(place, capfd):
    spec = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}
    (place / "list.json").write_text(json.dumps({"experiment_group": "It's mine", "experiments": [spec]}))
    assert prepare_experiments(["list.json", "--gpu=none"]) == 0
    command = capfd.readouterr().out.strip()
    assert command.startswith("run_experiment --gpu=none '")
    done = subprocess.run(
        ["bash", "-c", f"{command} --dry-run"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"experiment_group": "It\'s mine"' in done.stdout
    assert prepare_experiments(["sweep.yaml"]) == 2
    assert "is not a JSON file" in capfd.readouterr().err


def test_commands_are_printed_for_the_valid_experiments_where_others_are_skipped(place, capfd):
    write_a_list_with_mistakes(place)
    assert prepare_experiments(["list.json"]) == 2
    capfd.readouterr()
    assert prepare_experiments(["list.json", "--skip-invalid"]) == 0
    captured = capfd.readouterr()
    assert captured.out.count("run_experiment") == 1
    assert "left out: experiment 1: network 'mlp' has no argument 'layer_siz'" in captured.err


def test_a_run_is_stopped_and_followed_from_elsewhere(place, digits_prepared, warm):
    spec = {**LISTED, "dataset": PAUSING, "train_args": {"epochs": 99_999}}
    command = ["run_experiment", json.dumps(spec), "--nowandb", "--gpu=none"]
    with open(place / "output", "w") as output:
        process = warm.start(*command, cwd=place, env={**os.environ, **pause(place / "gate")}, output=output)
    wait_until(lambda: list(place.glob("runs/*/*/metrics.jsonl")))
    command = [sys.executable, "-m", "training.cli", "runs", "tail", "last", "--lines=999999"]
    tail = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert tail.stdout is not None
    assert any("epoch     1/99999" in line for line in tail.stdout)
    assert text_recognizer(["runs", "stop", "last", "--reason", "enough"]) == 0
    assert process.wait(PATIENCE_S) == 0
    followed, _ = tail.communicate(timeout=PATIENCE_S)
    assert "stopped (enough)" in followed
    assert text_recognizer(["runs", "stop", "last"]) == 2
