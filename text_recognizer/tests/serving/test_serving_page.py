"""The page of the service, in a real browser, mostly of a phone's width, by keyboard, pen and dropped files."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from text_recognizer.images.read import png_bytes
from text_recognizer.tests.browser import Browser
from text_recognizer.tests.serving.serving_support import grey_app, on_a_port
from text_recognizer.tests.waiting import wait_until

PHONE, DESKTOP = (360, 800), (1280, 720)
ORIENTATION = 0x0112  # in EXIF


@pytest.fixture(scope="module")
def address():
    """A service on a free port of this machine."""
    with on_a_port(grey_app()) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    return opened(browser, address, PHONE)


def opened(browser, address, size):
    browser.open(address, *size)
    wait_until(lambda: browser.value("document.getElementById('model').options.length"))
    return browser


def is_shown(page, text):
    return shown(page, "text") == text


def shown(page, name):
    return page.value(f"document.getElementById('{name}').textContent")


def test_a_picture_is_read_and_its_lines_are_listed(page, tmp_path, address):
    picture = tmp_path / "line.png"
    picture.write_bytes(png_bytes(np.repeat(np.array([[40, 60]], np.uint8), 8, axis=0).repeat(8, axis=1)))
    page.choose_file("#file", picture)
    wait_until(lambda: not page.value("document.getElementById('shown').hidden || result.hidden"))
    assert shown(page, "text") == "50"
    assert shown(page, "facts").startswith("confidence 75.0 %")
    assert "confidence 75.0 %  expected CER 12.5 %  or ? 25.0 %" in shown(page, "lines")
    for place in ("#text", "#lines li"):  # texts from right to left end on the left
        assert page.value(f"getComputedStyle(document.querySelector('{place}')).unicodeBidi") == "plaintext"
    assert page.value("document.getElementById('shown').width") == 16
    assert page.value("document.documentElement.scrollWidth") <= PHONE[0]
    assert all(url.startswith((address, "data:", "blob:")) for url in page.requested)
    assert page.complaints == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_photograph_that_is_dropped_anywhere_is_shown_upright_with_its_box(browser, address, tmp_path, size):
    upright = np.full((60, 90), 200, np.uint8)
    upright[:, :30] = 100  # its left third is darker
    turned = Image.Exif()
    turned[ORIENTATION] = 6  # lies on its left side
    Image.fromarray(np.rot90(upright)).save(tmp_path / "photo.png", exif=turned)
    page = opened(browser, address, size)
    for where in ((30, 30), (size[0] - 5, size[1] - 5)):
        page.value("result.hidden = true")
        page.drop(*where, files=[tmp_path / "photo.png"])
        wait_until(lambda: not page.value("shown.hidden || result.hidden"))
        assert shown(page, "text") == "167"
        assert [page.value("shown.width"), page.value("shown.height")] == [90, 60]
        reds = page.value("[...shown.getContext('2d').getImageData(0, 30, 90, 1).data].filter((_, i) => i % 4 === 0)")
        assert [reds[x] for x in (15, 45, 75)] == [100, 200, 200]
        assert reds[0] not in (100, 200)  # the box
        assert page.value("document.documentElement.scrollWidth") <= size[0]
        top, bottom = page.value("(({top, bottom}) => [top, bottom])(text.getBoundingClientRect())")
        assert 0 <= top < bottom <= size[1]  # in sight
    assert not [one for one in page.complaints if "readback" not in one]  # that is this test's


def test_what_is_dropped_and_is_no_file_or_many_is_answered_in_words(page, tmp_path):
    page.drop(30, 30, text="handwriting")
    assert shown(page, "message") == "That is not a file. Drop, paste or choose an image."
    pictures = [tmp_path / "first.png", tmp_path / "second.png"]
    for number, picture in enumerate(pictures):
        picture.write_bytes(png_bytes(np.repeat(np.array([[40, 60 + 20 * number]], np.uint8), 16, axis=0).repeat(8, 1)))
    page.drop(30, 30, files=pictures)
    wait_until(lambda: not page.value("shown.hidden || result.hidden"))
    assert (shown(page, "text"), shown(page, "message")) == ("50", "Only the first of 2 files was read: first.png.")


def test_the_same_file_can_be_chosen_again(page, tmp_path):
    picture = tmp_path / "line.png"
    for level in (60, 80):
        picture.write_bytes(png_bytes(np.repeat(np.array([[40, level]], np.uint8), 16, axis=0).repeat(8, axis=1)))
        page.value("file.click()")  # as a person would
        page.choose_file("#file", picture)
        wait_until(partial(is_shown, page, str((40 + level) // 2)))


def test_everything_is_reached_and_started_by_keyboard(page):
    reached = []
    while "read" not in reached:
        page.press("Tab")
        reached.append(page.value("document.activeElement.id"))
        assert len(reached) < 10, reached
    assert reached == ["model", "layout", "file", "read"]
    box = page.value("paper.scrollIntoView(), Object.values(paper.getBoundingClientRect().toJSON())")
    left, top, width, height = box[:4]
    page.draw((left + width / 4, top + height / 2), (left + width / 2, top + height / 2))
    page.press("Tab")  # goes on from where the pen was
    page.press("Enter")
    wait_until(lambda: not page.value("document.getElementById('result').hidden"))
    assert int(shown(page, "text")) < 255  # the ink


def test_a_click_draws_a_dot(page):
    box = page.value("paper.scrollIntoView(), Object.values(paper.getBoundingClientRect().toJSON())")
    page.draw((box[0] + box[2] / 2, box[1] + box[3] / 2))
    assert page.value("pen.getImageData(0, 0, paper.width, paper.height).data.includes(0x11)")  # the ink


def test_a_refusal_is_told_in_words(page):
    page.value("document.getElementById('read').click()")
    wait_until(lambda: "request" in shown(page, "message"))
    assert "blank" in shown(page, "message")


def test_only_the_files_of_the_page_are_given_away(address):
    import urllib.error
    import urllib.request

    with urllib.request.urlopen(address) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for name in ("page.py", "page.html", "page.%2e%2e%2fapp.py"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + name)
