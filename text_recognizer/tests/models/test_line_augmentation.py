"""Random changes of lines and pages: what they keep, and that each of them does something."""

import numpy as np
import pytest

from text_recognizer.augmentation.recipes import Affine, LineAffine, LineElastic, LineWorn, PageAffine, augmented
from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError

NOTHING = {
    "rotation_degrees": 0.0,
    "shear_degrees": 0.0,
    "zoom_fraction": 0.0,
    "shift_fraction": 0.0,
    "brightness_fraction": 0.0,
    "contrast_fraction": 0.0,
}
STILL = NOTHING | {"local_fraction": 0.0, "stroke_amount": 0.0, "noise_fraction": 0.0}


def line_layer(ink="light", seed=0, **changes):
    return LineElastic(**(STILL | changes)).build(DataSpec((20, None, 1), ("", "a"), "line", ink), seed)


def strokes(width=80, padding=40, ink=220, background=0):
    """A line of upright strokes, four pixels wide, and padding."""
    image = np.full((1, 20, width + padding, 1), background, np.uint8)
    for left in range(4, width - 4, 12):
        image[:, 4:16, left : left + 4] = ink
    return image, np.array([width], np.int32)


def changed(layer, images, widths, times=1):
    import keras

    out = layer(np.repeat(images, times, axis=0), np.repeat(widths, times), training=True)
    return keras.ops.convert_to_numpy(out[0]), keras.ops.convert_to_numpy(out[1])


CHANGES = {
    "rotation_degrees": 3.0,
    "shear_degrees": 20.0,
    "zoom_fraction": 0.2,
    "stretch_fraction": 0.4,
    "margin_fraction": 0.3,
    "shift_fraction": 0.2,
    "local_fraction": 0.1,
    "stroke_amount": 1.0,
    "brightness_fraction": 0.3,
    "contrast_fraction": 0.3,
    "noise_fraction": 0.2,
}


def test_without_changes_lines_pass_as_they_are():
    images, widths = strokes()
    out, out_widths = changed(line_layer(), images, widths)
    assert np.array_equal(out, images)
    assert out_widths.tolist() == [80]


@pytest.mark.parametrize(("name", "amount"), CHANGES.items())
def test_each_change_changes_each_line_in_a_way_of_its_own(name, amount):
    images, widths = strokes(ink=180)
    out, out_widths = changed(line_layer(**{name: amount}), images, widths, times=4)
    assert len({one.tobytes() for one in out}) == 4
    assert out.dtype == np.uint8
    assert out.shape == (4, 20, 120, 1)
    assert np.all(out_widths >= 80)  # never fewer frames for the same label
    assert np.all(out_widths <= 120)
    if name not in {"zoom_fraction", "stretch_fraction"}:
        assert out_widths.tolist() == [80] * 4


WEAR = {
    "mask_heights": 1.0,
    "blur_amount": 1.0,
    "shade_fraction": 0.4,
    "stain_fraction": 0.9,
    "intrusion_fraction": 0.9,
}


@pytest.mark.parametrize("name", WEAR)
def test_wear_changes_lines_within_their_width(name):
    images, widths = strokes(ink=180)
    images = np.concatenate([images, np.roll(images, (6, 5), (1, 2))])  # a second line, for what reaches in
    widths = np.repeat(widths, 2)
    worn = LineWorn(**(STILL | dict.fromkeys(WEAR, 0.0) | {name: WEAR[name]}))
    out, out_widths = changed(worn.build(DataSpec((20, None, 1), ("", "a"), "line"), 0), images, widths, times=4)
    assert len({one.tobytes() for one in out}) >= 4
    assert out.shape == (8, 20, 120, 1)
    assert out_widths.tolist() == [80] * 8
    assert not out[:, :, 80:].any()  # padding stays nothing
    original = np.repeat(images, 4, axis=0).astype(int)
    if name == "mask_heights":
        assert (out <= original).all()
    elif name != "blur_amount":  # they only add ink
        assert (out >= original - 1)[:, :, :80].all()


def test_a_line_that_reaches_in_does_so_from_above_and_below_alone():
    blank, widths = np.zeros((2, 20, 60, 1), np.uint8), np.array([60, 60], np.int32)
    blank[0] = 200
    worn = LineWorn(**(STILL | dict.fromkeys(WEAR, 0.0) | {"intrusion_fraction": 0.9}))
    layer = worn.build(DataSpec((20, None, 1), ("", "a"), "line"), 1)
    for _ in range(8):
        out, _ = changed(layer, blank, widths)
        assert not out[1, 5:15].any()
    assert any(changed(layer, blank, widths)[0][1].any() for _ in range(8))


def test_a_wider_line_keeps_all_its_ink_within_its_new_width():
    images, widths = strokes()
    out, out_widths = changed(line_layer(zoom_fraction=0.2), images, widths, times=30)
    assert len(set(out_widths.tolist())) > 5
    for image, width in zip(out[..., 0], out_widths, strict=True):
        assert image[:, width:].max(initial=0) == 0  # padding stays nothing
    # Strokes follow each other every 12 pixels; the seventh begins at 76 times the zoom, still inside.
    assert all((image.max(axis=0) > 60).sum() > 20 for image in out[..., 0])


def test_a_line_without_padding_gets_room_to_become_wider():
    images, widths = strokes(padding=0)
    out, out_widths = changed(line_layer(stretch_fraction=0.5), images, widths, times=30)
    assert out.shape == (30, 20, 112 + 32, 1)  # 80 and 32 are not enough for the widest
    assert 112 < out_widths.max() <= 120
    kept = LineElastic(**(STILL | {"stretch_fraction": 0.5})).build(DataSpec((20, 80, 1), ("", "a"), "line"), 0)
    out, out_widths = changed(kept, images, widths, times=30)
    assert out.shape == (30, 20, 80, 1)
    assert out_widths.tolist() == [80] * 30


def test_what_comes_in_from_outside_of_a_line_is_its_paper():
    images, widths = strokes(background=60)
    images[:, :, 80:] = 0
    out, _ = changed(line_layer(margin_fraction=0.4, rotation_degrees=3.0), images, widths, times=20)
    assert out[:, :, :80].min() >= 59
    assert np.median(out[:, :, :80]) <= 61
    assert not out[:, :, 80:].any()


def test_a_margin_makes_a_line_smaller_and_loses_no_ink():
    images, widths = strokes()
    out, _ = changed(line_layer(margin_fraction=0.4), images, widths, times=20)
    heights = np.array([np.ptp(np.flatnonzero((one > 60).any(axis=(1, 2)))) + 1 for one in out])
    assert heights.min() < 9
    assert heights.max() <= 12
    assert (out[..., 0].max(axis=1) > 60).sum(axis=1).min() > 12


def test_padding_is_no_paper_that_could_be_brighter_or_rougher():
    images, widths = strokes()
    out, _ = changed(line_layer(brightness_fraction=0.5, noise_fraction=0.5), images, widths, times=8)
    assert out[:, :, 80:].max() == 0
    assert out[:, :, :80].std() > images[:, :, :80].std() * 0.3


def test_dark_ink_on_light_paper_is_the_mirror_image_of_light_on_dark():
    images, widths = strokes()
    changes = {"rotation_degrees": 2.0, "local_fraction": 0.1, "stroke_amount": 1.0, "contrast_fraction": 0.2}
    light, _ = changed(line_layer("light", **changes), images, widths)
    dark, _ = changed(line_layer("dark", **changes), 255 - images, widths)
    assert np.abs(light.astype(int) - (255 - dark.astype(int))).max() <= 1


def test_the_same_seed_gives_the_same_changes_and_another_seed_others():
    images, widths = strokes()
    outs = [changed(line_layer(seed=seed, **CHANGES), images, widths)[0] for seed in (1, 1, 2)]
    assert np.array_equal(outs[0], outs[1])
    assert not np.array_equal(outs[0], outs[2])


def test_a_long_line_is_turned_no_more_than_fits():
    # 6 degrees of 1,200 pixels would be 125 pixels up and down: the line would leave its 20 rows.
    images, widths = strokes(width=1200)
    out, _ = changed(line_layer(rotation_degrees=6.0), images, widths, times=6)
    ink = out.astype(float).sum(axis=(1, 2, 3)) / images.astype(float).sum()
    assert ink.min() > 0.9


def test_strokes_become_thicker_and_thinner():
    images, widths = strokes()
    out, _ = changed(line_layer(stroke_amount=1.0), images, widths, times=20)
    ink = out.astype(float).sum(axis=(1, 2, 3)) / images.astype(float).sum()
    assert ink.min() < 0.8
    assert ink.max() > 1.2


def test_lines_pass_unchanged_when_nothing_is_trained():
    import keras

    images, widths = strokes()
    out = line_layer(**CHANGES)(images, widths, training=False)
    assert np.array_equal(keras.ops.convert_to_numpy(out[0]), images)


def test_a_batch_keeps_its_other_columns():
    images, widths = strokes()
    layer = LineAffine().build(DataSpec((20, None, 1), ("", "a"), "line"), 0)
    batch = augmented({"image": images, "width": widths, "label": np.array([[1]])}, layer)
    assert set(batch) == {"image", "width", "label"}
    assert batch["label"].tolist() == [[1]]


def test_the_usual_changes_serve_lines_too():
    images, widths = strokes()
    layer = Affine(rotation_degrees=2.0).build(DataSpec((20, None, 1), ("", "a"), "line"), 0)
    out, out_widths = changed(layer, images, widths)
    assert out.shape == images.shape
    assert out_widths[0] >= 80


def test_changes_of_lines_are_refused_for_other_images():
    with pytest.raises(SpecError, match="changes lines of text, but the dataset's images show a character"):
        LineElastic().build(DataSpec((28, 28, 1), ("a",)), 0)


def test_the_classes_of_a_page_move_with_its_pixels():
    import keras

    image = np.zeros((6, 40, 40, 1), np.uint8)
    image[:, 10:20, 5:25] = 200
    labels = (image[..., 0] > 0).astype(np.uint8) * 2
    layer = PageAffine(brightness_fraction=0.0, contrast_fraction=0.0).build(
        DataSpec((40, 40, 1), ("background", "odd", "even"), "pixels"), 0
    )
    out, classes = map(keras.ops.convert_to_numpy, layer(image, labels, training=True))
    assert set(np.unique(classes)) == {0, 2}
    agree = (out[..., 0] > 100) == (classes == 2)
    assert agree.mean() > 0.99
    assert len({one.tobytes() for one in classes}) == 6
    mirrored = [np.nonzero(one.any(axis=0))[0].mean() > 20 for one in classes]
    assert len(set(mirrored)) == 2  # some were mirrored, some not


def test_the_random_states_of_page_augmentation_stay_in_the_order_of_checkpoints():
    layer = PageAffine().build(DataSpec((40, 40, 1), ("background", "odd", "even"), "pixels"), 5)
    assert [np.asarray(one.value).tolist() for one in layer.variables] == [[6, 0], [5, 0]]
