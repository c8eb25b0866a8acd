"""The included reader of Chinese characters."""

import numpy as np
import pytest

from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.drawing.fonts import Font
from text_recognizer.predictors import CharacterPredictor
from text_recognizer.tests.conftest import shared_data

TEXT = "永和九年岁在癸丑暮春之初会于会稽山阴之兰亭修禊事也"
LEAST_OF_NUMERALS = 0.55  # a tenth of them are fragments


@pytest.fixture(scope="module")
def reader():
    return CharacterPredictor("hanzi-reader")


def test_characters_of_a_font_that_it_never_saw_are_read(reader):
    font = Font(str(shared_data("fonts") / "lxgw-wenkai" / "LXGWWenKai-Regular.ttf"), 64)
    texts = [text for text in TEXT if text in reader.bundle.data_spec.classes]
    found = reader.predict_many([255 - np.pad(font.draw(text), 8) for text in texts])
    assert sum(one.text == text for one, text in zip(found, texts, strict=True)) >= len(texts) - 1


def test_most_numerals_by_hands_that_it_never_saw_are_read(reader, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path))
    dataset = HwdbDataset(path=str(shared_data("chinese_numerals") / "gnt"), side=40, subsample_fraction=0.1)
    dataset.prepare()
    split = dataset.split("test")
    found = reader.predict_prepared([split.image(place) for place in range(len(split))])
    right = [one.text == split.text(place) for place, one in enumerate(found)]
    assert np.mean(right) >= LEAST_OF_NUMERALS
