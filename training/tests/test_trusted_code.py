"""Bundles and run folders from elsewhere, as commands meet them: their names run nothing unless the user says so."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import text_recognizer
from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError
from text_recognizer.models.bundle import build_model, write_bundle
from text_recognizer.spec import ExperimentSpec
from training.cli import main as command
from training.devices.requests import DeviceRequest
from training.executors.in_process import InProcessExecutor
from training.run_experiment import main as run_experiment
from training.runs.run import Run
from training.tracking.base import Facts, Tracker
from training.tracking.mirror import mirror

DIGIT = str(Path(text_recognizer.__file__).parent / "tests" / "support" / "digits" / "3.png")
SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", network_args={"layer_size": 2, "num_layers": 1})
PREDICTION = {"position": 0, "label": "1", "predicted": "1", "confidence": 0.5, "loss": 0.8, "rank_of_label": 0}
MODULE = """
from pathlib import Path
from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.networks.mlp import Mlp
Path(__file__).with_name("was_run").touch()
class Net(Mlp): ...
class Data(DigitsDataset): ...
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the user stands, with code that nobody has named yet."""
    (tmp_path / "from_elsewhere.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "from_elsewhere", raising=False)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    yield tmp_path
    sys.modules.pop("from_elsewhere", None)


def bundle_that_names(folder, **parts):
    model = build_model(SPEC, DataSpec((8, 8, 1), tuple("0123456789")))
    write_bundle(folder, model, SPEC, "run-1", {}, "data")
    path = folder / "bundle.json"
    value = json.loads(path.read_text())
    value["spec"] |= parts
    path.write_text(json.dumps(value))
    return str(folder)


def run_that_names(**parts):
    made = Run.create(SPEC, "theirs")
    made.write_json("spec.json", {**SPEC.to_json(), **parts})
    return made


@pytest.mark.parametrize("kind", ["network", "model"])
def test_a_bundle_that_names_a_program_does_not_start_it(kind, place, capfd):
    parts = {kind: "subprocess:Popen", f"{kind}_args": {"args": ["touch", "was_run"]}}
    bundle = bundle_that_names(place / "model", **parts)
    assert command(["predict", DIGIT, "--bundle", bundle, "--trust-code"]) == 2
    assert f"{kind} 'subprocess:Popen' is not a subclass of" in capfd.readouterr().err
    assert not (place / "was_run").exists()


def test_a_bundle_brings_code_only_with_the_flag(place, capfd):
    bundle = bundle_that_names(place / "model", network="from_elsewhere:Net")
    for line in (["predict", DIGIT, "--bundle", bundle], ["evaluate", bundle]):
        assert command(line) == 2
        assert f"the bundle {bundle} names it, and importing the module from_elsewhere" in capfd.readouterr().err
    assert not (place / "was_run").exists()
    assert command(["predict", DIGIT, "--bundle", bundle, "--trust-code"]) == 0
    assert (place / "was_run").exists()


@pytest.mark.parametrize("part", ["network", "dataset", "optimizer"])
def test_a_run_folder_brings_code_only_with_the_flag(part, place, capfd):
    name = {"network": "from_elsewhere:Net", "dataset": "from_elsewhere:Data", "optimizer": "from_elsewhere:adam"}[part]
    made = run_that_names(**{"train_args": {part: name}} if part == "optimizer" else {part: name})
    folder = str(made.folder)
    for line in (["--resume", folder], ["--resume", folder, "--dry-run"], [f"{folder}/spec.json", "--dry-run"]):
        assert run_experiment([*line, "--nowandb", "--gpu=none"]) == 2
        assert f"the run folder {folder} names it" in capfd.readouterr().err
    assert command(["runs", "rerun", folder, "--dry-run"]) == 2
    assert "the run folder" in capfd.readouterr().err
    assert command(["runs", "show", folder]) == 0  # looking is always allowed
    assert "is code from elsewhere" in InProcessExecutor(DeviceRequest(0)).submit(made).ended.reason
    assert not (place / "was_run").exists()
    if part != "optimizer":
        assert command(["runs", "rerun", folder, "--dry-run", "--trust-code"]) == 0


class Nobody(Tracker):
    def start(self, run): ...

    def log(self, epoch, row): ...

    def finish(self, state, summary):
        return Facts()


def test_the_mirror_of_a_run_from_elsewhere_loads_no_code(place):
    made = run_that_names(dataset="from_elsewhere:Data")
    made.set_state("finished")
    (made.folder / "predictions.jsonl").write_text(json.dumps(PREDICTION) + "\n")
    with pytest.raises(SpecError, match="the run folder .* names it"):
        mirror(made, Nobody())
    assert not (place / "was_run").exists()


def test_a_copied_run_folder_is_as_foreign_as_its_files(place, tmp_path, capfd):
    made = run_that_names(network="from_elsewhere:Net")
    shutil.copytree(made.folder, tmp_path / "copied")
    (tmp_path / "copied" / "launch.json").write_text(json.dumps({"attempts": [{"command": ["trust me"]}]}))
    assert run_experiment(["--resume", str(tmp_path / "copied"), "--dry-run"]) == 2
    assert "is code from elsewhere" in capfd.readouterr().err


def test_ones_own_run_is_taken_up_without_a_flag(place, digits_prepared):
    line = ["--network=from_elsewhere:Net", "--train_args.epochs=1", "--nowandb", "--gpu=none"]
    assert run_experiment([*line, "--network_args={}"]) == 0
    sys.modules.pop("from_elsewhere")  # as another process
    (place / "was_run").unlink()
    assert run_experiment(["--resume", "last", "--dry-run"]) == 0
    assert (place / "was_run").exists()
