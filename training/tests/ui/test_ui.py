"""The local page: it says what the commands say, sends only news, answers only its browser, stays in its folder."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest

from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.waiting import PATIENCE_S
from training.cli import main as text_recognizer
from training.runs.causes import Cause
from training.runs.run import Run
from training.runs.run_table import RunRow
from training.runs.tails import Cursor, read_tail
from training.tests.ui.ui_support import OWN, client_of, page_of
from training.ui.events import Feed, json_of
from training.views.index import Index

FRONT = resources.files("training.ui") / "static"
STYLE = resources.files("evaluation") / "templates" / "style.css"


def made(root: Path, name: str, accuracy: float | None = None, **more) -> Run:
    """A run that reported two epochs, finished where it has an accuracy."""
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", **more), name, root)
    run.set_state("running", epochs=2)
    for epoch in (1, 2):
        run.log({"epoch": epoch, "val_loss": 1 / (3 * epoch)})
    if accuracy is not None:
        run.set_state("finished", summary={"test_accuracy": accuracy, "val_loss": 1 / 6}, epoch=2)
    run.release()
    return run


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    return tmp_path


@pytest.fixture
def page(root):
    return page_of(root)


@pytest.fixture
def client(page):
    return client_of(page)


def test_the_table_is_that_of_runs_list(root, client, capsys):
    for name, accuracy in (("one", 0.912345), ("two", 0.5), ("three", None)):
        made(root, name, accuracy)
    for options, params in (
        ([], {}),
        (["--filter", "test_accuracy>0.6"], {"filter": "test_accuracy>0.6"}),
        (
            ["--sort=-test_accuracy", "--columns=id,test_accuracy"],
            {"sort": "-test_accuracy", "columns": "id,test_accuracy"},
        ),
    ):
        assert text_recognizer(["runs", "list", *options]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        shown = client.get("/api/runs", params=params).json()
        assert shown["columns"] == head.split()
        assert [row[2:] for row in shown["rows"]] == [line.split() for line in lines[: len(shown["rows"])]]


def test_the_first_rows_are_shown_before_all_runs_are_read(root, page, client, monkeypatch):
    for number in range(3):
        made(root, f"run-{number}", 0.5)
        os.utime(root / "default" / f"run-{number}", (number, number))
    monkeypatch.setattr("training.ui.app.FIRST_S", 0.0)
    first = client.get("/api/runs", params={"first": 2}).json()
    assert (first["total"], first["unread"], first["rows"]) == (3, 3, [])
    page.index.refresh(within_s=60)
    first = client.get("/api/runs", params={"first": 2}).json()
    assert (len(first["rows"]), first["passed"], first["unread"]) == (2, 3, 0)
    ticks = page.poller.ticks
    rest = client.get("/api/runs", params={"tick": first["tick"]}).json()
    assert (rest["rows"][:2], len(rest["rows"]), page.poller.ticks) == (first["rows"], 3, ticks)


def test_runs_that_were_left_unread_are_read_at_the_next_look(root):
    made(root, "one", 0.5)
    index = Index(root)
    assert (index.refresh(within_s=0), index.unread) == (set(), 1)
    assert (index.refresh(thorough=False), index.unread) == ({"default/one"}, 0)


def test_a_mistyped_filter_gets_the_sentence_of_runs_list(root, client, capsys):
    made(root, "one", 0.9)
    assert text_recognizer(["runs", "list", "--filter", "test_acuracy>0"]) == 2
    answer = client.get("/api/runs", params={"filter": "test_acuracy>0"})
    assert (answer.status_code, f"error: {answer.json()['error']}\n") == (400, capsys.readouterr().err)


def test_the_figures_of_a_run_are_those_of_its_evaluation_to_the_last_digit(root, client):
    run = made(root, "one", 0.9)
    evaluation = {"split": "test", "count": 3, "metrics": {"accuracy": 2 / 3, "loss": 0.1 + 0.2}}
    run.write_json("evaluation.json", {**evaluation, "intervals_95": {"accuracy": [0.1 / 3, 1 / 7]}})
    figures = client.get("/api/run", params={"run": "default/one"}).json()["figures"]
    assert {one["name"]: one["value"] for one in figures["metrics"]} == evaluation["metrics"]
    assert figures["metrics"][0]["interval"] == [0.1 / 3, 1 / 7]


def test_confidences_of_a_run_are_drawn_where_its_evaluation_has_them(root, client):
    run = made(root, "one", 0.9)
    levels = [{"level": "line", "expected_calibration_error": 0.1, "bins": [[0.5, 0.75, 9]]}]
    curve = [{"coverage": 0.5, "error": 0.125, "at_most": 0.25}]
    run.write_json("evaluation.json", {"risk_coverage": curve, "calibration": levels, "metrics": {}})
    figures = client.get("/api/run", params={"run": "default/one"}).json()["figures"]
    assert figures["risk_coverage"] == [[0.5, 0.125]]
    assert figures["calibration"] == [{"level": "line", "error": 0.1, "bins": [[0.5, 0.75, 9]]}]


def test_of_a_damaged_evaluation_the_page_says_so(root, client):
    made(root, "one", 0.9).write_json("evaluation.json", {"metrics": [], "confusions": {}})
    figures = client.get("/api/run", params={"run": "default/one"}).json()["figures"]
    assert "evaluation.json is damaged" in figures["problem"]


def test_compared_runs_show_what_differs_and_their_curves(root, client):
    for seed in (0, 1):
        run = made(root, f"run-{seed}", 0.9, seed=seed)
        rows = [{"position": at, "label": "a", "predicted": "ab"[at * seed], "loss": 0.5} for at in (0, 1)]
        (run.folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = client.get("/api/compare", params={"run": ["default/run-0", "default/run-1"]}).json()
    assert found["differing"] == {"seed": ["0", "1"]}
    assert "exact McNemar test" in found["test"]
    assert [run["reports"]["rows"][1]["val_loss"] for run in found["runs"]] == [1 / 6, 1 / 6]


def news(feed: Feed) -> dict[str, list[Any]]:
    """What a page is told at one tick."""
    feed.poller._look()
    found: dict[str, list[Any]] = {}
    for name, value in feed._news():
        found.setdefault(name, []).append(value)
    feed.since = feed.poller.ticks
    return found


def test_a_page_is_told_only_what_came_since_and_nothing_when_nothing_did(root, page):
    run = made(root, "one")
    page.poller.refresh()
    path = run.folder / "metrics.jsonl"
    page.poller._watched[path] = 1
    feed = Feed(page.index, page.poller, page.poller.ticks, runs={"default/one": read_tail(path, Cursor()).cursor})
    news(feed)
    assert news(feed) == {}
    run.log({"epoch": 3, "val_loss": 0.25})
    [told] = news(feed)["reports"]
    assert (told["rows"], told["restarted"]) == ([{"epoch": 3, "val_loss": 0.25}], False)
    assert news(feed) == {}
    with open(path, "ab") as file:
        file.write(b'{"epoch": 4, "val_')  # it is being written
    assert news(feed) == {}
    path.rename(root / "old")
    path.write_text('{"epoch": 1, "val_loss": NaN}\n')
    [told] = news(feed)["reports"]
    assert (told["rows"], told["restarted"]) == ([{"epoch": 1, "val_loss": None}], True)


def test_the_table_is_told_of_the_rows_that_changed_only(root, page):
    runs = [made(root, name, 0.5) for name in ("one", "two")]
    page.poller.refresh()
    feed = Feed(page.index, page.poller, page.poller.ticks, cells=lambda row: [row.folder.name])
    assert news(feed) == {}
    runs[1].set_state("failed", error="it broke")
    page.poller.refresh()
    assert news(feed) == {
        "rows": [{"changed": [{"key": "default/two", "state": "failed", "cells": ["two"]}], "gone": []}]
    }


def test_a_run_that_is_made_while_a_page_is_open_is_told_at_the_next_tick(root, page):
    made(root, "one", 0.5)
    page.poller.refresh()
    feed = Feed(page.index, page.poller, page.poller.ticks, cells=lambda row: [row.state])
    made(root, "two", 0.5)
    assert [row["key"] for row in news(feed)["rows"][0]["changed"]] == ["default/two"]


def test_a_page_of_a_run_is_told_its_state_and_epoch_not_its_history(root, page):
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", root)
    page.poller.refresh()
    feed = Feed(page.index, page.poller, page.poller.ticks, runs={"default/one": Cursor()})
    run.set_state("failed", error="it broke", epoch=3)
    assert news(feed) == {"touched": [{"key": "default/one", "state": "failed", "epoch": 3}]}


def test_what_is_no_number_for_a_browser_is_null():
    assert json_of({"a": [float("nan"), 1e999, 0.5]}) == '{"a": [null, null, 0.5]}'


def test_the_stream_ends_when_the_server_does(root, page):
    made(root, "one")
    page.poller.refresh()
    page.poller.tick_s = 0.001
    feed = Feed(page.index, page.poller, page.poller.ticks, logs={"default/one": Cursor()})

    async def listened() -> list[str]:
        page.poller.close()
        return [text async for text in feed.stream()]

    assert asyncio.run(listened()) == ["retry: 2000\n\n"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8017"}, 200),
        ({"host": "localhost:8017", "origin": "http://localhost:8017"}, 200),
        ({"host": "evil.example:8017"}, 421),  # a name bent to this machine
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "192.168.0.7:8017"}, 421),
        ({"host": ""}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, 200),  # a link to the page
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "empty"}, 200),
    ],
)
def test_only_this_machine_under_its_own_name_is_answered(root, client, headers, status):
    for path in ("/", "/api/runs", "/main.js", "/nothing"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == (404 if (status, path) == (200, "/nothing") else status)
        assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_actions_need_the_token_of_the_page(root, client):
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", root)
    client.get("/api/runs")
    asked = {"run": "default/one"}
    for headers in ({}, {"x-token": "guessed"}, {"x-token": "the-token", "origin": "http://evil.example"}):
        assert client.post("/api/stop", json=asked, headers=headers).status_code == 403
    assert run.stop_requested() is None
    assert 'content="the-token"' in client.get("/").text
    assert client.post("/api/stop", json=asked, headers={"x-token": "the-token", "origin": OWN}).status_code == 200
    request = run.stop_requested()
    assert request is not None
    assert request.cause is Cause.ASKED
    for body in (b"", b"[]", b"x" * 20_000, b'{"run": 3}'):
        assert client.post("/api/stop", content=body, headers={"x-token": "the-token"}).status_code in (400, 413)


def test_other_machines_need_the_printed_token_once(root):
    client = client_of(page_of(root, "0.0.0.0"), "http://192.168.0.7:8017")
    assert client.get("/").status_code == client.get("/api/runs").status_code == 401
    assert client.get("/?token=guessed").status_code == 401
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/?token=the-token").status_code == 200
    assert client.get("/api/runs").status_code == 200  # by the cookie
    assert "httponly" in client.get("/?token=the-token").headers["set-cookie"].lower()


def test_no_path_leaves_the_folder(root, client, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made(elsewhere, "secret", 0.9)
    one = made(root, "one", 0.9)
    two = made(root, "two", 0.9)
    (two.folder / "log.txt").symlink_to(elsewhere / "default" / "secret" / "log.txt")
    (elsewhere / "default" / "secret" / "log.txt").write_text("a secret")
    (root / "out").symlink_to(elsewhere)
    (root / "default" / "circle").symlink_to(root / "default" / "circle")
    (root / "default" / "up").symlink_to(root)
    rows = {row[0]: row[1] for row in client.get("/api/runs").json()["rows"]}
    assert rows == {"default/one": "finished", "default/two": "damaged", "out": "damaged"}
    assert "leads out of" in client.get("/api/run", params={"run": "out"}).json()["damage"]
    for key in (
        "default/two",
        "out/default/secret",
        "../elsewhere/default/secret",
        str(one.folder),
        "",
        "/",
        "..",
        "\0",
    ):
        assert "a secret" not in client.get("/api/run", params={"run": key}).text
    for path in ("/../pyproject.toml", "/%2e%2e/%2e%2e/app.py", "/vendor/..%2f..%2fapp.py", "//etc/passwd", "/app.py"):
        assert client.get(path).status_code == 404


def test_a_broken_run_is_shown_as_broken_with_the_reason(root, client):
    made(root, "whole", 0.9)
    broken = made(root, "broken", 0.9)
    (broken.folder / "status.json").write_text('{"state": "dancing"}')
    shown = client.get("/api/runs").json()
    assert {row[0]: row[1] for row in shown["rows"]} == {"default/whole": "finished", "default/broken": "damaged"}
    found = client.get("/api/run", params={"run": "default/broken"})
    assert (found.status_code, "must be one of created" in found.json()["damage"]) == (200, True)


def test_folders_of_any_depth_are_looked_through(root):
    made(root / "cluster" / "runs", "one", 0.9)
    assert [key for key, _ in fresh(root)] == ["cluster/runs/default/one"]
    assert [key for key, _ in fresh(root / "cluster" / "runs" / "default")] == ["one"]
    assert [row.state for _, row in fresh(root / "cluster" / "runs" / "default" / "one")] == ["finished"]


def fresh(folder: Path) -> list[tuple[str, RunRow]]:
    index = Index(folder)
    index.refresh()
    return index.keyed()


def test_no_file_of_the_page_makes_markup_of_text_or_asks_another_machine():
    for file in [STYLE, *(entry for entry in FRONT.iterdir() if entry.name.endswith((".js", ".html")))]:
        text = file.read_text()
        forbidden = (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            "https://",
            "<script>",
        )
        assert [one for one in forbidden if one in text] == [], file.name


def test_the_vendored_library_is_as_published():
    for line in (FRONT / "vendor" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FRONT / "vendor" / name).read_bytes()).hexdigest() == digest
    assert "MIT" in (FRONT / "vendor" / "uPlot.LICENSE").read_text()


def test_what_is_loaded_before_data_is_small():
    names = [*(entry for entry in FRONT.iterdir() if entry.is_file()), FRONT / "vendor" / "uPlot.iife.min.js", STYLE]
    assert sum(len(entry.read_bytes()) for entry in names) < 150_000


def test_a_folder_or_address_that_cannot_be_had_is_refused_in_a_sentence(root, capsys):
    assert text_recognizer(["ui", str(root / "missing"), "--no-browser"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert text_recognizer(["ui", str(root), "--no-browser", f"--port={taken.getsockname()[1]}"]) == 2
    assert "Choose another port" in capsys.readouterr().err
    assert text_recognizer(["ui", str(root), "--no-browser", "--port=99999"]) == 2  # before there is a socket
    assert "a whole number from 0 to 65,535 is expected. Received: '99999'" in capsys.readouterr().err


def test_the_command_serves_without_tensorflow_writes_nothing_and_ends_with_ctrl_c(root):
    made(root, "one", 0.9)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    code = "import sys, training.cli; training.cli.main(['ui', '--no-browser', '--port=0']); print(sorted(sys.modules))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TEXT_RECOGNIZER_RUNS": str(root)},
    )
    assert process.stdout is not None
    address = process.stdout.readline().split(": ")[1].split()[0]
    assert httpx.get(f"{address}api/runs").json()["total"] == 1
    assert httpx.get(f"{address}api/run", params={"run": "default/one"}).json()["state"] == "finished"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert {"tensorflow", "keras", "wandb"}.isdisjoint(eval(said.splitlines()[-1]))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_nothing_is_told_of_what_a_link_leads_to(root, client, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    secret = made(elsewhere, "secret", 0.5)
    secret.write_json("environment.json", {"word": "tulip"})
    row = {"position": 0, "label": "tulip", "predicted": "tulip", "confidence": 0.5, "loss": 0.5}
    (secret.folder / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    two = made(root, "two", 0.5)
    (two.folder / "predictions.jsonl").symlink_to(secret.folder / "predictions.jsonl")
    (root / "default" / "out").symlink_to(secret.folder)
    for key in ("default/two", "default/out"):
        assert "tulip" not in client.get("/api/run", params={"run": key}).text
        answer = client.get("/api/samples", params={"run": key})
        assert (answer.status_code, "is a link that leads out" in answer.text) == (400, True)
