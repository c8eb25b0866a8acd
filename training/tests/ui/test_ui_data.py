"""The page shows devices as `gpus` does, the data of runs with pictures, and groups of runs with intervals."""

import io
import json
import shlex

import pytest
from PIL import Image

from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from training.devices.device import Device, Reading
from training.devices.gpu_manager import GPUManager
from training.runs.run import Run
from training.tests.ui.ui_support import client_of, page_of
from training.ui.device_views import Devices
from training.ui.run_views import mean_of


@pytest.fixture
def root(tmp_path, digits_prepared):
    return tmp_path / "runs"


@pytest.fixture
def client(root):
    return client_of(page_of(root))


def finished(root, name: str, accuracy: float, **more) -> Run:
    spec = assemble(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", **more)).spec
    run = Run.create(spec, name, root)
    run.set_state("finished", summary={"test_accuracy": accuracy})
    return run


def read_by(run: Run, labels: list[str]) -> None:
    """What a run read; every label but the first is read right."""
    rows = [{"position": at, "label": text, "predicted": text, "loss": 0.0} for at, text in enumerate(labels)]
    rows[0] |= {"predicted": "x", "loss": float("nan")}
    for row in rows:
        with open(run.folder / "predictions.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")


def test_samples_have_their_pictures_the_worst_first_with_the_edits_marked(root, client):
    run = finished(root, "one", 0.5)
    split = assemble(run.spec).dataset.split("test")
    read_by(run, [split.text(at) for at in range(3)])
    found = client.get("/api/samples", params={"run": "default/one", "count": 2}).json()
    assert (found["problem"], found["wrong"], found["count"]) == (None, 1, 3)
    assert found["rows"][0]["edits"] == [["replace", "x", split.text(0)]]
    picture = client.get("/api/picture", params={"run": "default/one", "position": 0})
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)
    for wrong in ({"position": 9999}, {"position": "x"}, {"position": 0, "split": "../x"}):
        assert client.get("/api/picture", params={"run": "default/one", **wrong}).status_code == 400


def test_no_picture_stands_beside_what_it_is_not_of(root, client):
    run = finished(root, "one", 0.5)
    read_by(run, ["another text"])
    assert "has changed since" in client.get("/api/samples", params={"run": "default/one"}).json()["problem"]


def test_the_samples_of_a_damaged_run_have_the_damage_as_the_reason_why_there_are_no_pictures(root, client):
    run = finished(root, "one", 0.5)
    read_by(run, ["1"])
    (run.folder / "status.json").write_text("{")
    found = client.get("/api/samples", params={"run": "default/one"}).json()
    assert found["problem"].startswith(f"{run.folder / 'status.json'} cannot be read: it is not JSON")
    assert client.get("/api/dataset", params={"run": "default/one"}).json()["error"] == found["problem"]


def test_data_that_is_not_here_is_neither_fetched_nor_shown(root, client, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "empty"))
    read_by(finished(root, "one", 0.5), ["1"])
    found = client.get("/api/samples", params={"run": "default/one"}).json()
    assert (len(found["rows"]), "is not prepared on this machine" in found["problem"]) == (1, True)
    assert client.get("/api/dataset", params={"run": "default/one"}).status_code == 400
    assert not (tmp_path / "empty").exists()


def test_a_dataset_is_shown_with_sizes_balance_and_samples(root, client):
    finished(root, "one", 0.5)
    finished(root, "two", 0.5, seed=1)
    [used] = client.get("/api/data").json()["used"]
    assert (used["dataset"], used["runs"]) == ("DigitsDataset", 2)
    found = client.get("/api/dataset", params={"run": used["run"], "split": "validation"}).json()
    assert sum(found["sizes"].values()) == 1797
    assert sum(count for _, count in found["balance"]) == found["sizes"]["validation"]
    assert found["rejected"]["count"] == 0
    assert len(found["samples"]) == 24
    unknown = client.get("/api/dataset", params={"run": used["run"], "split": "rest"})
    assert (unknown.status_code, "Received: 'rest'" in unknown.json()["error"]) == (400, True)


def test_groups_have_the_mean_over_seeds_with_its_interval(root, client):
    for seed, accuracy in enumerate((0.5, 0.6, 0.7)):
        finished(root, f"m{seed}", accuracy, seed=seed)
    finished(root, "other", 0.9, experiment_group="other")
    asked = {"by": "group", "sort": "-test_accuracy", "columns": "test_accuracy"}
    shown = client.get("/api/runs", params=asked).json()
    # Student's t at 2 degrees of freedom is 4.302653; the standard error of 0.5, 0.6, 0.7 is 0.1 / sqrt(3).
    assert [row[2:] for row in shown["rows"]] == [["other", "1", "0.9000"], ["default", "3", "0.6000 ± 0.2484 (3)"]]
    assert client.get("/api/runs", params={"filter": shown["rows"][1][0]}).json()["rows"][0][3] != "other"


def test_commands_to_copy_have_words_with_spaces_in_quotes(tmp_path):
    root = tmp_path / "my runs"
    run = finished(root, "one", 0.5)
    words = ["run_experiment", "my spec.json", "--seed=1"]
    run.write_text("launch.json", json.dumps({"attempts": [{"command": words}, {}]}))
    shown = client_of(page_of(root)).get("/api/run", params={"run": "default/one"}).json()
    assert [attempt["command"] for attempt in shown["attempts"]] == ["run_experiment 'my spec.json' --seed=1", None]
    assert shlex.split(shown["commands"][0]) == ["text-recognizer", "runs", "show", str(run.folder)]


def test_a_mean_of_nothing_or_of_one_has_no_interval():
    assert [str(mean_of(values)) for values in ([], [None, "x"], [0.5, None])] == ["-", "-", "0.5000"]


class TwoGpus:
    """NVML of a machine with two GPUs, the first half full."""

    absence = ""

    def devices(self) -> list[Device]:
        return [Device(f"GPU-{number}", "a GPU", number, 80_000) for number in range(2)]

    def readings(self) -> list[Reading]:
        first, second = self.devices()
        return [Reading(first, 40_000, 90, {}), Reading(second, 0, 0, {})]


def test_devices_are_those_of_gpus_with_what_was_read_of_them_before(tmp_path):
    manager = GPUManager(tmp_path)
    manager._nvml = TwoGpus()  # type: ignore[assignment]
    devices = Devices(manager)
    devices._watcher = object()  # type: ignore[assignment] # nobody reads in the background
    devices.read()
    shown = devices.described()
    assert [one["used_mib"] for one in shown["devices"]] == [40_000, 0]
    assert shown["states"][1] == "free"
    [(minutes, memory, load)] = shown["readings"]
    assert (memory, load) == ({"GPU-0": 40_000, "GPU-1": 0}, {"GPU-0": 90, "GPU-1": 0})
    assert minutes <= 0
