from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.images.line_form import with_dark_ink
from text_recognizer.images.read import read_image
from text_recognizer.layout.shapes import FoundLine
from text_recognizer.models.bundle import Bundle
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.predictors.paragraph import LineOfText, ParagraphTextRecognizer, as_square, lines_of_text
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.conftest import shared_data
from text_recognizer.tests.pages.page_drawing import drawn_page


def page(paper=255, ink=0, noise=0.0, lines=1):
    """A large page with a few thin strokes, far less than a hundredth of its area."""
    rng = np.random.default_rng(0)
    levels = np.full((1200, 900), float(paper))
    for line in range(lines):
        levels[300 + 100 * line : 303 + 100 * line, 200:500] = ink
    return np.clip(np.rint(levels + noise * rng.standard_normal(levels.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (240, 120), (10, 200)])
def test_a_single_line_on_a_large_page_is_seen_and_its_ink_made_dark(paper, ink, noise):
    shown = with_dark_ink(page(paper, ink, noise))
    assert shown is not None
    assert shown[301, 300] < np.median(shown) - 50


@pytest.mark.parametrize(("paper", "noise"), [(255, 0.0), (230, 4.0), (0, 0.0), (20, 4.0)])
def test_a_blank_page_shows_nothing(paper, noise):
    assert with_dark_ink(page(paper, noise=noise, lines=0)) is None


@pytest.mark.parametrize("is_light", [False, True])
def test_a_shadow_over_most_of_a_page_is_not_taken_for_its_ink(is_light):
    shadowed = page(230, 40, 3.0, lines=8).astype(np.float64)
    shadowed[:, :600] *= 0.45
    dark = shadowed.astype(np.uint8)
    shown = with_dark_ink(np.invert(dark) if is_light else dark)
    np.testing.assert_array_equal(shown, dark)


def test_the_ink_of_real_pages_is_told_from_a_shadow_over_most_of_them():
    for path in sorted((shared_data("testaments") / "pages").glob("*.jpg"))[::4]:
        grey = read_image(path).astype(np.float32)
        grey[:, : grey.shape[1] * 6 // 10] *= 0.45
        shadowed = grey.astype(np.uint8)
        np.testing.assert_array_equal(with_dark_ink(shadowed), shadowed, err_msg=path.name)


def test_the_square_of_a_long_strip_is_made_of_a_smaller_page():
    # 30,000 x 30,000 pixels would take 900 MB; a third of that side fits.
    strip = np.full((90, 30_000), 255, np.uint8)
    strip[:, 15_000:] = 0
    square, scale, (left, top) = as_square(strip, DataSpec((100, 100, 1), ("a",), "pixels", "dark"))
    assert (scale, left, top) == (300.0, 0, 14_955)
    assert square[50, :50].min() > square[50, 51:].max()


def with_reader(**reader: Any) -> Any:
    recognizer: Any = object.__new__(ParagraphTextRecognizer)
    recognizer.reader = SimpleNamespace(**reader)
    recognizer._model, recognizer._right_to_left = None, False
    return recognizer


def heights_of_sloping_lines(straightened):
    """Of the lines of a page that slopes by 8 degrees, as they reach a reader that learnt from such lines."""
    data_spec = DataSpec((40, None, 1), ("", "a"), "line", straightened=straightened)
    recognizer = with_reader(
        bundle=SimpleNamespace(data_spec=data_spec), prepared=lambda image: image, predict_prepared=lambda lines: []
    )
    page = drawn_page([(60, 90 + 45 * row, "possede faite toute la maison") for row in range(4)], (600, 600), 8)
    return [line.shape[0] for _, line in recognizer.prepared_lines(page)]


def test_lines_of_pages_are_cut_out_as_those_that_the_reader_learnt_from():
    straight, boxed = heights_of_sloping_lines(True), heights_of_sloping_lines(False)
    assert len(straight) == len(boxed) == 4
    assert max(straight) < min(boxed)


@pytest.mark.parametrize("degrees", [0, 90, -90, 120, -150, 180])
def test_a_page_on_its_side_or_head_is_read_the_way_up_in_which_its_reader_is_surer(degrees):
    def reading(crops):
        """Sure of lines whose left half is darker: those of this page end in short words of thin letters."""
        halves = [np.array_split(255.0 - crop, 2, axis=1) for crop in crops]
        return [Prediction("a", float(left.mean() > right.mean())) for left, right in halves]

    data_spec = DataSpec((40, None, 1), ("", "a"), "line", straightened=True)
    recognizer = with_reader(
        bundle=SimpleNamespace(data_spec=data_spec), prepared=lambda image: image, predict_prepared=reading
    )
    texts = [(150, 230 + 45 * row, "MMMM WWWW MMMM " + "il ill lili " * 3) for row in range(6)]
    page = drawn_page(texts, (800, 800), degrees)
    lines = recognizer.prepared_lines(page)
    assert len(lines) == 6
    assert [one.confidence for one in reading([crop for _, crop in lines])] == [1.0] * 6
    for line, _ in lines:
        (x1, y1), (x2, y2) = line.baseline[0], line.baseline[-1]
        turned = np.degrees(np.arctan2(y1 - y2, x2 - x1)) - degrees
        assert abs((turned + 180) % 360 - 180) < 3
        assert line.box[0] - 9 <= min(x1, x2) <= max(x1, x2) <= line.box[2] + 9


def test_a_level_page_is_turned_only_where_its_reader_reads_badly_and_clearly_better_upside_down():
    texts = [(150, 230 + 45 * row, "MMMM WWWW MMMM " + "il ill lili " * 3) for row in range(6)]
    page = drawn_page(texts, (800, 800))
    # How sure it is of three lines, and of these upside down; where that is about the same, of all, upside down first.
    for surenesses, is_turned in [
        ([0.9], False),
        ([0.7, 0.55], False),
        ([0.7, 0.85], True),
        ([0.7, 0.75, 0.6, 0.7], False),
        ([0.7, 0.65, 0.75, 0.74], False),
        ([0.7, 0.65, 0.75, 0.7], True),
    ]:
        given = iter(surenesses)

        def reading(crops, given=given):
            confidence = next(given)
            return [Prediction("a", confidence) for _ in crops]

        data_spec = DataSpec((40, None, 1), ("", "a"), "line", straightened=True)
        recognizer = with_reader(
            bundle=SimpleNamespace(data_spec=data_spec), prepared=lambda image: image, predict_prepared=reading
        )
        line, _ = recognizer.prepared_lines(page)[0]
        assert (line.baseline[0][0] > line.baseline[-1][0]) is is_turned
        assert list(given) == []  # all was asked


@pytest.mark.parametrize(
    ("baseline", "box"),
    [
        ((), (100, 50, 120, 80)),
        (((100, 75), (300, 75)), (100, 50, 120, 80)),
        (((300, 75), (100, 75)), (280, 50, 300, 80)),
        (((200, 50), (200, 80)), (100, 50, 300, 53)),
        (((200, 80), (200, 50)), (100, 77, 300, 80)),
    ],
)
def test_the_first_word_is_where_the_line_begins_whichever_way_it_runs(baseline, box):
    word = ReadPart("a", 0.9, 0, 40)
    assert LineOfText((100, 50, 300, 80), Prediction("a", 0.9), baseline, (), 400).placed([word]) == [(word, box)]


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["ten letter", "and others", " a"], ["ten letter", "and others"]),  # a rule: one letter for ten heights
        (["a", "ten letter", "b"], ["a", "ten letter", "b"]),  # the reader does not know this writing
        ([""], [""]),
        ([], []),
    ],
)
def test_a_long_line_of_hardly_any_characters_is_no_text_where_others_have_many(texts, kept):
    found = [FoundLine((0, 0, 800, 80))] * len(texts)
    pictures = [np.zeros((40, 400), np.uint8)] * len(texts)
    lines = lines_of_text(found, pictures, [Prediction(text, 0.5) for text in texts])
    assert [line.prediction.text for line in lines] == kept


class _Blind:
    """A detector that finds nothing, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def find_lines(self, pictures: Any) -> list[list[Any]]:
        self.shown.append(pictures[0])
        return [[]]


@pytest.mark.parametrize(("lines", "found"), [(0, 0), (1, 1), (4, 4), (14, 0)])
def test_a_page_with_few_lines_does_not_depend_on_a_trained_detector_that_misses_them(lines, found):
    recognizer, blind = with_reader(), _Blind()
    recognizer._model = blind
    recognizer.detector = SimpleNamespace(data_spec=DataSpec((96, 96, 1), ("paper", "line"), "pixels"))
    texts = [(60, 150 + 45 * row, "possede faite toute la maison") for row in range(lines)]
    assert len(recognizer.find_lines(drawn_page(texts, (900, 700), 0))) == found
    if lines:  # it sees the whole page, and then the page without what is empty above and below
        whole, cut = (np.flatnonzero(picture.max(axis=(1, 2)) > 100) for picture in blind.shown)
        assert len(cut) >= len(whole)
        assert blind.shown[0].shape == blind.shown[1].shape == (96, 96, 1)


def test_a_users_model_of_pixels_that_is_no_line_detector_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(Bundle, "load_to_read", lambda _: object())
    spec = ExperimentSpec("mine:Pages", "mine:Shades", "mine:Net")
    detector = Bundle(tmp_path, spec, DataSpec((8, 8, 1), ("a",), "pixels"), "mine", {}, "", {})
    with pytest.raises(DataError, match=f"the bundle {tmp_path} does not find lines"):
        ParagraphTextRecognizer(detector)
