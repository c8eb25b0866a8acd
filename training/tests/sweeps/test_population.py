"""Population based training: rounds are a function of the folders, copies begin where their parents were."""

import math
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.errors import SpecError
from text_recognizer.models.bundle import Bundle
from training.attempts.checkpoint import read_checkpoint
from training.cli import main as cli
from training.runs.contents import CHECKPOINT, snapshot_of
from training.runs.run import Run
from training.sweeps import sweep as loop
from training.sweeps.events import event_fault
from training.sweeps.file.parameter import Parameter
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import make_search
from training.sweeps.search.population import Rounds
from training.sweeps.trials import Trial
from training.tests.sweeps.sweep_support import MadeUpExecutor, journal, sweep_of

SPACE = """
method: random
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {value: 8}
  train_args.learning_rate: {distribution: log_uniform_values, min: 0.0001, max: 1.0}
  train_args.batch_size: {values: [16, 32, 64]}
  train_args.epochs: {value: 6}
"""
RATES = "{distribution: log_uniform_values, min: 0.0001, max: 1.0}"
GRID = {"method: random": "method: grid", RATES: "{values: [0.1, 0.2]}"}
SEARCH = "population:size=4,interval=2"


def learning(spec, _attempt):
    """The loss sinks from where the parent was, the faster the nearer the learning rate is to 0.01."""
    initial = spec.train_args.get("initial_weights")
    loss = 1.0 if initial is None else Bundle.read(Path(initial)).metrics["val_loss"]
    for _ in range(spec.train_args["epochs"]):
        loss *= 0.5 + 0.1 * abs(math.log10(spec.train_args["learning_rate"]) + 2)
        yield loss


def population(root: Path, story=learning, capacity: int = 3, search: str = SEARCH, **options):
    executor = MadeUpExecutor(story, capacity)
    return *sweep_of(SPACE, root, executor, search=search, **options), executor


def outcome(sweep):
    """All that a sweep decided and came to, but for the names and places of its runs."""
    names = {trial.runs[0].id: trial.number for trial in sweep.trials.values()}

    def told(trial):
        copied = dict(trial.point.get("copied", {}))
        if copied:
            snapshot = Path(copied["train_args.initial_weights"])
            copied["train_args.initial_weights"] = names[snapshot.parents[1].name], snapshot.name
        return {**trial.point, "copied": copied}, dict(trial.how), trial.state, sweep.history.values(trial)

    return {number: told(trial) for number, trial in sweep.trials.items()}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "POLL_S", 0.002)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    sweep, recorder, executor = population(tmp_path_factory.mktemp("undisturbed"))
    assert sweep.run().exit_code == 0
    return sweep, recorder, executor


def test_the_worst_end_and_copies_of_the_best_go_on(undisturbed):
    sweep, recorder, executor = undisturbed
    first = {number: learning_of(sweep, number) for number in range(1, 5)}
    by_rate = sorted(first, key=lambda number: abs(math.log10(first[number]) + 2))
    best, worst = by_rate[0], by_rate[-1]
    assert len(sweep.trials) == 6  # four, and one in each of two rounds
    assert sweep.trials[worst].state == "stopped"
    assert sweep.trials[worst].runs[0].cause == "early_termination"
    lineage = sweep.trials[5].how["population"]
    assert (lineage["parent"], lineage["replaces"], lineage["epoch"]) == (best, worst, 2)
    run = Run(sweep.trials[5].runs[0].folder)
    assert run.spec.train_args["epochs"] == 4
    assert run.spec.train_args["initial_weights"] == str(snapshot_of(sweep.trials[best].runs[0].folder, 2).resolve())
    changed = {name: values[1] for name, values in lineage["changed"].items()}
    assert changed
    assert all(sweep.plan.swept(sweep.trials[5].point)[name] == value for name, value in changed.items())
    assert sweep.history.counts() == {"finished": 4, "stopped": 2}
    assert any(f"trial {worst} stopped" in event for event in recorder.events)
    told = next(one for one in sweep.trials[worst].decisions if one["stop"])
    assert (told["copy"], told["parent"], told["rank"], told["of"]) == (5, best, 4, 4)
    survivors = [number for number in (1, 2, 3, 4) if sweep.trials[number].state == "finished"]
    for number in survivors:  # each paused twice, and reported every epoch once
        assert executor.started.count(sweep.trials[number].runs[0].id) == 3
        rows = Run(sweep.trials[number].runs[0].folder).rows()
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_of_the_snapshots_of_a_round_only_those_that_copies_begin_with_keep_their_weights(undisturbed):
    sweep = undisturbed[0]
    kept = {weights.parent for weights in sweep.folder.path.glob("*/snapshots/*/model.weights.h5")}
    copied = [sweep.trials[number].point["copied"]["train_args.initial_weights"] for number in (5, 6)]
    assert kept == {Path(folder) for folder in copied}
    assert len(list(sweep.folder.path.glob("*/snapshots/*/bundle.json"))) == 8  # what all were worth in both rounds


def learning_of(sweep, number):
    return sweep.trials[number].point["train_args.learning_rate"]


@pytest.mark.parametrize("lineage", [None, [], {"changed": []}, {"changed": {"a": 1}}])
def test_a_lineage_that_tells_nothing_is_damage_of_the_journal(lineage):
    event = {"event": "suggest", "trial": 1, "point": {}, "how": {"population": lineage}, "runs": ["a"]}
    assert "'how' of the event 'suggest' is wrong" in str(event_fault(event))
    assert Trial(1, {}, {"population": {"changed": {"a": ["b", 0.125]}}}, []).copy_of == (
        "trial None at epoch None, a b -> 0.125"
    )


@pytest.mark.parametrize("capacity", [1, 4])
def test_the_number_of_devices_changes_no_decision(capacity, tmp_path, undisturbed):
    sweep, *_ = population(tmp_path, capacity=capacity)
    assert sweep.run().exit_code == 0
    assert outcome(sweep) == outcome(undisturbed[0])


def test_a_driver_killed_after_any_line_of_its_journal_goes_on_with_the_same_decisions(tmp_path, undisturbed):
    lines = len(journal(undisturbed[0].folder.path))
    assert lines > 25
    for count in range(1, lines):
        sweep, *_ = population(tmp_path / str(count))
        die_after(sweep, count)
        with pytest.raises(KeyboardInterrupt):
            sweep.run()
        again, *_ = population(tmp_path / str(count))
        assert again.run().exit_code == 0
        assert outcome(again) == outcome(undisturbed[0]), count


def die_after(sweep, count):
    append, written = sweep.folder.append, []

    def dying(event, **facts):
        append(event, **facts)
        written.append(event)
        if len(written) == count:
            raise KeyboardInterrupt

    sweep.folder.append = dying


def test_another_seed_makes_other_decisions(tmp_path, undisturbed):
    sweep, *_ = population(tmp_path, seed=1)
    sweep.run()
    assert outcome(sweep) != outcome(undisturbed[0])


def test_a_member_that_failed_or_was_stopped_is_the_first_to_be_replaced(tmp_path):
    def story(spec, attempt):
        if spec.train_args["learning_rate"] == best:
            return "DivergedError: the loss became nan"
        return learning(spec, attempt)

    search = make_search(read_plan_of(tmp_path))
    drawn = [search.ask(number) for number in range(1, 5)]
    rates = [one.point["train_args.learning_rate"] for one in drawn if one is not None]
    best = min(rates, key=lambda rate: abs(math.log10(rate) + 2))
    sweep, *_ = population(tmp_path / "runs", story)
    assert sweep.run().complete
    assert sweep.trials[5].how["population"]["replaces"] == rates.index(best) + 1
    assert len(sweep.trials) == 6


def read_plan_of(root, text=SPACE, **options):
    root.mkdir(exist_ok=True)
    (root / "file.yaml").write_text(text)
    return read_plan(root / "file.yaml", **{"search": SEARCH, **options})


def test_a_copy_begins_with_the_weights_of_the_checkpoint_and_a_pause_changes_nothing(tmp_path, monkeypatch, capsys):
    from training.run_experiment import main as run_experiment
    from training.run_sweep import main

    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(Rounds, "_prune", lambda *_: None)  # the weights of the worst are compared below
    text = SPACE.replace("{value: 6}", "{value: 2}") + "  train_args.steps_per_epoch: {value: 3}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    flags = ["--search", "population:size=2,quantile=0.5", "--isolation", "inline", "--nowandb", "--gpu", "none"]
    assert main([str(tmp_path / "sweep.yaml"), *flags]) == 0
    first, second, copy = sorted((tmp_path / "runs" / "sweep").glob("*-t0*"), key=lambda path: path.name[-4:])
    worst, parent = sorted((first, second), key=lambda path: Run.open(path).status().state != "stopped")
    checkpoint, _ = read_checkpoint(worst / CHECKPOINT)
    kept = Bundle.read(snapshot_of(worst, 1)).load().keras_model.weights
    weights = [values for values in checkpoint["model"] if values.dtype == np.float32]  # not the seeds of dropout
    assert all(np.array_equal(one, other) for one, other in zip(kept, weights, strict=True))
    assert Run.open(copy).spec.train_args["initial_weights"] == str(snapshot_of(parent, 1).resolve())
    assert Run.open(copy).status().epochs == 1
    assert run_experiment([str(parent / "spec.json"), "--id=whole", "--nowandb", "--gpu=none"]) == 0
    (whole,) = (tmp_path / "runs").glob("*/whole")
    ended = [read_checkpoint(folder / CHECKPOINT)[0] for folder in (parent, whole)]
    assert all(np.array_equal(one, other) for one, other in zip(*(each["model"] for each in ended), strict=True))
    capsys.readouterr()
    assert cli(["sweeps", "show", "sweep"]) == 0
    number = int(parent.name[-4:])
    shown = capsys.readouterr().out
    assert f"trial {number} at epoch 1, train_args." in shown
    assert "search      population:size=2,quantile=0.5, minimize val_loss" in shown
    board = (tmp_path / "runs" / "sweep" / "leaderboard.csv").read_text()
    assert f"trial {number} at epoch 1, train_args." in board


@pytest.mark.parametrize(
    ("parameter", "value", "factor", "near"),
    [
        ({"min": 0.0, "max": 1.0}, 0.5, 1.2, 0.6),
        ({"min": 0.0, "max": 0.55}, 0.5, 1.2, 0.55),
        ({"min": 1, "max": 9}, 5, 0.8, 4),
        ({"min": 1, "max": 9}, 2, 1.2, 3),
        ({"min": 1, "max": 9}, 1, 0.8, 1),
        ({"distribution": "q_uniform", "min": 0, "max": 100, "q": 10}, 50, 0.8, 40),
        ({"values": ["a", "b", "c"]}, "b", 1.2, "c"),
        ({"values": ["a", "b", "c"]}, "c", 1.2, "b"),
        ({"values": ["a"]}, "a", 0.8, "a"),
    ],
)
def test_a_neighbouring_value_stays_in_the_space(parameter, value, factor, near):
    found = Parameter.from_config(("x",), parameter).near(value, factor)
    assert found == pytest.approx(near) if isinstance(near, float) else (found, type(found)) == (near, type(near))


@pytest.mark.parametrize(
    ("search", "change", "message"),
    [
        ("population:size=1", {}, "size must be at least 2"),
        ("population:quantile=0.6", {}, "quantile must be at most 0.5"),
        ("population:quantile=0", {}, "quantile must be greater than 0"),
        ("population:interval=0", {}, "interval must be at least 1"),
        ("population:interval=6", {}, "interval must be below train_args.epochs, 6. Received: 6"),
        ("population:sizes=3", {}, "no argument 'sizes'. Did you mean 'size'"),
        ("population", GRID, "method: grid tries every point once"),
        ("population", {"{value: 8}": "{values: [8, 16]}"}, "network_args.layer_size (line 8)"),
        ("population", {"{value: 6}": "{values: [6, 8]}"}, "train_args.epochs (line 11)"),
        ("population", {"metric: {name: val_loss, goal: minimize}": ""}, "The file's metric: none"),
        ("population", {"name: val_loss": "name: test_loss"}, "The file's metric: test_loss"),
        ("population", {"train_args.epochs: {value: 6}": "train_args.minutes: {value: 6}"}, "train_args.minutes must"),
    ],
)
def test_what_a_population_cannot_do_is_said_before_anything_runs(search, change, message, tmp_path):
    text = SPACE
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(SpecError) as caught:
        make_search(read_plan_of(tmp_path, text, search=search))
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--seeds", "2", "--stopping-rule", "hyperband:min_iter=3", "--reuse"],
            "--stopping-rule, --seeds, --reuse cannot be combined with --search population:size=4,interval=2",
        ),
        (["--run-cap", "5"], "needs 6 trials"),
    ],
)
def test_flags_that_contradict_a_population_are_refused(flags, message, tmp_path, capsys):
    from training.run_sweep import main

    (tmp_path / "sweep.yaml").write_text(SPACE)
    assert main([str(tmp_path / "sweep.yaml"), "--search", SEARCH, "--dry-run", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_dry_run_says_the_rounds(tmp_path, capsys):
    from training.run_sweep import main

    (tmp_path / "sweep.yaml").write_text(SPACE)
    assert main([str(tmp_path / "sweep.yaml"), "--search", SEARCH, "--dry-run"]) == 0
    assert "after epochs 2, 4, the worst 1 of 4 are replaced by copies of the best 1" in capsys.readouterr().out
