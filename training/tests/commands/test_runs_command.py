"""text-recognizer runs: what it lists and shows, on folders that no training made."""

import json
import shlex
import types

import pytest

from text_recognizer.spec import ExperimentSpec
from training.cli import main as text_recognizer
from training.runs.run import Run
from training.terminal.tables import shown


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    arguments = {"batch_size": 8, "early_stopping": None}
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", train_args=arguments), "one", tmp_path)
    run.set_state("finished", summary={"test_accuracy": 0.9})
    return run


def filtered(condition: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = text_recognizer(["runs", "list", "--filter", condition, "--columns=id", "--format=csv"])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("test_accuracy>0.8", True),
        ("test_accuracy>0.95", False),
        ("train_args.batch_size=8", True),
        ("train_args.early_stopping=3", False),  # the key is there, with null
        ("epochs=3", False),
        ("id=1", False),
        ("id!=1", True),
    ],
)
def test_filters_choose_runs(run, capsys, condition, found):
    code, said = filtered(condition, capsys)
    assert (code, said.split()) == (0, ["id", "one"] if found else ["id"])


@pytest.mark.parametrize(
    ("condition", "meant"),
    [("test_acuracy>0.8", "test_accuracy"), ("train_args.batchsize=8", "train_args.batch_size"), ("grup=a", "group")],
)
def test_a_filter_by_a_column_that_no_run_has_is_an_error(run, capsys, condition, meant):
    code, said = filtered(condition, capsys)
    assert code == 2
    assert f"no run has the column '{condition.rstrip('=>a0.8')}'. Did you mean '{meant}'?" in said


def test_a_column_to_show_that_no_run_has_is_an_error_and_a_usual_one_is_not(run, capsys):
    assert text_recognizer(["runs", "list", "--columns=id,train_args.batchsize"]) == 2
    assert (
        "no run has the column 'train_args.batchsize'. Did you mean 'train_args.batch_size'?" in capsys.readouterr().err
    )
    # val_loss will be there when a run has one; another run has the accuracy.
    assert text_recognizer(["runs", "list", "--state=failed", "--columns=id,val_loss,test_accuracy"]) == 0


def test_a_table_without_any_run_says_where_they_were_looked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    assert text_recognizer(["runs", "list", "--columns=id,my_metric"]) == 0  # of no run, no metric is unknown
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"no run in {tmp_path} yet; TEXT_RECOGNIZER_RUNS names another folder"
    ]


def test_a_run_that_never_started_is_shown(run, capsys):
    assert text_recognizer(["runs", "show", "one", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["environment"]) == ("finished", None)


@pytest.mark.parametrize(("lines", "shown"), [(0, []), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_the_end_of_a_log_is_as_long_as_asked(run, capsys, lines, shown):
    (run.folder / "log.txt").write_text("a\nb\nc\n")
    assert text_recognizer(["runs", "tail", "one", f"--lines={lines}"]) == 0
    assert capsys.readouterr().out.split() == shown


def test_a_negative_number_of_lines_is_refused(run, capsys):
    assert text_recognizer(["runs", "tail", "one", "--lines=-3"]) == 2
    assert "--lines: a whole number from 0 to 1,000,000,000 is expected. Received: '-3'" in capsys.readouterr().err


def test_waiting_for_a_run_that_has_not_started_is_said(run, capsys, monkeypatch):
    run.set_state("created")
    (run.folder / "log.txt").write_text("a\n")
    ending = types.SimpleNamespace(sleep=lambda _: run.set_state("finished"))  # while it waits
    monkeypatch.setattr("training.commands.runs.time", ending)
    assert text_recognizer(["runs", "tail", "one"]) == 0
    assert "one has not started yet; waiting for its first line" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--state=finished"], ["one"]),
        (["--state=failed"], []),
        (["--group=default"], ["one"]),
        (["--group=another"], []),
        (["--state=finished", "--filter=test_accuracy>0.95"], []),
        (["--state=failed", "--sort=-test_accuracy"], []),  # a column of runs in another state
    ],
)
def test_runs_are_listed_by_state_and_group_as_json(run, capsys, flags, found):
    flags = [flag.replace("default", run.folder.parent.name) for flag in flags]
    assert text_recognizer(["runs", "list", "--json", *flags]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == found


def test_a_run_without_a_model_says_so_and_how_it_gets_one(run, capsys):
    run.set_state("failed")
    for name in ("one", str(run.folder)):
        assert text_recognizer(["promote", name, "--as", "digits"]) == 2
        assert f"the run {run.folder} (failed) has no model. It gets one when it finishes" in capsys.readouterr().err
    run.set_state("finished")
    assert text_recognizer(["promote", "one", "--as", "digits"]) == 2
    assert "(finished) has no model. It was imported, or its model was removed." in capsys.readouterr().err


def test_a_command_to_copy_names_a_folder_with_spaces_as_one_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "my runs"))
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one $(two)")
    assert text_recognizer(["runs", "stop", run.id]) == 0
    stopping = capsys.readouterr().out
    run.set_state("failed")
    assert text_recognizer(["runs", "show", run.id]) == 0
    showing = capsys.readouterr().out
    assert text_recognizer(["promote", run.id, "--as", "digits"]) == 2
    without_model = capsys.readouterr().err
    for said, name in ((stopping, run.id), (showing, run.folder), (without_model, run.folder)):
        assert shlex.split(said.partition("run_experiment ")[2]) == ["--resume", str(name)]


def test_an_id_or_group_of_digits_is_found(run, tmp_path, capsys):
    Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", experiment_group="2026"), "7", tmp_path)
    for condition, found in (("group=2026", ["7"]), ("id=7", ["7"]), ("id!=7", ["one"])):
        code, said = filtered(condition, capsys)
        assert (code, said.split()[1:]) == (0, found)


def test_a_state_that_no_run_can_have_is_refused(run, capsys):
    assert text_recognizer(["runs", "list", "--state=fialed"]) == 2
    assert "'fialed'. Did you mean 'failed'?" in capsys.readouterr().err


def test_labels_and_readings_are_exported_line_by_line(run, capsys, tmp_path):
    output = tmp_path / "predict.txt"
    assert text_recognizer(["runs", "export", "one", str(output)]) == 2
    assert "has no predictions" in capsys.readouterr().err
    rows = [{"position": 0, "label": "größe ,", "predicted": "grobe"}, {"position": 1, "label": "b", "predicted": ""}]
    (run.folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert text_recognizer(["runs", "export", "one", str(output)]) == 0
    assert output.read_bytes().decode() == "TE_L größe ,\nTE_P grobe\nTE_L b\nTE_P \n"
    assert text_recognizer(["runs", "export", "one", str(output)]) == 2
    assert "Name a new file" in capsys.readouterr().err


def test_it_is_said_why_a_curve_that_was_asked_for_is_not_drawn(run, capsys):
    run.log({"epoch": 1, "val_loss": 0.5})
    assert text_recognizer(["runs", "compare", "one", "--curve=val_loss"]) == 0
    assert "no curve of val_loss: no run has a number of it for two epochs or more" in capsys.readouterr().out
    assert text_recognizer(["runs", "compare", "one"]) == 0
    assert "no curve" not in capsys.readouterr().out


def test_runs_are_compared_as_json(run, capsys):
    assert text_recognizer(["runs", "compare", "one", "one", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["metrics"] == {"test_accuracy": [0.9, 0.9]}
    assert (compared["differing"], compared["test"], len(compared["runs"])) == ({}, None, 2)


def test_a_comparison_shows_what_unfinished_runs_reported_last(run, tmp_path, capsys):
    busy = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", seed=1), "two", tmp_path)
    busy.log({"epoch": 1, "val_loss": 0.5})
    assert text_recognizer(["runs", "compare", "one", "two", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["metrics"] == {"test_accuracy": [0.9, None], "val_loss": [None, 0.5]}


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.0000"), (2e-5, "2e-05"), (0.5, "0.5000"), (2.078e29, "2.08e+29")])
def test_very_small_and_very_large_figures_are_short(value, text):
    assert shown("val_loss", value) == text
