"""Gate: the canonical bundle keeps the accuracy it was recorded with, on the test split; a worse one fails here."""

import shutil

import numpy as np
import pytest

from evaluation.evaluate import evaluate
from evaluation.gate import shortfall
from evaluation.tests.speed import times_as_fast
from text_recognizer.errors import DataError
from text_recognizer.experiment import assemble
from text_recognizer.models.bundle import Bundle, find_bundle, write_bundle
from text_recognizer.predictors import CharacterPredictor

NAME = "CharacterModel_DigitsDataset_lenet"
ACCURACY_FLOOR = 0.97


def passes_gate(bundle: Bundle) -> bool:
    """Whether a bundle reaches the floor and what it was recorded with, on the data it was recorded on."""
    dataset = assemble(bundle.spec).dataset
    dataset.prepare()
    assert dataset.fingerprint == bundle.dataset_fingerprint
    model = bundle.load()
    result = evaluate(model, dataset.split("test"), "test")
    return result.metrics["accuracy"] >= ACCURACY_FLOOR and shortfall(bundle, model, result) is None


def test_the_canonical_bundle_reaches_its_recorded_accuracy():
    assert passes_gate(find_bundle(NAME))


def test_many_characters_are_read_faster_than_keras_reads_them_one_by_one():
    predictor = CharacterPredictor()
    network = predictor.bundle.load().keras_model
    images = list(np.random.default_rng(0).integers(0, 256, (8, *predictor.bundle.data_spec.input_shape), np.uint8))

    def one_by_one() -> None:
        for image in images:
            network.predict(image[None], verbose=0)

    # Measured: more than 100. A model that is built, compiled or loaded for every image is below 1.
    assert times_as_fast(lambda: predictor.predict_many(images), one_by_one) >= 5


def test_a_worse_bundle_does_not_pass(tmp_path):
    good = find_bundle(NAME)
    model = good.load()
    random = np.random.default_rng(0)
    for weight in model.keras_model.trainable_weights:
        weight.assign(weight + random.normal(0, 0.15, weight.shape))
    write_bundle(tmp_path / "worse", model, good.spec, "worse", good.metrics, good.dataset_fingerprint)
    assert not passes_gate(find_bundle(tmp_path / "worse"))


def test_a_bundle_with_exchanged_weights_does_not_even_load(tmp_path):
    shutil.copytree(find_bundle(NAME).folder, tmp_path / "bundle")
    weights = tmp_path / "bundle" / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="has changed"):
        find_bundle(tmp_path / "bundle").load()
