"""Characters drawn with fonts, and the elastic changes of their training images."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_recognizer.augmentation.recipes import CharacterElastic
from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.characters.rendered import RenderedCharactersDataset, _of_nine
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.datasets.gnt_files import stroke


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


def test_it_works_out_of_the_box_and_every_split_has_every_character():
    dataset = RenderedCharactersDataset(charset=["a", "b", "g"], repetitions=10, side=32)
    dataset.prepare()
    assert dataset.sizes() == {"train": 21, "validation": 3, "test": 6}
    for name in ("train", "validation", "test"):
        assert sorted(set(dataset.split(name).labels.tolist())) == [0, 1, 2]
    assert len(RenderedCharactersDataset().data_spec.classes) == 94


def test_the_same_seed_draws_the_same_whatever_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr("text_recognizer.datasets.characters.pictures._FEW_PICTURES", 1)
    prints: list[str] = []
    for processes, seed in ((1, 0), (2, 0), (1, 1)):
        monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / f"data{len(prints)}"))
        dataset = RenderedCharactersDataset(repetitions=3, side=16, seed=seed, processes=processes)
        dataset.prepare()
        prints.append(dataset.fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_a_test_font_is_never_trained_on():
    fonts = shared_data("fonts") / "caveat"
    dataset = RenderedCharactersDataset(
        fonts=(str(fonts / "Caveat-Regular.ttf"),),
        test_fonts=(str(fonts / "Caveat-Bold.ttf"),),
        charset=list("abcdef"),
        repetitions=5,
    )
    dataset.prepare()
    assert set(dataset.split("test").groups or ()) == {"Caveat-Bold"}
    assert set(dataset.split("train").groups or ()) == {"Caveat-Regular"}


def test_characters_that_no_font_has_are_named():
    with pytest.raises(DataError, match=r"2 characters of the charset: .*U\+4E00"):
        RenderedCharactersDataset(charset=["a", "一", "丁"]).prepare()


def test_all_3755_characters_of_level_1_are_drawn_with_a_chinese_font():
    path = shared_data("fonts") / "lxgw-wenkai" / "LXGWWenKai-Regular.ttf"
    dataset = RenderedCharactersDataset(fonts=(str(path),), charset="gb2312-1", repetitions=1, side=24)
    assert sum(map(len, dataset.sources())) == 3755


def test_elastic_changes_keep_the_type_and_the_paper_and_differ_between_images():
    data_spec = DataSpec((64, 64, 1), ("a", "b"), ink="dark")
    layer = CharacterElastic().build(data_spec, seed=3)
    images = np.repeat(np.pad(stroke(1365), ((17, 17), (20, 20)), constant_values=255)[None, ..., None], 8, axis=0)
    changed = np.asarray(layer(images, training=True))
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert len({image.tobytes() for image in changed}) == 8
    assert changed.min(axis=(1, 2, 3)).max() < 128  # no character got lost
    assert np.median(changed) > 200
    assert np.array_equal(np.asarray(layer(images)), images)


def still(**changes: Any) -> CharacterElastic:
    """No change but the given ones."""
    nothing: Any = {one.name: 0 for one in fields(CharacterElastic) if one.init and one.name != "flip"}
    return CharacterElastic(**{**nothing, **changes})


def test_a_changed_character_can_be_fitted_into_the_image_again():
    images = np.full((8, 32, 32, 1), 255, np.uint8)
    images[:7, 20:26, 3:9] = 155  # the last shows nothing
    layer = still(fit=True).build(DataSpec((32, 32, 1), ("a", "b"), margin_px=2, ink="dark"), seed=1)
    ink = np.asarray(layer(images, training=True))[..., 0] < 128
    assert ((ink.any(axis=1).sum(axis=1) >= 26) & (ink.any(axis=1).sum(axis=1) <= 29))[:7].all()
    assert not ink[:, :1].any()
    assert not ink[7].any()


def test_parts_of_a_character_are_stretched_differently_and_none_is_lost():
    images = np.full((16, 33, 33, 1), 255, np.uint8)
    images[:, :, [0, 1, 15, 16, 17, 31, 32]] = 0
    layer = still(parts_amount=0.3).build(DataSpec((33, 33, 1), ("a", "b"), ink="dark"), seed=1)
    changed = np.asarray(layer(images, training=True))
    rows = changed[:, 16, :, 0]
    assert (rows[:, [0, 32]] < 128).all()
    assert (rows[:, 5:28].min(axis=1) < 200).all()
    assert len(set(rows[:, 5:28].argmin(axis=1).tolist())) > 3


def test_flips_are_off_unless_asked_for():
    data_spec = DataSpec((16, 16, 1), ("a", "b"), ink="dark")
    image = np.full((1, 16, 16, 1), 255, np.uint8)
    image[:, :, :4] = 0
    images = np.repeat(image, 32, axis=0)
    kept = np.asarray(still().build(data_spec, 1)(images, training=True))
    assert np.array_equal(kept, images)
    flipped = np.asarray(still(flip=True).build(data_spec, 1)(images, training=True))
    assert 4 < sum(np.array_equal(one[:, ::-1], image[0]) for one in flipped) < 28


def test_lines_are_refused():
    with pytest.raises(SpecError, match="single characters"):
        CharacterElastic().build(DataSpec((32, None, 1), ("", "a"), target="line"), seed=0)


def test_strokes_grow_and_shrink_as_the_filters_of_pillow_do():
    from PIL import Image, ImageFilter

    drawn = np.pad(np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8), 2)
    for choose, kind in ((np.maximum, ImageFilter.MaxFilter), (np.minimum, ImageFilter.MinFilter)):
        assert np.array_equal(_of_nine(choose, drawn), np.asarray(Image.fromarray(drawn).filter(kind(3)))[1:-1, 1:-1])


def test_the_experiment_with_chinese_fonts_tests_on_fonts_that_it_does_not_train_on():
    path = Path(__file__).parents[3] / "training" / "experiments" / "hanzi_fonts.json"
    arguments = json.loads(path.read_text())["dataset_args"]
    held_out = [*arguments["validation_fonts"], *arguments["test_fonts"]]
    assert len(arguments["fonts"]) >= 8
    assert len({*arguments["fonts"], *held_out}) == len(arguments["fonts"]) + len(held_out)
