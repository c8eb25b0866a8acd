"""The W&B mirror: everything of the run arrives in the offline files, and no failure of W&B touches the run."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset, JoinedPart
from text_recognizer.errors import SpecError
from text_recognizer.named_part import NamedPart
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.runs.find import find_run
from training.runs.run import Run
from training.tests.pausing_digits import PAUSING, pause
from training.tests.warm_commands import Warm
from training.tracking.base import Facts, Tracker
from training.tracking.choice import chosen_trackers, wandb_mode_of
from training.tracking.mirror import mirror, mirror_command, read_state
from training.tracking.wandb.mode import wandb_mode
from training.tracking.wandb.tracker import refer_to

PLUGIN = Path(__file__).parents[1] / "plugin"
SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.2},
    "model": "CharacterModel",
    "network": "mlp",
    "train_args": {"epochs": 3},
    "experiment_group": "tracked",
}


class Started:
    """run_experiment as it runs in a folder, or ran."""

    def __init__(self, warm: Warm, folder: Path, *arguments: str, **environment: str) -> None:
        self._printed = folder / "printed.txt"
        environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(folder / "runs"), **environment}
        with open(self._printed, "w") as output:
            command = ("run_experiment", "--gpu=none", *arguments)
            self.process = warm.start(*command, cwd=folder, env=environ, output=output)

    def end(self, code: int = 0) -> str:
        """What it printed, once it has ended."""
        ended = self.process.wait(PATIENCE_S)
        output = self._printed.read_text()
        assert ended == code, output
        return output


def records(run: Run) -> list[dict[str, Any]]:
    """The W&B file of a run, read by W&B's own reader."""
    (folder,) = (run.folder / "wandb").glob("offline-run-*")
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(kind: str, every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record[kind] for record in every if record["type"] == kind]


def wait_for_mirror(run: Run, state: str = "done") -> None:
    wait_until(lambda: read_state(run.folder / "wandb").get("state") == state)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, digits_prepared, warm):
    folder = tmp_path_factory.mktemp("tracked")
    output = Started(warm, folder, json.dumps(SPEC)).end()
    run = find_run("last", folder / "runs")
    wait_for_mirror(run)
    return run, output, records(run)


def test_the_run_is_offline_and_silent_without_a_key(tracked):
    run, output, _ = tracked
    assert "wandb" not in output.lower()
    assert run.read_json("launch.json")["attempts"][0]["wandb"] == "offline"
    assert read_state(run.folder / "wandb")["state"] == "done"


def test_the_spec_is_the_config_and_the_group_the_group(tracked):
    run, _, every = tracked
    started = of_kind("run", every)[0]
    config = started["config"]["update"]
    assert {key: config[key] for key in run.spec.to_json()} == run.spec.to_json()
    assert config["environment"]["dataset_fingerprint"] == run.read_json("environment.json")["dataset_fingerprint"]
    assert (started["run_id"], started["run_group"], started["job_type"]) == (run.id, "tracked", "train")
    assert started["tags"] == ["DigitsDataset", "CharacterModel", "mlp"]


def test_every_report_arrives_under_its_keras_name(tracked):
    run, _, every = tracked
    history = [record["item"] for record in of_kind("history", every)]
    rows = run.rows()
    assert [item["epoch"] for item in history] == [row["epoch"] for row in rows]
    for item in history[:-1]:  # four images while training, as many for TensorBoard
        assert item["examples.count"] == 4
        assert all(" (is " in caption for caption in item["examples.captions"])
    for item, row in zip(history, rows, strict=True):
        assert {name: item[name] for name in row if name != "time"} == {n: v for n, v in row.items() if n != "time"}
    assert {"loss", "val_loss", "val_accuracy"} <= set(history[0])
    assert "test_accuracy" in history[-1]


def test_the_summary_is_of_the_best_epoch(tracked):
    run, _, every = tracked
    summary: dict[str, Any] = {}
    for record in of_kind("summary", every):
        summary |= record["update"]
    for name, value in run.status().summary.items():
        assert summary[name] == value


def test_dataset_model_and_sample_predictions_are_artifacts(tracked):
    run, _, every = tracked
    artifacts = {artifact["type"]: artifact for artifact in of_kind("artifact", every)}
    assert set(artifacts) == {"dataset", "model", "run_table"}
    assert artifacts["dataset"]["use_after_commit"]
    assert "best" in artifacts["model"]["aliases"]
    (table,) = run.folder.glob("wandb/offline-run-*/files/media/table/*.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["image", "position", "label", "predicted", "confidence", "loss", "rank_of_label"]
    assert len(content["data"]) == 32
    assert len(list(run.folder.glob("wandb/data/artifacts/staging/*"))) > 20


def test_a_dataset_joined_from_several_is_referred_to_by_all_its_folders(tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    parts = [
        JoinedPart("RenderedLinesDataset", {"num_texts": 30, "height": 20, "noise": [], "seed": seed})
        for seed in (1, 2)
    ]
    dataset = JoinedLinesDataset(tuple(parts))
    dataset.prepare()
    artifact = wandb.Artifact("lines", type="dataset")
    refer_to(artifact, dataset)
    folders = {Path(entry).parts[0] for entry in artifact.manifest.entries}
    assert folders == {Path(path).name for path in dataset.store_paths}
    assert len(folders) == 2


def test_a_resumed_run_has_the_same_id_and_no_step_twice(tmp_path, digits_prepared, warm):
    arguments = [f"--dataset={PAUSING}", "--train_args.epochs=6", "--train_args.checkpoint_interval_s=0"]
    started = Started(warm, tmp_path, json.dumps(SPEC), *arguments, **pause(tmp_path / "gate"))
    wait_until(lambda: list(tmp_path.glob("runs/*/*/metrics.jsonl")))
    started.process.send_signal(signal.SIGTERM)
    started.end(143)
    run = find_run("last", tmp_path / "runs")
    assert 0 < len(run.rows()) < 6
    wait_for_mirror(run)
    (tmp_path / "gate").unlink()
    Started(warm, tmp_path, "--resume", run.id).end()
    wait_for_mirror(run)
    every = records(run)
    assert of_kind("run", every)[0]["run_id"] == run.id
    steps = [record["item"]["_step"] for record in of_kind("history", every)]
    assert steps == list(range(1, 8))


FAKE_WANDB = {
    "hanging": "import time\ndef __getattr__(name):\n    time.sleep(3600)\n",
    "failing": "def __getattr__(name):\n    raise RuntimeError('the W&B process died')\n",
    "out of disk": "import errno\ndef __getattr__(name):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n",
}


@pytest.mark.parametrize("fault", FAKE_WANDB)
def test_a_fault_of_wandb_is_one_warning_and_never_fails_a_run(fault, tmp_path, digits_prepared, warm):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "wandb.py").write_text(FAKE_WANDB[fault])
    output = Started(warm, tmp_path, json.dumps(SPEC), PYTHONPATH=str(tmp_path / "fake")).end()
    assert output.count("warning:") == 1
    assert "the run folder is complete without it" in output
    run = find_run("last", tmp_path / "runs")
    assert run.status().state == "finished"
    assert len(run.rows()) == 4
    if fault == "hanging":
        wait_for_mirror(run, "running")
        os.kill(read_state(run.folder / "wandb")["process"], signal.SIGKILL)
    else:
        wait_for_mirror(run, "failed")


def test_a_mirror_is_this_projects_whatever_packages_the_user_has(tmp_path, monkeypatch):
    for name in ("training", "text_recognizer", "evaluation"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the user has this package')")
    # As the process that trains has it, once it imported a module of the user's.
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = mirror_command(Run(tmp_path / "none"), "wandb:online")
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert "is not a run folder: it has no status.json" in done.stderr
    assert "the user has" not in done.stderr


END_EARLIER_MIRRORS = """
import json, os, sys
from pathlib import Path
from training.runs.run import Run
from training.tracking.mirror import STATE_FILE, _end_earlier_mirror
folder = Path(sys.argv[1])
for process in ("self", "1\\0", [1], True, os.getpid()):
    (folder / STATE_FILE).write_text(json.dumps({"process": process}))
    _end_earlier_mirror(Run(folder), folder)
print("alive")
"""


def test_a_file_that_names_no_earlier_mirror_ends_no_process(tmp_path):
    command = [sys.executable, "-c", END_EARLIER_MIRRORS, str(tmp_path.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_disabled_starts_no_mirror(tmp_path, digits_prepared, warm):
    Started(warm, tmp_path, json.dumps(SPEC), "--train_args.epochs=1", "--wandb=disabled").end()
    assert not (find_run("last", tmp_path / "runs").folder / "wandb").exists()


def test_the_mode_is_offline_unless_asked_otherwise_and_online_needs_a_key(monkeypatch, tmp_path):
    said: list[str] = []
    assert wandb_mode(None, said.append) == "offline"
    assert wandb_mode("disabled", said.append) == "disabled"
    assert said == []
    assert wandb_mode("online", said.append) == "offline"
    assert "no W&B key" in said[0]
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mode("online", said.append) == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert wandb_mode("online", said.append) == "online"
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert wandb_mode(None, said.append) == "offline"
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(SpecError, match="WANDB_MODE must be one of online, offline, disabled. Received: 'of'"):
        wandb_mode(None, said.append)


class Recording(Tracker):
    """Remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(self, run: Run) -> None:
        self.calls.append(("start", run.id))

    def log(self, epoch: int, row: Any) -> None:
        self.calls.append(("log", epoch))

    def log_examples(self, epoch: int, rows: Any) -> None:
        self.calls.append(("examples", epoch, [row["position"] for row in rows], rows[0]["image"].shape))

    def log_predictions(self, epoch: int, rows: Any) -> None:
        self.calls.append(("predictions", len(rows), rows[0]["image"].shape))

    def finish(self, state: str, summary: Any) -> Facts:
        self.calls.append(("finish", state))
        return Facts()


def test_a_mirror_tells_a_tracker_the_whole_folder_in_order(tracked):
    run = Run.open(tracked[0].folder)
    recording = Recording()
    mirror(run, recording)
    assert recording.calls == [
        ("start", run.id),
        *[call for epoch in (1, 2, 3) for call in (("log", epoch), ("examples", epoch, [0, 23, 46, 69], (8, 8, 1)))],
        ("log", 3),
        ("predictions", 32, (8, 8, 1)),
        ("finish", "finished"),
    ]


def test_tensorboard_opens_what_its_tracker_writes(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run.open(tracked[0].folder)
    for _ in range(2):  # made anew: a second mirror leaves nothing twice
        facts = mirror(run, NamedPart.parse("tracker", "tensorboard").make())
    events = EventAccumulator(facts.folder, {"images": 0}).Reload()
    curve = events.Scalars("val_loss")
    rows = [row for row in run.rows() if "val_loss" in row]
    assert [point.step for point in curve] == [row["epoch"] for row in rows]
    assert [point.value for point in curve] == pytest.approx([row["val_loss"] for row in rows])
    assert [point.wall_time for point in curve] == [row["time"] for row in rows]
    assert events.Scalars("test_accuracy")[0].value == pytest.approx(run.rows()[-1]["test_accuracy"])
    image = events.Images("test_predictions/1")[0]
    assert (image.width, image.height) == (8, 8)
    assert [image.step for image in events.Images("examples/4")] == [1, 2, 3]
    assert set(events.PluginTagToContent("hparams")) == {
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    }


@pytest.mark.parametrize(
    ("track", "wandb", "chosen"),
    [
        ([], None, ("wandb:mode=offline",)),
        ([], "disabled", ()),
        (["tensorboard"], None, ("wandb:mode=offline", "tensorboard")),
        (["tensorboard"], "disabled", ("tensorboard",)),
        (["wandb:offline"], None, ("wandb:mode=offline",)),
        (["acme.trackers:Lines:spoken=lines.txt"], "disabled", ("acme.trackers:Lines:spoken=lines.txt",)),
        (["acme.trackers:Lines:lines.txt"], "disabled", ("acme.trackers:Lines:spoken=lines.txt",)),
    ],
)
def test_trackers_are_chosen_by_name_with_their_arguments(track, wandb, chosen, monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    assert chosen_trackers(track, wandb) == chosen
    assert wandb_mode_of(chosen) == ("offline" if chosen and chosen[0].startswith("wandb") else "disabled")
    assert tuple(str(NamedPart.parse("tracker", text)) for text in chosen) == chosen


@pytest.mark.parametrize(
    ("track", "wandb", "problem"),
    [
        (["tensorbord"], None, "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        (["wandb:onlin"], None, "tracker 'wandb': mode must be one of 'online' or 'offline'. Received: 'onlin'"),
        (["tensorbord:path=x.txt"], None, "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        (["wandbb:offline"], None, "Did you mean 'wandb'?"),
        (["tensorboard:x"], None, "takes no arguments. Received: 'x'"),
        (["tensorboard", "tensorboard"], None, "is given twice"),
        (["wandb:offline"], "online", "mean the same; give only one of them"),
        (["acme.models:Parity"], None, "is not a subclass of training.tracking.base.Tracker"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused_with_the_reason(track, wandb, problem, monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    with pytest.raises(SpecError, match=re.escape(problem)):
        chosen_trackers(track, wandb)


def test_a_tracker_whose_finish_returns_nothing_says_so(tmp_path):
    class Forgetful(Tracker):
        def start(self, run): ...

        def log(self, epoch, row): ...

        def finish(self, state, summary): ...

    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", tmp_path)
    run.set_state("finished")
    with pytest.raises(TypeError, match=r"finish\(\) must return Facts. Received: None. Is a return missing"):
        mirror(run, Forgetful())


def test_a_tracker_from_outside_follows_a_run(tmp_path, digits_prepared, warm):
    told = tmp_path / "told.txt"
    started = Started(
        warm, tmp_path, json.dumps(SPEC), "--nowandb", f"--track=acme.trackers:Lines:{told}", PYTHONPATH=str(PLUGIN)
    )
    output = started.end()
    run = find_run("last", tmp_path / "runs")
    wait_until(lambda: read_state(run.folder / "lines").get("state") == "done")
    assert told.read_text().split() == ["start", "1", "2", "3", "3", "finished"]
    assert run.read_json("launch.json")["attempts"][0]["trackers"] == [f"acme.trackers:Lines:spoken={told}"]
    assert "lines       http://acme.example/" in output
