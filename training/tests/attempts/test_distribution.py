"""One training on several devices gives the numbers of one device."""

import json
import os

import numpy as np
import pytest

from text_recognizer.errors import RunError, SpecError
from text_recognizer.tests.waiting import PATIENCE_S
from text_recognizer.train_args import TrainArgs
from training.attempts.distribution import check_leased_gpus, chosen

ON_THREE_AND_ON_ONE = """
import sys
import keras
import tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 3)
keras.config.set_floatx("float64")  # float32 would hide a wrong count behind what it rounds
from training.run_experiment import main
for name in ("mirrored", "one_device"):
    assert main([*sys.argv[2:], f"--train_args.distribution={name}", f"--id={name}"]) == 0
"""
SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.1},
    "model": "CharacterModel",
    "network": "training.tests.attempts.normalised_network:NormalisedNetwork",
    "train_args": {
        "batch_size": 107,  # 109 samples: shares of 35, 36 and 36, and of a last batch of two samples
        "epochs": 3,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "augmentation": "affine",
        "gradient_clip_norm": 0.5,
        "average_decay": 0.9,
    },
}


def test_three_devices_give_the_losses_of_one(tmp_path, digits_prepared, warm):
    """With dropout, batch normalisation, clipping, averages, shares of unequal size and fewer samples than devices."""
    command = ["example", ON_THREE_AND_ON_ONE, json.dumps(SPEC), "--gpu=none", "--nowandb"]
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(tmp_path)}
    with open(tmp_path / "output", "w+") as output:
        done = warm.start(*command, cwd=tmp_path, env=environ, output=output).wait(PATIENCE_S)
        output.seek(0)
        printed = output.read()
    assert done == 0, printed
    assert "devices     3" in printed
    shared, alone = (losses(tmp_path / "default" / name) for name in ("mirrored", "one_device"))
    assert shared.shape == (3, 2)
    assert shared == pytest.approx(alone, rel=1e-6)


def losses(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([[row["loss"], row["val_loss"]] for row in rows if "loss" in row])


def test_a_leased_gpu_that_tensorflow_cannot_use_is_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-11111111-aaaa,GPU-22222222-bbbb")
    with pytest.raises(RunError, match=r"2 GPUs leased, but TensorFlow can use none.*--gpu=none"):
        check_leased_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    check_leased_gpus()


def test_a_step_that_is_compiled_for_one_device_is_not_shared():
    with pytest.raises(SpecError, match="jit_compile"):
        chosen(TrainArgs(distribution="mirrored", jit_compile=True))
