"""text-recognizer predict and evaluate, with the included bundle."""

import json
import re
import shutil
from pathlib import Path

from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import REPOSITORY, weights_folder
from training.cli import main as text_recognizer

THREE = REPOSITORY / "text_recognizer" / "tests" / "support" / "digits" / "3.png"


def test_predictions_and_evaluation_have_commands(capfd):
    assert text_recognizer(["predict", str(THREE), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["text"] == "3"
    assert text_recognizer(["predict", str(THREE), "--alternatives", "10"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 11
    assert text_recognizer(["evaluate"]) == 0
    assert "test accuracy 0.9" in capfd.readouterr().out
    assert text_recognizer(["predict", "nothing.png"]) == 2
    assert text_recognizer(["predikt"]) == 2
    assert "Did you mean 'predict'?" in capfd.readouterr().err


def test_an_evaluation_can_be_of_a_random_choice_that_is_always_the_same(capfd):
    assert text_recognizer(["evaluate", "--limit", "40"]) == 0
    shown = capfd.readouterr().out
    assert re.search(r"limit    40 of \d+ images, chosen at random with seed 0\nresult .* 40 images\)", shown)
    assert re.search(r"  top_5_accuracy +\d\.\d{4}.*  recall@5\n", shown)
    assert "precision@1" in shown
    assert text_recognizer(["evaluate", "--limit", "40", "--json"]) == 0
    figures = json.loads(capfd.readouterr().out)
    assert figures["count"] == sum(row["count"] for row in figures["classes"]) == 40
    assert f"top_3_accuracy       {figures['metrics']['top_3_accuracy']:.4f}" in shown
    assert figures["samples_of_split"] > 40
    assert text_recognizer(["evaluate", "--limit", "1_000_000"]) == 0
    assert "chosen at random" not in capfd.readouterr().out
    assert text_recognizer(["evaluate", "--limit", "0"]) == 2
    assert "--limit: a whole number from 1" in capfd.readouterr().err


def test_a_gate_closes_when_a_bundle_reads_worse_than_it_was_recorded(tmp_path, capfd):
    assert text_recognizer(["evaluate", "--gate"]) == 0
    worse = Path(shutil.copytree(weights_folder() / "CharacterModel_DigitsDataset_lenet", tmp_path / "worse"))
    path = worse / "bundle.json"
    described = json.loads(path.read_text())
    described["metrics"]["test_accuracy"] = 1.0  # as if it had read two images more
    path.write_text(json.dumps(described))
    assert text_recognizer(["evaluate", str(worse), "--gate"]) == 1
    assert re.search(r"the gate failed: accuracy is 0.9\d+, recorded was 1.0000", capfd.readouterr().err)
    path.write_text(json.dumps({**described, "dataset_fingerprint": "another"}))
    assert text_recognizer(["evaluate", str(worse), "--gate"]) == 2
    assert "has changed since it was recorded" in capfd.readouterr().err
    path.write_text(json.dumps({**described, "metrics": {}}))
    assert text_recognizer(["evaluate", str(worse), "--gate"]) == 2
    assert "has no recorded test_accuracy" in capfd.readouterr().err
    for more in (["--split", "train"], ["--limit", "9"], ["--decoding", "greedy"], ["--dataset_args.seed=1"]):
        assert text_recognizer(["evaluate", "--gate", *more]) == 2


def test_a_gate_closes_when_a_promoted_model_is_replaced_by_a_worse_one(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    shipped = weights_folder() / "CharacterModel_DigitsDataset_lenet"
    described = json.loads((shipped / "bundle.json").read_text())
    described["metrics"]["test_accuracy"] = 1.0
    for name, fingerprint in (("digits", described["dataset_fingerprint"]), ("others", "another")):
        better = Path(shutil.copytree(shipped, tmp_path / name))
        (better / "bundle.json").write_text(json.dumps({**described, "dataset_fingerprint": fingerprint}))
        for folder in (better, shipped):
            ModelStore().add(name, folder, {})
    assert text_recognizer(["evaluate", "digits", "--gate"]) == 1
    assert "recorded was 1.0000 (run " in capfd.readouterr().err
    assert text_recognizer(["evaluate", "others", "--gate"]) == 0  # what was read on other data says nothing
