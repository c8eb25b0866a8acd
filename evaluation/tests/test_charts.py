import math
import xml.etree.ElementTree as ET

import pytest

from evaluation.charts import line_chart, ticks


def test_a_chart_is_one_svg_image_with_a_line_a_series():
    chart = line_chart(
        {"loss": [(1, 2.0), (2, 1.0)], "<val>": [(1, 3.0), (2, math.nan), (3, 1.5)]}, "epoch", "loss & co"
    )
    root = ET.fromstring(chart)
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 2
    assert len(lines[1].attrib["points"].split()) == 2  # NaN is left out
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "<val>" in texts


def test_the_largest_value_is_drawn_highest():
    root = ET.fromstring(line_chart({"a": [(0, 0.0), (1, 5.0)]}, "x", "a"))
    (x0, y0), (x1, y1) = (
        map(float, point.split(","))
        for point in next(e for e in root.iter() if e.tag.endswith("polyline")).attrib["points"].split()
    )
    assert x0 < x1
    assert y0 > y1


def test_nothing_to_draw_is_no_chart():
    assert line_chart({"a": [(1, math.inf)]}, "x", "a") == ""


def test_one_point_and_a_constant_line_are_drawn():
    ET.fromstring(line_chart({"a": [(1, 2.0)]}, "x", "a"))
    ET.fromstring(line_chart({"a": [(1, 2.0), (2, 2.0)]}, "x", "a"))


def test_ticks_are_round_numbers_inside_the_range():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.13, 0.97) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ticks(-3, 4) == [-2, 0, 2, 4]


def test_a_single_value_may_be_as_large_as_numbers_are():
    for value in (1e16, -1e30, 1e300, 0.0):
        assert "<polyline" in line_chart({"loss": [(1, value)]}, "epoch", "loss")
