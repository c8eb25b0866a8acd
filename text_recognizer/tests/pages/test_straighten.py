"""Lines laid along a straight row: those that slope, bend, stand upright; what is straight stays as it is."""

import math

import numpy as np
import pytest

from text_recognizer.datasets.transcribed.page_images import cut_out
from text_recognizer.images.straighten import are_upside_down, run_backwards
from text_recognizer.tests.datasets.archive_pages import alto, alto_line, page_xml, polygon, read_page
from text_recognizer.tests.pages.page_drawing import drawn_page

LEFT, BASELINE = 200, 300
PAGE = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600))
OUTLINE = ((190.0, 270.0), (410.0, 270.0), (410.0, 312.0), (190.0, 312.0))
COURSE = ((200.0, 300.0), (400.0, 300.0))


def turned(points, degrees):
    """Points of the page turned to the left about its middle, as drawn_page turns it."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((300 + cos * (x - 300) + sin * (y - 300), 300 - sin * (x - 300) + cos * (y - 300)) for x, y in points)


def difference(first, second):
    """The mean difference of two pictures of nearly one size, over the range of one."""
    assert np.abs(np.subtract(first.shape, second.shape)).max() <= 4
    rows, columns = np.minimum(first.shape, second.shape)
    pair = [one[:rows, :columns].astype(float) for one in (first, second)]
    return np.abs(pair[0] - pair[1]).mean() / np.ptp(pair[1])


@pytest.mark.parametrize("degrees", [5, -20, 40, 90, -90])
def test_a_line_at_an_angle_is_read_upright_along_its_baseline(degrees):
    page = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600), degrees)
    line = cut_out(page, turned(OUTLINE, degrees), baseline=turned(COURSE, degrees))
    assert difference(line, cut_out(PAGE, OUTLINE)) < 0.06


def test_readers_that_learnt_from_boxes_get_boxes_unless_lines_are_steep():
    for degrees, is_straightened in ((5, False), (40, True)):
        page = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600), degrees)
        outline, course = turned(OUTLINE, degrees), turned(COURSE, degrees)
        line = cut_out(page, outline, baseline=course, steep_only=True)
        assert np.array_equal(line, cut_out(page, outline, baseline=course)) == is_straightened


def test_the_slope_of_a_slender_outline_stands_for_a_baseline():
    page = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600), 15)
    assert difference(cut_out(page, turned(OUTLINE, 15)), cut_out(PAGE, OUTLINE)) < 0.06


def test_a_baseline_that_bends_becomes_straight():
    columns = np.arange(600)
    rise = np.rint(25 * np.sin((columns - 190) / 220 * np.pi)).astype(int)
    page = np.stack([np.roll(PAGE[:, column], -rise[column]) for column in columns], axis=1)
    bent = [(float(x), 300.0 - rise[x]) for x in range(190, 411, 10)]
    above, below = [(x, y - 30) for x, y in bent], [(x, y + 12) for x, y in bent]
    line = cut_out(page, (*above, *below[::-1]), baseline=tuple(bent))
    assert line.shape[0] < 50 < cut_out(page, (*above, *below[::-1])).shape[0]
    dark = np.flatnonzero((line < 100).any(axis=1))
    assert np.ptp(dark) < 36


@pytest.mark.parametrize("steep_only", [False, True])
def test_a_line_upside_down_is_read_upright_where_its_baseline_is_known_to_run_as_its_letters_do(steep_only):
    outline, course = turned(OUTLINE, 180), turned(COURSE, 180)
    page = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600), 180)
    how = {"steep_only": steep_only, "is_directed": True}
    assert difference(cut_out(page, outline, baseline=course, **how), cut_out(PAGE, OUTLINE)) < 0.06
    assert difference(cut_out(page, outline, baseline=course), cut_out(page, outline)) == 0


def test_lines_are_upside_down_where_most_baselines_run_to_the_left_above_their_letters():
    upright, backwards = (OUTLINE, COURSE), (OUTLINE, COURSE[::-1])
    turned_over = tuple(turned(one, 180) for one in upright)
    assert are_upside_down([turned_over, turned_over, backwards])
    assert not are_upside_down([turned_over, backwards])
    assert not any(
        are_upside_down(lines)
        for lines in ([], [(OUTLINE, ())], [((), COURSE[::-1])], [upright], [backwards, backwards])
    )


def test_vertical_baselines_run_backwards_where_most_have_their_letters_below():
    up, down = ((turned(OUTLINE, degrees), turned(COURSE, degrees)) for degrees in (90, -90))
    from_the_right = [(outline, course[::-1]) for outline, course in (up, down)]
    assert run_backwards([*from_the_right, up])
    assert not run_backwards([up, down, from_the_right[0]])
    assert not any(run_backwards(lines) for lines in ([], [(OUTLINE, ())], [(OUTLINE, COURSE[::-1])]))


def test_the_baselines_of_right_to_left_scripts_may_run_either_way():
    page = drawn_page([(LEFT, BASELINE, "possede faite")], (600, 600), 10)
    outline, course = turned(OUTLINE, 10), turned(COURSE, 10)
    assert np.array_equal(cut_out(page, outline, baseline=course), cut_out(page, outline, baseline=course[::-1]))


@pytest.mark.parametrize(
    "baseline", [(), COURSE, ((200.0, 300.0),), ((200.0, 300.0), (400.0, 303.0)), (COURSE[0],) * 3]
)
def test_a_line_that_is_straight_is_cut_out_as_it_is(baseline):
    assert np.array_equal(cut_out(PAGE, OUTLINE, baseline=baseline), PAGE[270:312, 190:410])


def test_a_baseline_that_runs_to_and_fro_or_far_away_is_left_alone_and_takes_no_memory():
    to_and_fro = tuple((200.0 + 200 * (index % 2), 250.0 + index) for index in range(100))
    far = ((-1e9, -1e9), (1e9, 1e9))
    for baseline in (to_and_fro, far, ((200.0, 300.0), (200.0, -1e9))):
        assert cut_out(PAGE, OUTLINE, baseline=baseline).size <= 8 * 42 * 220


def test_baselines_are_read_from_alto_and_page_xml(tmp_path):
    shaped = alto_line(0, (10, 10, 110, 30), "first", polygon("10 10 110 10 110 30 10 30"))
    (tmp_path / "alto.xml").write_text(alto(shaped.replace("<TextLine", '<TextLine BASELINE="10 25 110 28"')))
    assert read_page(tmp_path / "alto.xml").lines[0].baseline == ((10, 25), (110, 28))
    (tmp_path / "alto.xml").write_text(alto(shaped.replace("<TextLine", '<TextLine BASELINE="25"')))
    assert read_page(tmp_path / "alto.xml").lines[0].baseline == ()
    (tmp_path / "page.xml").write_text(page_xml().replace("<Word", '<Baseline points="10,25 110,28"/><Word', 1))
    assert read_page(tmp_path / "page.xml").lines[0].baseline == ((10, 25), (110, 28))
    assert read_page(tmp_path / "page.xml").lines[1].baseline == ()
