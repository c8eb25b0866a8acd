"""The page of the service, in a real browser of a phone's width, by keyboard and pen."""

import numpy as np
import pytest

from text_recognizer.images.read import png_bytes
from text_recognizer.tests.browser import Browser
from text_recognizer.tests.serving.serving_support import grey_app, on_a_port
from text_recognizer.tests.waiting import wait_until

PHONE = (360, 800)


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
    browser.open(address, *PHONE)
    wait_until(lambda: browser.value("document.getElementById('model').options.length"))
    return browser


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
    assert page.value("document.getElementById('shown').width") == 16
    assert page.value("document.documentElement.scrollWidth") <= PHONE[0]
    assert all(url.startswith((address, "data:", "blob:")) for url in page.requested)
    assert page.complaints == []


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
