"""The Python API, as somebody meets it in a program or a notebook."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import text_recognizer as tr
from text_recognizer.errors import RunError, SpecError
from text_recognizer.tests.waiting import wait_until
from training.api import experiments
from training.api.experiments import written
from training.api.plain import plain
from training.runs.run import Run as RunFolder
from training.tests.executors.odd_networks import Odd
from training.tests.pausing_digits import PAUSING, pause

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "num_layers": 1},
    "train_args": {"batch_size": 32, "epochs": 2},
}
EPOCHS: dict[str, Any] = {"train_args.epochs": 3}
CPU: dict[str, Any] = {"gpu": "none", "wandb": "disabled"}
PICTURE = REPOSITORY / "text_recognizer/tests/support/digits/3.png"


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory, digits_prepared, warm_python):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("api") / "runs"
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def run(runs_folder):
    return tr.run_experiment(SMALL, id="first", experiment_group="api", **CPU, **EPOCHS)


def test_these_names_are_exported_and_no_others():
    assert dir(tr) == [
        "DataSpec", "Dataset", "ExperimentSpec", "Metric", "Model", "Network", "Prediction", "Run", "Runs", "Split",
        "SweepResult", "TextRecognizerError", "__version__", "draw_samples", "load_predictor", "run_experiment",
        "run_sweep", "runs",
    ]  # fmt: skip
    assert all(getattr(tr, name) is not None for name in dir(tr))
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        tr.train  # noqa: B018


def test_importing_it_and_listing_runs_imports_nothing_heavy():
    code = (
        "import sys, text_recognizer as tr;"
        "few = len([m for m in sys.modules if m.startswith(('text_recognizer', 'training'))]);"
        "tr.runs(); tr.Dataset, tr.Model, tr.Network, tr.run_experiment, tr.run_sweep;"
        "print(few, [m for m in ('tensorflow', 'keras', 'wandb', 'optuna', 'h5py', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["1", "[]\n"]


def test_a_run_is_trained_and_shows_its_figures(run, runs_folder):
    assert run.state == "finished"
    assert run.folder.parent == runs_folder / "api"
    assert run.spec.train_args["epochs"] == 3
    assert run.metrics["epoch"].tolist() == [1, 2, 3]
    assert run.metrics["val_loss"].dtype == np.float64
    assert run.summary["test_accuracy"] == run.evaluation["metrics"]["accuracy"]
    assert len(run.predictions) == run.evaluation["count"]
    assert "epoch 3/3" in run.log
    assert repr(run).startswith(f"<Run {run.id}: finished, test_loss")


def test_a_run_is_found_by_its_id_the_start_of_it_its_folder_and_as_the_last(run):
    for name in (run.id, run.id[:-1], run.folder, "last", run):
        assert tr.Run(name).folder == run.folder
    with pytest.raises(tr.TextRecognizerError, match="there is no run 'nothing'"):
        tr.Run("nothing")


def test_runs_are_a_table_and_a_sequence(run):
    found = tr.runs("network=mlp", "test_accuracy>0", sort="-test_accuracy", limit=1)
    assert [one.id for one in found] == [run.id]
    assert found[0].folder == run.folder
    assert len(found[:0]) == 0
    assert repr(found[:0]) == "no runs"
    assert repr(found).splitlines()[0].split()[:3] == ["id", "group", "state"]
    assert repr(tr.runs(limit=1, columns="id,state")).split() == ["id", "state", run.id, "finished"]
    assert found.rows[0]["spec"]["network"] == "mlp"
    assert len(tr.runs("network=lenet")) == len(tr.runs(state="failed")) == len(tr.runs(group="none")) == 0
    assert [one.id for one in tr.runs(state="finished", group="api")] == [run.id]
    with pytest.raises(tr.TextRecognizerError, match="no run has the column 'netwrk'. Did you mean"):
        tr.runs("netwrk=mlp")
    with pytest.raises(tr.TextRecognizerError, match="unknown state 'fialed'. Did you mean 'failed'"):
        tr.runs(state="fialed")
    with pytest.raises(tr.TextRecognizerError, match="no run has the column 'test_acuracy'. Did you mean"):
        tr.runs(columns=["id", "test_acuracy"])


def test_a_run_that_is_damaged_or_gone_is_shown_with_the_reason_beside_the_others(run, runs_folder):
    damaged, gone = (RunFolder.create(run.spec, name, runs_folder).folder for name in ("damaged", "gone"))
    (damaged / "status.json").write_text("{")
    found = tr.runs("id~damaged|gone|first", sort="id")
    shutil.rmtree(gone)
    assert [one.state for one in found[:2]] == ["damaged", "finished"]
    assert "not JSON" in repr(found[0])
    assert "not JSON" in found[0]._repr_html_()
    assert "not JSON" in repr(found)
    assert "is not a run folder" in repr(found[2])
    assert "is not a run folder" in found[2]._repr_html_()
    shutil.copytree(run.folder, damaged, dirs_exist_ok=True)
    (damaged / "spec.json").write_text("{}")
    assert "spec.json is not the spec of a run" in repr(found[0])
    with pytest.raises(RunError, match="is gone"):
        _ = found[2].state
    shutil.rmtree(damaged)


def test_pandas_is_used_where_it_is_and_named_where_it_is_not(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(tr.TextRecognizerError, match="pip install pandas"):
        tr.runs().to_pandas()
    made: list[Any] = []

    class Pandas:
        DataFrame = made.append

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    tr.runs().to_pandas()
    (row,) = made[0]
    assert (row["id"], row["train_args.epochs"]) == (run.id, 3)
    assert row["test_accuracy"] == run.summary["test_accuracy"]
    assert "spec" not in row  # an object, the keys of which are columns
    assert not [name for name, value in row.items() if isinstance(value, dict)]


def test_samples_of_a_dataset_and_of_a_run_are_pictures(run, monkeypatch):
    assert tr.draw_samples("DigitsDataset", count=2)._repr_png_()
    drawn = tr.draw_samples(run, count=2)
    assert drawn.height > tr.draw_samples("DigitsDataset", count=2).height  # what was read stands below
    with pytest.raises(tr.TextRecognizerError, match="has no argument 'lenght'"):
        tr.draw_samples("RenderedLinesDataset", {"lenght": 3})
    monkeypatch.setattr(tr.Run, "predictions", [])
    with pytest.raises(tr.TextRecognizerError, match="has no predictions yet: its state is finished"):
        tr.draw_samples(run)


def test_notebooks_show_numbers_as_tables_do(run, monkeypatch):
    monkeypatch.setattr(tr.Run, "summary", {"best_epoch": 3, "val_loss": 2.08e29, "test_accuracy": None})
    assert "<td>3</td>" in run._repr_html_()
    assert "<td>2.08e+29</td>" in run._repr_html_()
    assert "<td>-</td>" in run._repr_html_()


def test_notebooks_show_runs_with_everything_escaped(run, runs_folder, tmp_path):
    assert "<b>first</b>" in run._repr_html_()
    assert "<th>test_accuracy</th>" in tr.runs()._repr_html_()
    spec = run.folder / "spec.json"
    before = spec.read_text()
    try:
        spec.write_text(json.dumps({**json.loads(before), "experiment_group": "<script>"}))
        assert "<script>" not in tr.Run(run.folder)._repr_html_()
    finally:
        spec.write_text(before)


def test_a_run_that_is_over_cannot_be_stopped_and_one_that_is_not_has_no_evaluation(run, runs_folder):
    with pytest.raises(RunError, match="is not running: its state is finished"):
        run.stop()
    assert not (run.folder / "stop_request").exists()
    begun = tr.Run(RunFolder.create(run.spec, root=runs_folder).folder)
    with pytest.raises(RunError, match="has no evaluation: its state is created"):
        _ = begun.evaluation
    shutil.rmtree(begun.folder)


def test_a_predictor_reads_by_run_by_id_and_by_the_name_of_a_bundle(run):
    by_run, by_id = run.predictor().predict(PICTURE), tr.load_predictor(run.id).predict(str(PICTURE))
    assert by_run == by_id
    assert tr.load_predictor("CharacterModel_DigitsDataset_lenet").predict(PICTURE).text == "3"
    assert tr.load_predictor(run.folder / "model").predict_many([PICTURE])[0] == by_run
    with pytest.raises(tr.TextRecognizerError, match="no_such_bundle"):
        tr.load_predictor("no_such_bundle")


def test_notes_of_libraries_stay_off_the_screen_while_a_predictor_loads(run, monkeypatch, capfd):
    monkeypatch.setattr("text_recognizer.predictors.load.load", lambda bundle: os.write(2, b"oneDNN is on"))
    run.predictor()
    assert capfd.readouterr().err == ""


def test_what_is_wrong_with_a_spec_is_raised_at_once_and_leaves_no_run(runs_folder):
    before = len(tr.runs())
    with pytest.raises(tr.TextRecognizerError, match="unknown network 'mpl'. Did you mean 'mlp'"):
        tr.run_experiment({**SMALL, "network": "mpl"}, **CPU)
    with pytest.raises(tr.TextRecognizerError, match="there is no argument 'gpus'. Did you mean 'gpu'"):
        tr.run_experiment(SMALL, gpus=1)
    with pytest.raises(SpecError, match="unknown --wandb 'on'. Expected one of: online"):
        tr.run_experiment(SMALL, wandb="on")
    with pytest.raises(tr.TextRecognizerError, match=r"no argument 'netwrok'. Did you mean 'network'\?.* train_args"):
        tr.run_experiment(netwrok="mlp")
    with pytest.raises(tr.TextRecognizerError, match=r"--id must be at most 128 letters"):
        tr.run_experiment(SMALL, id="a/b", show=False)
    with pytest.raises(tr.TextRecognizerError, match=r"call its resume\(\)"):
        tr.run_experiment(resume="last")
    assert len(tr.runs()) == before


def test_a_class_stands_for_its_path_if_it_can_be_imported(runs_folder, monkeypatch):
    with pytest.raises(tr.TextRecognizerError, match=r"Net is defined in __main__, .* mine.py, .* 'mine:Net'."):
        tr.run_experiment(SMALL, network=type("Net", (tr.Network,), {"__module__": "__main__"}), **CPU)
    with pytest.raises(tr.TextRecognizerError, match="odd_networks:Odd' has no argument 'wishes'"):
        tr.run_experiment({**SMALL, "network": Odd, "network_args": {"wishes": 3}}, **CPU)
    with pytest.raises(tr.TextRecognizerError, match="network '.*:Network' does not define build. Name a class"):
        tr.run_experiment({**SMALL, "network": tr.Network}, **CPU)


def test_paths_and_numbers_of_numpy_stand_for_texts_and_numbers_in_specs_and_sweeps(runs_folder):
    spec = {"path": Path("letters"), "sides": (np.int64(28), np.float32(0.5)), "network": Odd}
    assert plain(spec) == {"path": "letters", "sides": [28, 0.5], "network": f"{Odd.__module__}:Odd"}
    with pytest.raises(tr.TextRecognizerError, match=r"cannot read /\S+/nosuch: No such file"):
        tr.run_experiment({**SMALL, "dataset": "ImageFolderDataset", "dataset_args": {"path": Path("nosuch")}})
    sweep = written({"parameters": {"seed": {"values": list(np.arange(2))}}}, "numbers")
    assert sweep.read_text() == "parameters:\n  seed:\n    values:\n    - 0\n    - 1\n"
    with pytest.raises(
        tr.TextRecognizerError, match=r"network must be a JSON value, or a class\..* Give a class, not an"
    ):
        tr.run_experiment({**SMALL}, network=Odd())
    with pytest.raises(tr.TextRecognizerError, match="must hold JSON values or classes only"):
        written({"parameters": {"seed": {"values": {1, 2}}}}, "sets")


def test_a_run_that_fails_is_an_exception_with_its_reason(runs_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "careless_parts.py").write_text(
        "from text_recognizer.datasets.characters.digits import DigitsDataset\n"
        "from text_recognizer.networks.mlp import Mlp\n\n\n"
        "class Net(Mlp):\n    def build(self, input_shape, output_shape):\n        return {}['layers']\n\n\n"
        "class Data(DigitsDataset):\n    def read(self):\n        raise ValueError('no paper')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "careless_parts.py"
    where = rf"runs/failing/.* ended with exit code 1: failed, .*'layers'.*{file}, line 7, in build"
    with pytest.raises(tr.TextRecognizerError, match=where):
        tr.run_experiment({**SMALL, "network": "careless_parts:Net", "experiment_group": "failing"}, show=False, **CPU)
    assert capsys.readouterr().out == ""
    assert tr.runs("group=failing")[0].state == "failed"
    with pytest.raises(tr.TextRecognizerError, match=r"no run was started .*\n(?s:.*)raise ValueError\('no paper'\)"):
        tr.run_experiment({**SMALL, "dataset": "careless_parts:Data", "dataset_args": {}}, show=False, **CPU)


def test_a_stopped_run_goes_on_with_resume(runs_folder):
    from training.runs.run import Run

    made = Run.create(tr.ExperimentSpec.parse({**SMALL, "experiment_group": "later"}))
    run = tr.Run(made.folder)
    assert (run.state, run.metrics, run.summary, run.predictions, run.log) == ("created", {}, {}, [], "")
    resumed = run.resume(**CPU)
    assert (resumed.folder, resumed.state) == (made.folder, "finished")


def test_an_interrupt_in_a_notebook_ends_a_run_at_a_checkpoint_and_shows_what_it_says_last(runs_folder, tmp_path):
    class Cell(io.StringIO):
        was_interrupted = False  # once: after a second interrupt, the run is killed

        def write(self, text: str) -> int:
            written = super().write(text)
            if text.startswith("epoch") and not self.was_interrupted:
                self.was_interrupted = True
                raise KeyboardInterrupt
            return written

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(Cell()) as cell:
        for name, value in pause(tmp_path / "gate").items():
            patch.setenv(name, value)
        with pytest.raises(KeyboardInterrupt):
            tr.run_experiment({**SMALL, "dataset": PAUSING}, id="interrupted", experiment_group="api", **CPU, **EPOCHS)
    assert tr.Run("interrupted").state == "stopped"
    assert "checkpoint written" in cell.getvalue()


def test_a_run_does_not_outlive_the_program_that_waits_for_it(runs_folder, tmp_path):
    spec = {**SMALL, "dataset": PAUSING, "experiment_group": "api"}
    code = f"import sys, text_recognizer as tr; sys.executable = {sys.executable!r}; "
    code += f"tr.run_experiment({spec!r}, id='orphan', **{CPU | EPOCHS!r})"
    environ = {**os.environ, **pause(tmp_path / "gate")}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=REPOSITORY) as program:
        try:
            wait_until((tmp_path / "gate.reached").exists)
        finally:
            program.kill()
    wait_until(lambda: tr.Run("orphan").state == "preempted")
    assert "checkpoint written" in wait_until(lambda: tr.Run("orphan").log.partition("received SIGTERM")[2])


def test_a_file_that_is_edited_between_two_cells_is_read_again_also_by_those_that_import_it(
    runs_folder, tmp_path, monkeypatch
):
    def save(units: int, activation: str) -> None:
        file.write_text(f"UNITS = {units}\nACTIVATION = {activation!r}\n")
        os.utime(file, (units, units))

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "edited_between_cells.py"
    (tmp_path / "imports_it.py").write_text(
        "import text_recognizer as tr\n"
        f"from {file.stem} import ACTIVATION, UNITS\n"
        "class Net(tr.Network):\n"
        "    def __init__(self, units: int = UNITS) -> None:\n"
        "        self.units = units\n"
        "    def build(self, input_shape, output_shape):\n"
        "        import keras\n"
        "        layers = [keras.layers.Dense(self.units, activation=ACTIVATION), keras.layers.Dense(*output_shape)]\n"
        "        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *layers])\n"
    )
    spec = {**SMALL, "network": "imports_it:Net", "network_args": {}, "experiment_group": "edited"}
    save(8, "relu")
    run = tr.run_experiment(spec, show=False, **CPU)
    before = run.predictor().predict(PICTURE).confidence
    save(16, "tanh")
    assert run.predictor().predict(PICTURE).confidence != before
    save(32, "tanh")
    assert tr.run_experiment(spec, show=False, **CPU).spec.network_args == {"units": 32}


def test_a_sweep_ends_in_its_table_and_its_best_run(runs_folder, capsys):
    sweep = {
        "name": "widths",
        "method": "grid",
        "metric": {"name": "val_loss"},
        "parameters": {"network_args.layer_size": {"values": [4, 16]}, "train_args.learning_rate": {"value": 1e-05}},
    }
    result = tr.run_sweep(sweep, base=SMALL, jobs=1, **CPU)
    assert [row["state"] for row in result.trials] == ["finished", "finished"]
    assert result.best_spec.network_args["layer_size"] == result.trials[0]["network_args.layer_size"]
    assert result.trials[0]["val_loss"] < result.trials[1]["val_loss"]
    assert f"  {result.trials[0]['val_loss']:.4f}  " in repr(result)
    assert result.best.spec == result.best_spec
    assert str(result.folder) in repr(result)
    assert "<th>val_loss</th>" in result._repr_html_()
    assert tr.run_sweep(sweep, base=SMALL, jobs=1, **CPU).trials == result.trials
    with pytest.raises(tr.TextRecognizerError, match="method"):
        tr.run_sweep({**sweep, "method": "grit"}, base=SMALL, **CPU)


@pytest.mark.parametrize("show", [False, True])
def test_all_that_is_wrong_with_a_sweep_is_in_the_exception(show, runs_folder, capsys):
    sweep = {"method": "grid", "parameters": {"seed": {"values": [1, 2]}}}
    problems = r"(?s)sweeps-of-two.* exit code 2\. 2 problems .*key 'dataset' is missing.*key 'model' is missing"
    with pytest.raises(RunError, match=problems):
        tr.run_sweep(sweep, name="sweeps-of-two", base={"network": "mlp"}, show=show)


def test_a_sweep_that_is_killed_before_it_has_a_folder_is_an_error_with_its_exit_code(runs_folder, monkeypatch):
    monkeypatch.setattr(experiments, "_run_command", lambda *_: experiments._Ended(-9, "", ""))
    sweep = {"method": "grid", "parameters": {"seed": {"values": [1, 2]}}}
    with pytest.raises(RunError, match=rf"^the sweep {runs_folder}/killed failed with exit code -9\.$"):
        tr.run_sweep(sweep, name="killed", base=SMALL, **CPU)


def test_a_sweep_that_was_asked_to_stop_before_its_first_trial_has_no_trials(runs_folder):
    (runs_folder / "nothing").mkdir(parents=True)
    (runs_folder / "nothing" / "sweep.json").write_text("{}")
    result = tr.SweepResult("nothing")
    assert (result.trials, repr(result).split()[-1]) == ([], "trial")
    with pytest.raises(RunError, match="has no trial yet"):
        _ = result.best
    with pytest.raises(RunError, match=r"there is no sweep 'nothign' in .* Did you mean 'nothing'\?"):
        tr.SweepResult("nothign")


def test_what_only_prints_is_refused_from_python(runs_folder, tmp_path):
    sweep = {"name": "printed", "method": "grid", "parameters": {"seed": {"values": [1]}}}
    for arguments in ({"dry_run": True}, {"schema": True}, {"version": True}):
        name = next(iter(arguments))
        with pytest.raises(tr.TextRecognizerError, match=f"run_sweep takes no argument '{name}' from Python"):
            tr.run_sweep(sweep, **arguments)
        with pytest.raises(tr.TextRecognizerError, match=f"run_experiment takes no argument '{name}' from Python"):
            tr.run_experiment(SMALL, **arguments)
    with pytest.raises(tr.TextRecognizerError, match="'nowandb' from Python. Give wandb=\"disabled\"."):
        tr.run_experiment(SMALL, nowandb=True)
