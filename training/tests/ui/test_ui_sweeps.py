"""The page of a sweep says what the commands say of it, tells only what changed, and steers with its token."""

import json
import shutil
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.browser import Browser
from text_recognizer.tests.waiting import wait_until
from training.cli import main as text_recognizer
from training.runs.run import Run
from training.tests.sweeps.sweep_support import SPACE, MadeUpExecutor, sweep_of
from training.tests.ui.ui_support import client_of, page_of, served
from training.ui.sweep_views import SweepFeed
from training.views.index import key_below

STOPPED = {
    "stop": True,
    "band": 2,
    "value": 0.5,
    "threshold": 0.25,
    "runs_at_band": 3,
    "text": "stopped: 0.5 is above 0.25",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A sweep of six trials; the larger the layer, the worse. Its journal says that one was stopped."""
    root = tmp_path_factory.mktemp("runs")
    executor = MadeUpExecutor(lambda spec, _: iter([spec.network_args["layer_size"] / 3] * 4))
    sweep, _ = sweep_of(SPACE.format(method="grid"), root, executor, name="digits")
    sweep.run()
    executor.close()
    sweep.folder.hold()
    sweep.folder.append("decision", trial=2, run=sweep.history.trials[2].runs[0].id, **STOPPED)
    sweep.folder.release()
    return root


@pytest.fixture
def page(root):
    return page_of(root)


@pytest.fixture
def client(page):
    return client_of(page)


def told(root, capsys, monkeypatch, *arguments: str) -> Any:
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(root))
    assert text_recognizer(["sweeps", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_sweep_and_its_trials_are_those_of_sweeps_show_to_the_last_digit(root, client, capsys, monkeypatch):
    expected = told(root, capsys, monkeypatch, "show", "digits")
    found = client.get("/api/sweep", params={"sweep": "digits"}).json()
    columns = expected["trials_shown"][0].keys()
    assert [{name: row[name] for name in columns} for row in found["trials_shown"]] == expected["trials_shown"]
    assert {name: found[name] for name in ("state", "trials", "best", "metric")} == {
        name: expected[name] for name in ("state", "trials", "best", "metric")
    }


def test_every_trial_says_by_what_it_was_stopped(root, client, capsys, monkeypatch):
    expected = {one["trial"]: one["decisions"] for one in told(root, capsys, monkeypatch, "explain", "digits")}
    rows = client.get("/api/sweep", params={"sweep": "digits"}).json()["trials_shown"]
    assert {row["trial"]: row["decisions"] for row in rows} == expected
    [stopped] = [row for row in rows if row["decisions"]]
    assert STOPPED.items() <= stopped["decisions"][0].items()
    assert STOPPED["text"] in client.get("/api/run", params={"run": stopped["runs"][0]}).json()["ending"]


def test_a_trial_of_several_seeds_has_the_mean_of_their_test_metrics(tmp_path):
    executor = MadeUpExecutor(lambda *_: iter([1.0]))
    sweep, _ = sweep_of(SPACE.format(method="grid"), tmp_path, executor, name="digits", seeds=2)
    sweep.run()
    executor.close()
    for run, accuracy in zip(sweep.trials[1].runs, (0.5, 0.75), strict=True):
        Run.open(run.folder).note(summary={"test_accuracy": accuracy})
    rows = client_of(page_of(tmp_path)).get("/api/sweep", params={"sweep": "digits"}).json()["trials_shown"]
    found = {row["trial"]: row["tested"]["test_accuracy"] for row in rows}
    assert found == {1: 0.625, **dict.fromkeys(range(2, 7), 0.5)}


def test_the_table_of_sweeps_leads_to_each(root, client, capsys, monkeypatch):
    [expected] = told(root, capsys, monkeypatch, "list")
    shown = client.get("/api/sweeps").json()
    [[key, state, *cells]] = shown["rows"]
    assert (key, state, dict(zip(shown["columns"], cells, strict=True))["trials"]) == ("digits", "finished", "6/6")
    assert expected["name"] == cells[0]


def test_a_page_of_a_sweep_is_told_of_the_trials_that_changed_only(root, page):
    page.poller.refresh()
    view = page.sweeps.view("digits")
    feed = SweepFeed(view)
    assert [*feed.news()] == []
    assert [*feed.news()] == []
    changed = view.trials()[0]["trial"]
    feed._told[changed]["state"] = "running"  # type: ignore[index]
    [(name, rows)] = feed.news()
    assert (name, [row["trial"] for row in rows]) == ("trials", [changed])


def test_a_page_of_a_sweep_is_told_when_it_was_asked_to_pause(root, page):
    page.poller.refresh()
    view = page.sweeps.view("digits")
    feed = SweepFeed(view)
    assert [*feed.news()] == []
    view.folder.hold()
    try:
        assert [*feed.news()] == [("trials", [])]
        view.folder.set_wish("pause")
        assert [*feed.news()] == [("trials", [])]
        assert [*feed.news()] == []
    finally:
        view.folder.set_wish("run")
        view.folder.release()


def test_a_sweep_is_steered_with_the_token_only(root, client):
    asked = {"sweep": "digits", "action": "pause"}
    assert client.post("/api/steer", json=asked).status_code == 403
    client.get("/api/runs")
    with_token = {"x-token": "the-token"}
    answer = client.post("/api/steer", json=asked, headers=with_token)
    assert (answer.status_code, "there is nothing to pause" in answer.json()["error"]) == (400, True)
    for wrong in ({"sweep": "digits", "action": "explode"}, {"sweep": "../x", "action": "pause"}, {}):
        assert client.post("/api/steer", json=wrong, headers=with_token).status_code == 400


def test_a_sweep_that_cannot_be_read_says_why(root, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sweep.json").write_text("[]")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "sweep.json").symlink_to(root / "digits" / "sweep.json")
    (tmp_path / "lost").mkdir()
    shutil.copy(root / "digits" / "trials.jsonl", tmp_path / "lost")
    client = client_of(page_of(tmp_path))
    assert {row[0]: row[1] for row in client.get("/api/sweeps").json()["rows"]} == {
        "broken": "damaged",
        "linked": "damaged",
        "lost": "damaged",
    }
    assert "not a JSON object" in client.get("/api/sweep", params={"sweep": "broken"}).json()["error"]
    assert "leads out of" in client.get("/api/sweep", params={"sweep": "linked"}).json()["error"]
    assert "sweep.json" in client.get("/api/sweep", params={"sweep": "lost"}).json()["error"]


HOSTILE = "<img src=x onerror=alert(1)>"
NAMELESS = """[...document.querySelectorAll("a, button, input, select, [role=region], [role=img], meter")].filter(
  (one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML)"""


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as browser:
        yield browser


def test_every_view_is_shown_without_a_complaint_or_an_element_without_a_name(root, browser):
    run = quote(next(path.parent for path in root.glob("digits/*/spec.json")).relative_to(root).as_posix())
    shutil.copytree(root / run, root / "other" / HOSTILE)
    both = f"run={quote(key_below(root, root / 'other' / HOSTILE))}&run={run}"
    views = ("runs", "sweeps", "sweep?sweep=digits", f"run?{both}", f"compare?{both}", "devices", "data")
    with served(root) as address:
        for width in (1280, 400):
            for view in views:
                browser.open("about:blank", width, 800)
                browser.open(f"{address}#/{view}", width, 800)
                wait_until(lambda: browser.value("!!document.querySelector('main h1')"))
                assert browser.value("document.querySelector('main h1').textContent") != "Cannot show this page", view
                assert browser.value(NAMELESS) == [], view
                assert browser.value("document.querySelector('img[src=x]')") is None, view
                assert browser.value("document.documentElement.scrollWidth <= innerWidth"), view
        asked = [url for url in browser.requested if not url.startswith((address, "data:", "about:"))]
    assert (browser.complaints, asked) == ([], [])


def test_why_a_trial_was_stopped_is_three_clicks_away(root, browser):
    def click(text: str) -> None:
        link = f"[...document.querySelectorAll('a')].find((one) => one.textContent === '{text}')"
        wait_until(lambda: browser.value(f"!!{link}"))
        browser.value(f"{link}.click()")

    with served(root) as address:
        browser.open(address, 1280, 800)
        for text in ("Sweeps", "digits", "trial 2"):
            click(text)
        wait_until(lambda: STOPPED["text"] in browser.value("document.querySelector('main').textContent"))


def open_and_note_charts(browser, address):
    """Opens a page without charts; from then on, `drawn` has the axes and the data of each new chart."""
    browser.open(f"{address}#/devices", 1280, 800)
    wait_until(lambda: browser.value("typeof uPlot === 'function'"))
    browser.value(
        "window.drawn = []; uPlot = new Proxy(uPlot, {construct: (made, [how, data, place]) => {"
        "drawn.push([how.axes, data]); return new made(how, data, place); }}); 0"
    )


def test_every_trial_is_a_point_of_the_scatter_also_beside_others_at_its_place(root, browser):
    with served(root) as address:
        open_and_note_charts(browser, address)
        for name in ("network_args.layer_size", "network_args.num_layers"):
            browser.value(f"location.hash = '#/sweep?sweep=digits&across={name}'")
            points = f"new Set(drawn.filter(([axes]) => axes[0].label === '{name}').at(-1)?.[1][0]).size"
            wait_until(partial(browser.value, points))
            assert browser.value(points) == 6, name


def test_small_values_have_different_labels_on_an_axis_and_epochs_are_whole(root, browser):
    run = quote(next(path.parent for path in root.glob("digits/*/spec.json")).relative_to(root).as_posix())
    with served(root) as address:
        open_and_note_charts(browser, address)
        browser.value(f"location.hash = '#/run?run={run}'")
        wait_until(lambda: browser.value("drawn.length > 0"))
        labels = browser.value(
            "drawn[0][0][1].values(null, [0, 0.00002, 0.0005, 0.0015, 0.30000000000000004, 15000, null])"
        )
        assert labels == ["0", "2e-5", "0.0005", "0.0015", "0.3", "15,000", ""]
        assert browser.value("drawn[0][0][0].incrs.slice(0, 4)") == [1, 2, 5, 10]


def test_the_page_of_a_resumed_run_shows_the_latest_epoch_and_the_duration_so_far(tmp_path, browser):
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", tmp_path)
    run.hold()
    run.set_state("running", epoch=2, epochs=9)
    pairs = "[...document.querySelectorAll('dt')].map((dt) => [dt.textContent, dt.nextSibling.textContent])"
    shown = f"Object.fromEntries({pairs})"
    with served(tmp_path) as address:
        browser.open(f"{address}#/run?run=default/one", 1280, 800)
        wait_until(lambda: browser.value(shown).get("epoch") == "2 of 9")
        before = browser.value(shown)["duration"]
        run.log({"epoch": 3, "val_loss": 0.5})
        wait_until(lambda: browser.value(shown)["epoch"] == "3 of 9")
        assert browser.value(shown)["duration"] != before
    run.release()


def test_an_answer_and_the_focus_survive_an_update(tmp_path, browser):
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", tmp_path)
    run.hold()
    run.set_state("running", epoch=1, epochs=9)
    said, found = "document.querySelector('main .bar [role=status]').textContent", []

    def shows(text):
        return browser.value(f"document.querySelector('main').textContent.includes('{text}')")

    def focus(selector):
        wait_until(lambda: browser.value(f"!!document.querySelector('{selector}')"))
        browser.value(f"document.querySelector('{selector}').focus()")

    def note_focus():
        found.append(browser.value("document.activeElement.textContent.slice(0, 5)"))

    with served(tmp_path) as address:
        browser.open(f"{address}#/run?run=default/one", 1280, 800)
        focus("main .bar button")
        browser.press("Enter")
        wait_until(lambda: browser.value(said))
        run.log({"epoch": 2, "val_loss": 0.5})
        wait_until(lambda: shows("2 of 9"))
        found.append(browser.value(said))
        note_focus()
        browser.value("location.hash = '#/runs'")
        focus("tbody a")
        run.log({"epoch": 3, "val_loss": 0.125})
        wait_until(lambda: shows("0.125"))
        note_focus()
        focus("th button")
        browser.press("Enter")
        wait_until(lambda: browser.value("!!document.querySelector('th[aria-sort=descending]')"))
        note_focus()
    run.release()
    assert found == ["one will stop at its next checkpoint.", "Stop ", "one", "id ▼"]


MANY_ROWS = """window.fetch = async (path) => new Response(JSON.stringify(String(path).includes("/api/runs") ?
  {tick: 1, folder: "f", total: 9000, unread: 0, passed: 9000, columns: ["id"],
   rows: [...Array(9000).keys()].map((at) => [`g/${at}`, "finished", `run ${at}`])} : {})); 0"""
PRINTED = "[document.querySelectorAll('tbody tr').length, document.documentElement.dataset.theme]"
SCROLLED = """(async () => {
  const box = document.querySelector(".scroll.tall"), { left, top, height } = box.getBoundingClientRect();
  let changes = 0;
  new MutationObserver((all) => (changes += all.length)).observe(box.querySelector("tbody"), { childList: true });
  box.scrollTop += PIXELS;
  for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
  return [changes, document.elementFromPoint(left + 90, top + height / 2).textContent];
})()"""


def test_scrolling_draws_rows_only_when_those_drawn_run_out_and_printing_draws_more(root, browser):
    with served(root) as address:
        browser.open(f"{address}#/devices", 1280, 800)
        wait_until(lambda: browser.value("!!document.querySelector('main h1')"))
        browser.value(MANY_ROWS)
        browser.value("location.hash = '#/runs'")
        wait_until(lambda: browser.value("document.querySelectorAll('tbody tr').length > 20"))
        assert browser.value(SCROLLED.replace("PIXELS", "96"))[0] == 0
        assert "run 62" in browser.value(SCROLLED.replace("PIXELS", "200_000"))[1]
        for event, rows, theme in (("beforeprint", 1000, "light"), ("afterprint", None, "")):
            browser.value(f"dispatchEvent(new Event('{event}'))")
            count, named = browser.value(PRINTED)
            assert (count == rows if rows else count < 100, named) == (True, theme)
