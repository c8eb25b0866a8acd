"""One training on several devices gives the numbers of one device."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from text_recognizer.errors import RunError, SpecError
from text_recognizer.train_args import TrainArgs
from training.attempts.distribution import check_leased_gpus, chosen

ON_DEVICES = """
import sys
import tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 3)
from training.run_experiment import main
sys.exit(main(sys.argv[1:]))
"""
SPEC = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.1},
    "model": "CharacterModel",
    "network": "training.tests.normalised_network:NormalisedNetwork",
    "train_args": {
        "batch_size": 53,  # 107 samples: shares of 18, 18 and 17, and of a last batch of one sample
        "epochs": 3,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "augmentation": "affine",
        "gradient_clip_norm": 0.5,
        "average_decay": 0.9,
    },
}


def losses(folder, distribution, *program):
    arguments = [json.dumps(SPEC), f"--train_args.distribution={distribution}", "--nowandb"]
    environ = {**os.environ, "TEXT_RECOGNIZER_RUNS": str(folder)}
    done = subprocess.run([*program, *arguments], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (metrics,) = folder.glob("*/*/metrics.jsonl")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return done.stdout, np.array([[row["loss"], row["val_loss"]] for row in rows if "loss" in row])


def test_three_devices_give_the_losses_of_one(tmp_path, warm):
    """With dropout, batch normalisation, clipping, averages, shares of unequal size and fewer samples than devices."""
    output, shared = losses(tmp_path / "three", "mirrored", sys.executable, "-c", ON_DEVICES)
    assert "devices     3" in output
    assert shared.shape == (3, 2)
    assert shared == pytest.approx(
        losses(tmp_path / "one", "one_device", warm.programs / "run_experiment")[1], rel=1e-3
    )


def test_a_leased_gpu_that_tensorflow_cannot_use_is_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-11111111-aaaa,GPU-22222222-bbbb")
    with pytest.raises(RunError, match=r"2 GPUs leased, but TensorFlow can use none.*--gpu=none"):
        check_leased_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    check_leased_gpus()


def test_a_step_that_is_compiled_for_one_device_is_not_shared():
    with pytest.raises(SpecError, match="jit_compile"):
        chosen(TrainArgs(distribution="mirrored", jit_compile=True))
