"""Runs of other trackers become run folders: listed and compared like one's own, and imported once."""

import json
import struct
import subprocess
import sys

import pytest

from text_recognizer.errors import RunError
from training.cli import main as text_recognizer
from training.runs.imports import import_runs
from training.runs.run import Run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    return tmp_path


def values(run: Run, name: str) -> list[tuple[int, float | None]]:
    return [(row["step"], row[name]) for row in run.rows() if name in row]


def mlflow(folder, status: int = 3):
    (folder / "metrics" / "val").mkdir(parents=True)
    (folder / "params").mkdir()
    (folder / "meta.yaml").write_text(
        f"run_name: quick\nstatus: {status}\nstart_time: 1700000000000\nend_time: 1700000060500\n"
    )
    (folder / "metrics" / "loss").write_text("1700000001000 0.5 0\n1700000002000 nan 1\n1700000003000 0.25 2\ntorn")
    (folder / "metrics" / "val" / "cer").write_text("1700000003000 0.125 2\n")
    (folder / "params" / "lr").write_text("0.01")
    (folder / "params" / "net").write_text("crnn")


def test_runs_of_mlflow_are_imported_once_with_settings_metrics_and_times(place, capsys):
    mlflow(place / "mlruns" / "0" / "ab12")
    mlflow(place / "mlruns" / "0" / "cd34", status=4)
    assert text_recognizer(["runs", "import", str(place / "mlruns")]) == 0
    assert "2 runs imported" in capsys.readouterr().out
    run = Run(place / "runs" / "mlruns" / "mlflow-ab12")
    assert values(run, "loss") == [(0, 0.5), (1, None), (2, 0.25)]
    assert run.status().summary == {"loss": 0.25, "val/cer": 0.125}
    assert run.status().times == {"created": 1.7e9, "started": 1.7e9, "ended": 1.7e9 + 60.5}
    assert run.spec.train_args == {"lr": 0.01, "net": "crnn"}
    assert run.read_json("launch.json")["imported"].items() >= {"kind": "mlflow", "name": "quick"}.items()
    assert text_recognizer(["runs", "list", "--json", "--filter", "train_args.lr=0.01", "--sort=id"]) == 0
    assert [(row["id"], row["state"]) for row in json.loads(capsys.readouterr().out)] == [
        ("mlflow-ab12", "finished"),
        ("mlflow-cd34", "failed"),
    ]
    assert text_recognizer(["runs", "show", "mlflow-ab12"]) == 0
    made, known = import_runs(place / "mlruns")
    assert (made, known) == ([], 2)


def test_a_csv_file_holds_a_run_or_several(place):
    (place / "old.csv").write_text("run,epoch,loss,optimizer\na,1,0.5,adam\na,2,0.25,adam\nb,1,0.75,sgd\n")
    made, _ = import_runs(place / "old.csv")
    assert [run.id for run in made] == ["csv-old-a", "csv-old-b"]
    assert values(made[0], "loss") == [(1, 0.5), (2, 0.25)]
    assert made[1].spec.train_args == {"optimizer": "sgd"}


def test_a_number_that_is_not_finite_or_missing_is_no_setting_of_a_csv_file(place):
    """As Keras writes it where there was no validation, or the loss was lost."""
    (place / "old.csv").write_text(
        "epoch,loss,val_loss,cer,net\n0,0.5,NA,NA,crnn\n1,inf,0.25,NA,crnn\n2,nan,NaN,NA,crnn\n"
    )
    [run], _ = import_runs(place / "old.csv")
    assert values(run, "loss") == [(0, 0.5), (1, None), (2, None)]
    assert values(run, "val_loss") == [(0, None), (1, 0.25), (2, None)]
    assert run.spec.train_args == {"net": "crnn"}


@pytest.mark.parametrize("head", ["Wall time,Step,Value", "wall time,epoch,Value"])
def test_tables_that_tensorboard_and_pandas_write_have_their_steps(place, head):
    (place / "old.csv").write_text(f"{head}\n1.7e9,3.0,0.5\n1.7e9,12.0,0.25\n")
    [run], _ = import_runs(place / "old.csv")
    assert values(run, "Value") == [(3, 0.5), (12, 0.25)]
    assert [row["epoch"] for row in run.rows()] == [3, 12]


@pytest.mark.parametrize(
    "text", ["epoch;loss;net\n1;0,5;a,b\n2;-1,25;a,b\n", "epoch\tloss\tnet\n1\t0.5\ta,b\n2\t-1.25\ta,b\n"]
)
def test_a_table_parted_by_semicolons_or_tabs_is_read_too(place, text):
    (place / "old.csv").write_text(text)
    [run], _ = import_runs(place / "old.csv")
    assert values(run, "loss") == [(1, 0.5), (2, -1.25)]
    assert run.spec.train_args == {"net": "a,b"}


def test_the_files_of_a_run_that_was_resumed_in_wandb_are_one_run(place):
    from wandb.proto.wandb_internal_pb2 import Record

    for day, step in (("0101", 1), ("0102", 2)):
        record = Record()
        record.history.step.num = step
        item = record.history.item.add()
        item.key, item.value_json = "loss", str(1 / step)
        data = record.SerializeToString()
        folder = place / "wandb" / f"run-2026{day}_000000-abc"
        folder.mkdir(parents=True)
        (folder / "run-abc.wandb").write_bytes(b":W&B\xe1\xbe\x00" + struct.pack("<IHB", 0, len(data), 1) + data)
    [run], known = import_runs(place / "wandb")
    assert (values(run, "loss"), known) == ([(1, 1.0), (2, 0.5)], 0)


def test_deleted_runs_of_mlflow_stay_away_and_values_on_a_dataset_come_along(place):
    for name in ("ab12", "cd34"):
        mlflow(place / "mlruns" / "0" / name)
    with open(place / "mlruns" / "0" / "cd34" / "meta.yaml", "a") as file:
        file.write("lifecycle_stage: deleted\n")
    (place / "mlruns" / "0" / "ab12" / "metrics" / "cer").write_text("1700000003000 0.125 2 lines 5f2e\n")
    [run], _ = import_runs(place / "mlruns")
    assert (run.id, values(run, "cer")) == ("mlflow-ab12", [(2, 0.125)])


def test_event_files_of_tensorboard_are_imported(place):
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(place / "logs" / "first")) as writer:
        for step in (1, 2):
            writer.add_scalar("val_loss", 1 / (2 * step), step, walltime=1.7e9 + step)
    with open(next((place / "logs" / "first").iterdir()), "ab") as file:
        file.write(b"torn")
    [run], _ = import_runs(place / "logs", group="older")
    assert (run.id, run.folder.parent.name) == ("tensorboard-logs-first", "older")
    assert values(run, "val_loss") == [(1, 0.5), (2, 0.25)]
    assert run.rows()[0]["time"] == 1.7e9 + 1


WANDB_RUN = """
import wandb
run = wandb.init(mode="offline", id="abc", name="quick", project="p", config={"lr": 0.5, "net": {"size": 8}})
for step in range(3):
    run.log({"loss": 1 / (step + 1), "text": "x" * 40_000})
run.summary["final"] = 0.75
run.summary.update({"best": {"cer": 0.25}, "loss": 0.125})
run.finish()
"""


def test_offline_runs_of_wandb_are_imported(place):
    environ = {"WANDB_DIR": str(place), "WANDB_SILENT": "true", "PATH": "/usr/bin:/bin", "HOME": str(place)}
    subprocess.run([sys.executable, "-c", WANDB_RUN], env=environ, cwd=place, check=True)
    [run], _ = import_runs(place / "wandb")
    assert run.id == "wandb-abc"
    assert values(run, "loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.spec.train_args == {"lr": 0.5, "net": '{"size": 8}'}
    assert run.status().state == "finished"
    assert run.status().summary == {"loss": 0.125, "final": 0.75, "best.cer": 0.25}
    assert run.read_json("launch.json")["imported"]["name"] == "quick"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n", b"a" * 200_000, b"my dear mother\nthe war\n"])
def test_a_file_that_holds_no_run_is_refused_in_a_sentence(place, content):
    (place / "x.csv").write_bytes(content)
    with pytest.raises(RunError):
        import_runs(place / "x.csv")


def test_damaged_files_cost_what_is_damaged_only(place):
    mlflow(place / "mlruns" / "ab12")
    (place / "mlruns" / "ab12" / "metrics" / "loss").write_bytes(
        b"\xff\n1 2\n1700000001000 0.5 99999999999999\n" + b"9" * 400 + b" 1 1\n1 0.5 1\n"
    )
    (place / "mlruns" / "run-x.wandb").write_bytes(b":W&B\xe1\xbe\x00" + struct.pack("<IHB", 0, 60000, 1) + b"short")
    [run], _ = import_runs(place / "mlruns")
    assert values(run, "loss") == [(1, 0.5)]


def test_runs_whose_names_look_the_same_are_all_imported_and_only_once(place):
    (place / "old.csv").write_text("run,epoch,loss\na/b,1,0.5\na b,1,0.75\n")
    (place / "other").mkdir()
    (place / "other" / "old.csv").write_text("run,epoch,loss\na/b,1,0.25\n")
    for _ in range(2):
        made = [*import_runs(place / "old.csv")[0], *import_runs(place / "other" / "old.csv")[0]]
        losses = sorted(row["loss"] for run in (place / "runs" / "old").iterdir() for row in Run(run).rows())
        assert losses == [0.25, 0.5, 0.75]
    assert made == []
    mlflow(place / "mlruns" / "ab12")
    import_runs(place / "mlruns")
    (place / "mlruns").rename(place / "moved")
    assert import_runs(place / "moved", "mlruns") == ([], 1)
