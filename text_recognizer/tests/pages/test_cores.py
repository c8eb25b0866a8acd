"""Cores of lines: drawn for training, turned back into lines, and as a detector finds them."""

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.layout.cores import CORE_CLASSES, core_map, lines_of, shapes_of
from text_recognizer.models.line_detector import LineDetectorModel
from text_recognizer.networks.base import Network
from text_recognizer.networks.page_net import PageNet
from text_recognizer.tests.pages.page_drawing import drawn_page

# Two lines that overlap, and two beside each other in columns.
BOXES = [(20, 20, 380, 60), (30, 45, 390, 85), (20, 120, 160, 150), (240, 120, 390, 150)]


def outline(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def test_the_lines_of_a_core_map_are_those_that_it_was_drawn_of():
    label = core_map([outline(*box) for box in BOXES], 400)
    assert set(np.unique(label)) == {0, 1, 2}
    found = sorted(line.box for line in lines_of(label == CORE_CLASSES.index("line core")))
    assert np.abs(np.array(found) - np.array(sorted(BOXES))).max() < 8


def test_a_core_with_a_gap_is_one_line_and_specks_are_none():
    label = core_map([outline(20, 20, 380, 60)], 400)
    label[:, 200:230] = 0  # less than two heights of the line
    label[300:302, 20:30] = 2
    (line,) = lines_of(label == 2)
    assert np.abs(np.array(line.box) - (20, 20, 380, 60)).max() < 4
    assert lines_of(np.zeros((50, 50), bool)) == []


def test_a_sloping_outline_gives_a_sloping_course():
    corners = np.array([(20, 20), (380, 60), (380, 90), (20, 50)], float)
    (line,) = lines_of(core_map([corners], 400) == 2)
    assert line.top[-20:].mean() - line.top[:20].mean() == pytest.approx(40 * 340 / 360, abs=5)


def test_lines_have_their_baselines_by_the_ink_and_without_any_are_left_out():
    page = drawn_page([(60, 100, "possede faite toute la maison")], (600, 600))
    label = core_map([outline(50, 68, 500, 112), outline(50, 300, 500, 340)], 600)
    (shape,) = shapes_of(lines_of(label == 2), page)
    assert np.abs(shape.baseline - 100).max() < 4
    assert (shape.above < shape.baseline - 15).all()
    assert len(shape.columns) == len(shape.below) > 5


class Untouched(Network):
    def build(self, input_shape, output_shape):
        raise NotImplementedError


def seen_one_way(page, label, way, other):
    """A network that gives the cores of a page a probability, and those of its mirror image another one."""

    def outputs(images):
        is_page = (images[0, :, :, 0] == page).all()
        core = np.where((label if is_page else np.flip(label, axis=1)) == 2, way if is_page else other, 0.0)
        classes = np.stack([0.99 - core, np.full_like(core, 0.005), core + 0.005], axis=-1)
        return np.log(np.stack([classes] * len(images)))

    return outputs


def test_a_detector_of_cores_finds_boxes_baselines_and_outlines():
    page = 255 - drawn_page([(60, 100, "possede faite toute la maison")], (400, 400))
    label = core_map([outline(50, 75, 390, 105)], 400)  # of a line from 73 to 107, by the share that is found
    model = LineDetectorModel(DataSpec((400, 400, 1), CORE_CLASSES, "pixels"), Untouched())
    model.runtime = seen_one_way(page, label, 0.9, 0.9)
    assert model.boxes(model.outputs(page[None, ..., None]))[0].shape == (1, 4)
    ((shape,),) = model.find_lines(page[None, ..., None])
    assert np.abs(np.array(shape.box) - (50, 73, 390, 107)).max() < 4
    assert np.abs(shape.baseline - 100).max() < 4


@pytest.mark.parametrize(("way", "other", "lines"), [(0.9, 0.4, 1), (0.4, 0.9, 1), (0.9, 0.1, 0)])
def test_a_line_is_found_where_a_page_and_its_mirror_image_show_it_on_the_average(way, other, lines):
    page = 255 - drawn_page([(60, 100, "possede faite")], (400, 400))
    label = core_map([outline(50, 75, 390, 105)], 400)
    model = LineDetectorModel(DataSpec((400, 400, 1), CORE_CLASSES, "pixels"), Untouched())
    model.runtime = seen_one_way(page, label, way, other)
    (found,) = model.find_lines(page[None, ..., None])
    assert len(found) == lines


def test_the_network_of_large_pages_wants_sides_that_it_can_halve_four_times():
    PageNet().check((768, 768, 1), (768, 768, 3))
    with pytest.raises(ValueError, match="multiples of 16 pixels, the dataset's have \\(100, 100\\)"):
        PageNet().check((100, 100, 1), (100, 100, 3))
