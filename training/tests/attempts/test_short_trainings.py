"""What a network has learnt in a few dozen steps is seen in its validation."""

import json

from training.run_experiment import main
from training.runs.find import find_run


def test_the_running_means_of_hanzi_net_follow_a_short_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    spec = {
        "dataset": "RenderedCharactersDataset",
        "dataset_args": {"charset": ["a", "b", "c", "d", "e", "f"], "repetitions": 60},
        "model": "CharacterModel",
        "network": "hanzi_net",
        "train_args": {"batch_size": 32, "epochs": 3, "augmentation": "character_elastic"},
    }
    assert main([json.dumps(spec), "--nowandb", "--gpu=none"]) == 0
    assert find_run("last").rows()[-2]["val_accuracy"] > 0.6
