import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from text_recognizer.datasets.transcribed.page_images import cut_out
from text_recognizer.layout import shapes
from text_recognizer.layout.columns import in_reading_order
from text_recognizer.layout.find_lines import find_lines
from text_recognizer.layout.shapes import FoundLine, LineShape, evened
from text_recognizer.layout.turning import angle_of_lines
from text_recognizer.tests.pages.page_drawing import drawn_page, paragraph, text_of


@pytest.mark.parametrize("ink", ["dark", "light"])
def test_every_line_of_a_page_is_found_from_top_to_bottom_with_its_baseline(ink):
    page = drawn_page(paragraph(8))
    lines = find_lines(page if ink == "dark" else 255 - page)
    assert len(lines) == 8
    for line, (left, baseline, _) in zip(lines, paragraph(8), strict=True):
        assert abs(line.box[0] - left) < 6
        assert line.box[1] < baseline - 15 < baseline <= line.box[3] + 3
        assert line.baseline[0][0] < line.baseline[-1][0]
        assert len(line.polygon) == 2 * len(line.baseline)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_page_of_one_level_has_no_lines(level):
    assert find_lines(np.full((300, 200), level, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 7)])
def test_an_image_too_small_for_writing_has_no_lines(shape):
    assert find_lines((np.arange(shape[0] * shape[1]) % 2 * 255).astype(np.uint8).reshape(shape)) == []


@pytest.mark.parametrize("pitch", [44, 52, 70, 80, 90, 110, 150])
def test_widely_spaced_lines_of_a_short_note_are_found(pitch):
    assert len(find_lines(drawn_page(paragraph(3, words=4, pitch=pitch), size=(900, 600)))) == 3


def test_a_page_with_one_line_has_one():
    assert len(find_lines(drawn_page([(80, 300, "Ceci est mon testament")]))) == 1


@pytest.mark.parametrize("grain", [0, 3])
@pytest.mark.parametrize(("word", "font_px"), [("Oui", 30), ("mon", 60)])
def test_a_page_with_one_word_has_one_line(word, font_px, grain):
    page = drawn_page([(50, 420, word)], (700, 800), font_px=font_px)
    page = np.clip(page + grain * np.random.default_rng(0).standard_normal(page.shape), 0, 255).astype(np.uint8)
    (line,) = find_lines(page)
    assert 40 < line.box[0] < 60
    assert 415 < line.box[3] < 425


@pytest.mark.parametrize("pitch", [40, 60])
def test_the_words_of_a_list_are_lines(pitch):
    words = ["home", "bald", "land", "kind", "blue"]
    page = drawn_page([(50, 60 + pitch * index, word) for index, word in enumerate(words)], (700, 400), font_px=30)
    boxes = [line.box for line in find_lines(page)]
    assert len(boxes) == len(words)
    for index, box in enumerate(boxes):
        assert 50 + pitch * index < box[3] < 70 + pitch * index
        assert 40 < box[0] < 60


def test_words_are_not_looked_for_in_noise(monkeypatch):
    looked_at: list[int] = []

    def words(_strokes, ridges, *_):
        looked_at.append(len(ridges))
        return []

    monkeypatch.setattr(shapes, "_words", words)
    noise = np.clip(np.random.default_rng(0).normal(235, 10, (1500, 1500)), 0, 255).astype(np.uint8)
    assert find_lines(noise) == []
    assert looked_at == [1]


def test_a_few_specks_and_a_scratch_are_no_word():
    page = np.full((800, 700), 235, np.uint8)
    page[100:104, 200:204] = page[400:403, 350:353] = page[600:603, 40:43] = 80
    page[420:460, 300:303] = 90
    assert find_lines(page) == []


@pytest.mark.parametrize("spread", [6, 30, 80])
def test_noise_has_no_lines(spread):
    noise = 128 + spread * np.random.default_rng(0).standard_normal((500, 400))
    assert find_lines(np.clip(noise, 0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize(("seed", "size_px", "spread"), [(5, 1, 5), (0, 1, 15), (4, 2, 5), (4, 4, 15)])
def test_soft_noise_has_no_lines(seed, size_px, spread):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((500, 400)), size_px)
    page = 200 + spread * noise / noise.std()
    assert find_lines(np.clip(page, 0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize("step", [20, 1])
def test_stripes_are_no_lines(step):
    stripes = (np.arange(400) // step % 2 * 255).astype(np.uint8)
    assert find_lines(np.tile(stripes, (400, 1))) == []
    assert find_lines(np.tile(stripes[:, None], (1, 400))) == []


def test_rules_a_margin_and_the_black_border_of_a_scan_are_no_lines():
    page = drawn_page(paragraph(8)).copy()
    page[114:1100:44] = page[115:1100:44] = 120
    page[:, 60:63] = 120
    page[:, :25] = page[-30:] = 5
    assert len(find_lines(page)) == 8


def test_a_shadow_over_half_of_the_page_hides_no_line():
    page = drawn_page(paragraph(8))
    shadow = np.linspace(0.35, 1, page.shape[1])
    assert len(find_lines((page * shadow).astype(np.uint8))) == 8


def test_the_lines_of_a_page_twenty_thousand_pixels_wide_are_found():
    page = np.pad(drawn_page(paragraph(3), (900, 300)), ((0, 0), (0, 19_100)), constant_values=235).copy()
    page[150, -1] = 0  # so that all of it is looked at
    assert len(find_lines(page)) == 3


def test_a_long_strip_is_not_turned_for_that_would_take_its_length_squared():
    # Dotted lines at 45 degrees.
    slanted = (np.indices((40, 4000)).sum(axis=0) % 12 < 4) & (np.arange(4000) % 6 < 3)
    assert abs(angle_of_lines(slanted[:, :80], 12) - 45) <= 1
    assert angle_of_lines(slanted, 12) == 0


def test_lines_that_slope_are_found():
    assert len(find_lines(drawn_page(paragraph(8), angle=8))) == 8


@pytest.mark.parametrize("degrees", [-6, 8, 11])
def test_uneven_lines_close_together_are_found_whole_on_a_page_laid_down_awry(degrees):
    jitter = np.random.default_rng(1).integers(-6, 7, (16, 5)).tolist()
    words = [
        (120 + 130 * column, 200 + 34 * row + shift, text_of(1, 7 * row + column))
        for row, shifts in enumerate(jitter)
        for column, shift in enumerate(shifts)
    ]
    assert len(find_lines(drawn_page(words, (1000, 1000), degrees, font_px=24))) == 16


@pytest.mark.parametrize("word", ["Philip", "loop", "lll yyy"])
def test_a_level_word_is_not_turned_where_its_tall_letters_stand_at_one_end(word):
    (line,) = find_lines(drawn_page([(40, 80, word)], (240, 140), font_px=40))
    (_, left), (_, right) = line.baseline[0], line.baseline[-1]
    assert abs(right - left) < 6


@pytest.mark.parametrize("degrees", [-30, 45, 90])
def test_lines_at_any_angle_are_found_with_the_baselines_that_their_letters_stand_on(degrees):
    page = drawn_page(paragraph(8, 200, 400), (1000, 1000), degrees)
    lines = find_lines(page)
    assert len(lines) == 8
    for line in lines:
        (x1, y1), (x2, y2) = line.baseline[0], line.baseline[-1]
        assert abs(np.degrees(np.arctan2(y1 - y2, x2 - x1)) - degrees) < 3
        assert line.box[0] - 9 <= min(x1, x2) <= max(x1, x2) <= line.box[2] + 9
    upright = [cut_out(page, line.polygon, baseline=line.baseline) for line in lines]
    assert all(24 < line.shape[0] < 60 < line.shape[1] for line in upright)


@pytest.mark.parametrize("degrees", [-60, 30, 45, 90])
def test_the_only_line_of_a_picture_is_found_at_any_angle(degrees):
    strip = drawn_page([(20, 44, text_of(5))], (470, 64))
    side = np.full((600, 600), 235, np.uint8)
    side[268:332, 65:535] = strip
    (line,) = find_lines(np.asarray(Image.fromarray(side).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=235)))
    (x1, y1), (x2, y2) = line.baseline[0], line.baseline[-1]
    assert abs((np.degrees(np.arctan2(y1 - y2, x2 - x1)) - degrees + 90) % 180 - 90) < 3  # one way or the other
    assert np.hypot(x2 - x1, y2 - y1) > 400


def test_a_line_without_tall_letters_is_found_among_others():
    texts = paragraph(8)
    texts[4] = (*texts[4][:2], "nous avons vu ma soeur avec mon erreur")
    assert len(find_lines(drawn_page(texts))) == 8


def test_a_note_in_smaller_writing_in_the_margin_is_found_and_read_in_one_piece():
    text, note = paragraph(12, 360, words=5), paragraph(6, 40, 250, 2, 26)
    page = np.minimum(drawn_page(text, (1000, 1200)), drawn_page(note, (1000, 1200), font_px=17))
    assert [line.box[0] < 300 for line in find_lines(page)] == [False] * 3 + [True] * 6 + [False] * 9


def test_a_long_stroke_of_one_letter_makes_the_picture_of_its_line_no_higher():
    page = drawn_page(paragraph(8, pitch=80))
    page = page.copy()
    page[600:645, 400:404] = 40  # a tail of the sixth line, which stands on 500
    heights = [cut_out(page, line.polygon, True, line.baseline, True).shape[0] for line in find_lines(page)]
    assert len(heights) == 8
    assert max(heights) < 1.3 * np.median(heights)


@pytest.mark.parametrize("font_px", [45, 60, 70])
def test_a_short_heading_in_large_letters_is_found(font_px):
    page = np.minimum(drawn_page(paragraph(7, top=200)), drawn_page([(80, 110, "Lundi hier")], font_px=font_px))
    first, *rest = find_lines(page)
    assert first.box[3] == 110
    assert len(rest) == 7


def test_a_heading_in_letters_twice_as_high_is_not_cut_at_their_tops():
    heading = drawn_page([(80, 110, "Testament olographe")], font_px=60)
    page = np.minimum(drawn_page(paragraph(7, top=200)), heading)
    line = find_lines(page)[0]
    left_out = np.count_nonzero(heading[: int(min(y for _, y in line.polygon))] < 128)
    assert left_out < 0.03 * np.count_nonzero(heading < 128)


def test_of_a_line_three_times_as_large_as_the_others_long_strokes_alone_are_left_out():
    def line(size, longest):
        reach = size * np.array([10.0, 10, 10, 10, 20, 20, 20, 20, 20, longest])  # of small and tall letters
        return LineShape((0, 0, 100, 100), np.arange(10.0), np.zeros(10), -reach, reach)

    *usual, large = evened([*[line(1, 90)] * 9, line(3, 90)])
    assert usual[0].below.tolist() == [10] * 4 + [20] * 6
    assert large.below.tolist() == [30] * 4 + [60] * 6
    assert (large.above == -large.below).all()


def test_short_lines_one_below_the_other_are_not_taken_for_a_line_on_its_side():
    lines = find_lines(drawn_page(paragraph(9, 100, words=2), (500, 600)))
    assert len(lines) == 9
    assert all(abs(line.baseline[0][1] - line.baseline[-1][1]) < 6 for line in lines)


def test_columns_are_read_one_after_the_other_and_from_the_right_where_the_script_runs_so():
    page = drawn_page(paragraph(6, 60, words=3) + paragraph(6, 480, 122, 3))
    in_right_column = [line.box[0] > 450 for line in find_lines(page)]
    assert in_right_column == [False] * 6 + [True] * 6
    assert [line.box[0] > 450 for line in find_lines(page, right_to_left=True)] == [True] * 6 + [False] * 6


def test_lines_of_two_columns_at_the_same_height_are_not_joined():
    heading = [(150, 60, text_of(6))]
    lines = find_lines(drawn_page(heading + paragraph(6, 60, 140, 3) + paragraph(6, 560, 140, 3), (1000, 500)))
    sides = ["both" if line.box[0] < 500 < line.box[2] else "right" if line.box[0] > 500 else "left" for line in lines]
    assert sides == ["both"] + ["left"] * 6 + ["right"] * 6


def test_two_rows_of_two_columns_between_lines_over_the_whole_page_are_not_joined():
    columns = paragraph(2, 60, 280, 3) + paragraph(2, 560, 280, 3)
    lines = find_lines(drawn_page(paragraph(5, 60, 60, 9) + columns + paragraph(5, 60, 368, 9), (1000, 700)))
    assert [line.box[0] < 500 < line.box[2] for line in lines].count(False) == 4


def test_a_line_whose_words_stand_far_apart_is_found_whole_where_the_lines_above_and_below_go_on():
    texts = paragraph(8)
    left, baseline, _ = texts[4]
    texts[4:5] = [(left, baseline, "nous avons"), (left + 330, baseline, "ma soeur")]
    boxes = [line.box for line in find_lines(drawn_page(texts))]
    assert len(boxes) == 8
    assert boxes[4][0] < left + 6
    assert boxes[4][2] > left + 400


def test_a_gap_at_the_end_of_a_page_divides_its_last_row():
    texts = paragraph(8)
    left, baseline, _ = texts[7]
    texts[7:8] = [(left, baseline, "nous avons"), (left + 330, baseline, "ma soeur")]
    boxes = [line.box for line in find_lines(drawn_page(texts))]
    assert len(boxes) >= 8
    assert not any(box[1] > 380 and box[0] < left + 200 and box[2] > left + 330 for box in boxes)


def box(left: int, top: int, right: int) -> FoundLine:
    return FoundLine((left, top, right, top + 10))


def test_a_heading_over_columns_is_read_before_them_and_a_footer_after():
    left, right = [box(0, 20 * row, 40) for row in (1, 2, 3)], [box(50, 20 * row + 5, 90) for row in (1, 2, 3)]
    heading, footer = box(10, 0, 80), box(10, 90, 80)
    assert in_reading_order([footer, *right, *left, heading]) == [heading, *left, *right, footer]


def test_parts_of_one_row_are_read_along_it():
    # Two rows with a gap are no columns.
    rows = [box(0, 0, 40), box(50, 3, 90), box(0, 20, 40), box(50, 18, 90)]
    assert in_reading_order(rows[::-1]) == rows
    assert in_reading_order(rows, right_to_left=True) == [rows[1], rows[0], rows[3], rows[2]]
