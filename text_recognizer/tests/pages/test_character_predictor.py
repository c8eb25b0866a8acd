"""Prediction with the canonical bundle, on image files: what works straight after set-up."""

from pathlib import Path

import numpy as np
import pytest

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.errors import DataError
from text_recognizer.predictors import CharacterPredictor
from text_recognizer.settings import weights_folder

IMAGES = Path(__file__).parents[1] / "support" / "digits"


@pytest.fixture(scope="module")
def predictor():
    return CharacterPredictor()


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_is_read_from_an_image_file(predictor, digit):
    prediction = predictor.predict(IMAGES / f"{digit}.png")
    assert prediction.text == str(digit)
    assert prediction.confidence > 0.5
    assert len(prediction.alternatives) == 5
    assert prediction.alternatives[0] == (prediction.text, prediction.confidence)


def test_a_predictor_is_printed_with_what_it_reads_and_its_bundle(predictor):
    folder = weights_folder() / "CharacterModel_DigitsDataset_lenet"
    assert repr(predictor) == f"<CharacterPredictor: reads a character with {folder}, run {predictor.bundle.run_id}>"


def test_an_array_a_path_an_open_file_and_bytes_are_read_alike(predictor):
    path = IMAGES / "7.png"
    with open(path, "rb") as file:
        readings = predictor.predict_many([str(path), path, file, path.read_bytes()])
    assert len({reading.text for reading in readings}) == 1


def test_an_image_of_the_datasets_size_is_read_as_the_dataset_holds_it(predictor):
    dataset = DigitsDataset()
    dataset.prepare()
    split = dataset.split("test")
    images = list(split.batch(np.arange(50))["image"])
    texts = [prediction.text for prediction in predictor.predict_many(images)]
    assert np.mean([text == split.text(position) for position, text in enumerate(texts)]) > 0.95


def test_a_blank_or_missing_image_is_named(predictor):
    with pytest.raises(DataError, match="blank"):
        predictor.predict(np.zeros((50, 50), dtype=np.uint8))
    with pytest.raises(DataError, match=r"the image file is missing: .*nothing\.png"):
        predictor.predict("nothing.png")


def test_no_images_give_no_readings(predictor):
    assert predictor.predict_many([]) == []


def test_the_canonical_bundle_is_small_and_says_where_it_comes_from(predictor):
    files = list((weights_folder() / "CharacterModel_DigitsDataset_lenet").iterdir())
    assert sum(file.stat().st_size for file in files) < 500_000
    assert predictor.bundle.run_id
    assert predictor.bundle.spec.dataset == "DigitsDataset"
