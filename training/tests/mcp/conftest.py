"""A root of runs with a sealed test figure, and the tools of an agent without a budget."""

import pytest

pytest.importorskip("mcp")


from text_recognizer.spec import ExperimentSpec
from training.mcp.budget import Budget
from training.mcp.tools import Tools
from training.runs.run import Run

SECRET = 0.987654321  # of the test split: in no answer but that of test_figures


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A finished run `good`, one at work `busy`, one only made `idle`, and a damaged one."""
    root = tmp_path / "runs"
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(root))
    monkeypatch.setenv("TEXT_RECOGNIZER_LOCKS", str(tmp_path / "locks"))
    made = {
        name: Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", seed=seed), name)
        for seed, name in enumerate(("good", "busy", "idle", "broken"))
    }
    for name in ("good", "busy"):
        made[name].hold()
        made[name].set_state("running", epochs=9)
        made[name].log({"epoch": 4, "val_loss": 0.25})
        made[name].write_text("log.txt", "epoch 3/9\nepoch 4/9  val_loss 0.25\n")
    made["good"].log({"epoch": 4, "best_epoch": 4, "test_accuracy": SECRET})
    made["good"].write_text("log.txt", f"epoch 4/9\nresult      accuracy {SECRET}\n")
    made["good"].write_json("evaluation.json", {"split": "test", "intervals_95": {"accuracy": [0.98, SECRET]}})
    made["good"].set_state("finished", summary={"val_loss": 0.25, "test_accuracy": SECRET})
    made["good"].release()
    (made["broken"].folder / "status.json").write_text("{")
    yield root
    made["busy"].release()


@pytest.fixture
def tools(root):
    return Tools(Budget())
