"""A finished run that is extended ends as one that was as long from its start."""

import json
import shutil
import signal

import pytest

from training.attempts import epochs
from training.attempts.checkpoint import read_checkpoint, write_checkpoint
from training.run_experiment import main
from training.runs.find import find_run
from training.runs.run import Run
from training.sweeps.reuse import Reusable
from training.tests.attempts.test_epochs import Clock
from training.tests.attempts.test_resume import facts
from training.tests.commands.test_run_experiment import SMALL

ARGS = {
    **SMALL["train_args"],  # type: ignore[dict-item]
    "schedule": "reduce_on_plateau",
    "schedule_args": {"patience": 1, "factor": 0.5, "min_delta": 100},
    "early_stopping": {"patience": 9},
    "average_decay": 0.9,
    "checkpoint_interval_s": 0,
}
QUIETLY = ("--nowandb", "--gpu=none")


def start(run_id: str, **train_args: object) -> Run:
    spec = {**SMALL, "train_args": {**ARGS, **train_args}}
    assert main([json.dumps(spec), *QUIETLY, f"--id={run_id}"]) == 0
    return find_run(run_id)


@pytest.fixture(scope="module")
def made(tmp_path_factory, digits_prepared):
    """A run of two epochs and one of four."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(root))
        start("short")
        start("long", epochs=4)
    return root


@pytest.fixture
def runs(made, tmp_path, monkeypatch):
    """Copies of them, the short one to extend."""
    shutil.copytree(made, tmp_path / "runs")
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def extend(length: str, name: str = "short") -> int:
    return main(["--resume", name, "--extend", length, *QUIETLY])


def of_training(run: Run) -> dict[str, object]:
    """What an extended run and one that was as long from its start have in common: all but the test it was ended by."""
    found = facts(run)
    rows = found["rows"]
    assert isinstance(rows, list)
    return {**found, "rows": [row for row in rows if "test_loss" not in row or row["epoch"] == 4]}


def test_an_extended_run_equals_one_that_was_as_long_from_its_start_bit_for_bit(runs, capfd):
    before = find_run("short").spec
    assert find_run("last").id == "long"
    assert extend("epochs=4") == 0
    run = find_run("short")
    assert of_training(run) == of_training(find_run("long"))
    printed = capfd.readouterr().out
    assert "extended    from 2 to 4 epochs" in printed
    assert "learning rate continues" not in printed
    assert (run.spec, run.status().epochs) == (find_run("long").spec, 4)
    assert run.attempts()[-1]["extended"] == {
        "digest": before.digest,
        "from": {"epochs": 2, "minutes": None},
        "to": {"epochs": 4, "minutes": None},
    }
    assert find_run("last").id == "long"
    assert extend("epochs=4") == 0
    assert "is finished already" in capfd.readouterr().out
    assert len(run.attempts()) == 2


def test_an_extension_that_is_interrupted_goes_on_like_any_run(runs, monkeypatch):
    with monkeypatch.context() as interrupted:
        interrupted.setattr(epochs, "time", Clock(interrupt_at=4))
        assert extend("epochs=4") == 128 + signal.SIGINT
    assert find_run("short").status().epoch == 2
    assert main(["--resume", "short", *QUIETLY]) == 0
    assert of_training(find_run("short")) == of_training(find_run("long"))


def test_a_later_epoch_that_is_worse_than_the_best_before_is_not_marked_as_best(runs, capfd):
    run = find_run("short")
    _, state = read_checkpoint(run.folder / "checkpoints" / "last.npz")
    _with_state(run, best={**state["best"], "value": -1.0})  # no loss is lower
    assert extend("epochs=3") == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("epoch 3/3")]
    assert not line.endswith("best")


def test_a_schedule_that_spans_the_training_goes_on_as_in_the_longer_one_and_says_so(runs, capfd):
    start("cosine", epochs=1, schedule="cosine", schedule_args={}, learning_rate=0.01)
    assert extend("epochs=2", "cosine") == 0
    assert "warning     the learning rate continues as in a training of 2 epochs" in capfd.readouterr().out
    rates = [row["learning_rate"] for row in find_run("cosine").rows() if "loss" in row]
    assert rates == pytest.approx([0, 0], abs=1e-8)


def test_no_trial_is_answered_from_a_run_that_was_extended(runs):
    long = find_run("long")
    assert Reusable(runs).find(long.spec) == long.folder
    long.note(extended=True)
    assert Reusable(runs).find(long.spec) is None


def test_the_minutes_of_a_run_are_extended_with_epochs_as_long_as_before(runs, monkeypatch):
    monkeypatch.setattr(epochs, "time", Clock())
    start("timed", minutes=0.5, epochs=2)
    assert extend("minutes=1", "timed") == 0
    run = find_run("timed")
    assert (run.spec.train_args["minutes"], run.spec.train_args["epochs"]) == (1, 4)
    assert [row["epoch"] for row in run.rows() if "loss" in row] == [1, 2, 3, 4]
    _, state = read_checkpoint(run.folder / "checkpoints" / "last.npz")
    assert 60 <= state["seconds_trained"] < 70


@pytest.mark.parametrize(
    ("length", "part"),
    [
        (
            "epochs",
            "--extend takes the total length of the run, as epochs=N or minutes=N. Received: 'epochs'",
        ),
        ("batch_size=3", "as epochs=N or minutes=N"),
        ("epochs=2.5", "epochs must be a whole number"),
        ("epochs=0", "epochs must be at least 1"),
        ("epochs=1", "total length, and the run short has had epochs=2: give more, for example epochs=3."),
        ("minutes=3", "the length of the run short is in epochs: --extend epochs=N"),
    ],
)
def test_a_length_that_cannot_be_is_refused(length, part, runs, capfd):
    assert extend(length) == 2
    assert part in capfd.readouterr().err
    assert find_run("short").status().state == "finished"


def _to_trial(run):
    launch = run.attempts()[-1]
    run.write_json("launch.json", {"attempts": [{**launch, "sweep": "great", "trial": 3}]})


def _to_stopped_early(run):
    _with_state(run, early_stop={"best": 0.1, "waited": 9}, ended="val_loss has not improved for 9 epochs")


def _with_state(run, **changed):
    path = run.folder / "checkpoints" / "last.npz"
    groups, state = read_checkpoint(path)
    write_checkpoint(path, groups, {**state, **changed})


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (_to_trial, "is a trial of the sweep great"),
        (lambda run: shutil.rmtree(run.folder / "checkpoints"), "has no checkpoint to continue from"),
        (
            lambda run: _with_state(run, ended=None),
            "has not completed its training: its state is finished, in epoch 3 of 2. Resume it",
        ),
        (_to_stopped_early, "whatever its length: val_loss has not improved for 9 epochs"),
        (lambda run: run.log({"epoch": 2, "loss": None}), "would end at the same point whatever its length"),
    ],
)
def test_a_run_that_cannot_go_on_is_refused(change, part, runs, capfd):
    change(find_run("short"))
    assert extend("epochs=4") == 2
    assert part in capfd.readouterr().err
    assert find_run("short").spec.train_args["epochs"] == 2


def test_changed_data_refuse_an_extension_and_the_run_stays_finished(runs, capfd):
    run = find_run("short")
    run.write_json("environment.json", {**run.read_json("environment.json"), "dataset_fingerprint": "0" * 16})
    assert extend("epochs=4") == 2
    assert "the data has changed since" in capfd.readouterr().err
    run = find_run("short")
    assert (run.status().state, run.spec.train_args["epochs"]) == ("finished", 2)


def test_extend_needs_a_run_and_a_dry_run_shows_what_it_would_train(runs, capfd):
    assert main([json.dumps(SMALL), "--extend", "epochs=4"]) == 2
    assert "--extend needs --resume RUN" in capfd.readouterr().err
    assert main(["--resume", "short", "--extend=epochs=4", "--dry-run"]) == 0
    assert "epoch 2 of 4" in capfd.readouterr().out
    assert find_run("short").spec.train_args["epochs"] == 2
