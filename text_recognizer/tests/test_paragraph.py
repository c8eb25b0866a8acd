import numpy as np
import pytest

from text_recognizer.predictors.paragraph import with_dark_ink


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
