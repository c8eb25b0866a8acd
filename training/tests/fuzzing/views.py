"""Every view of the local page and of an agent, over damaged runs and sweeps."""

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from text_recognizer.errors import TextRecognizerError
from training.tests.fuzzing.base import Target
from training.tests.fuzzing.runs import digits_prepared, runs
from training.tests.fuzzing.sweeps import sweeps


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


_HOSTILE_NAMES = ("<img src=x>", "a\nb", "a?b&run=#c%2e", "\udcff", "-f", "é\u0301\u202e", "x" * 240, "a@0-0")
_MET = ("status.json", "spec.json", "metrics.jsonl", "log.txt", "evaluation.json", "predictions.jsonl", "circle")
_LINKED = (".", "..", "../..", "circle", "/etc", "/etc/passwd", "/dev/zero", "nowhere", "../healthy", "x" * 250)


def _twist(runs: Path) -> None:
    """Some folders get what no content of a file can be: hostile names, links in circles and out, pipes, folders."""
    draw = random.Random(sum(path.stat().st_size for path in runs.rglob("*.json")))
    for folder in runs.glob("*/damaged-*"):
        path = folder / draw.choice(_MET)
        chance = draw.random()
        with contextlib.suppress(OSError):  # a name that is there already
            if chance < 0.1:
                folder.rename(folder.with_name(f"damaged-{draw.choice(_HOSTILE_NAMES)}"))
            elif chance < 0.3:
                path.unlink(missing_ok=True)
                if chance < 0.22:
                    path.symlink_to(draw.choice(_LINKED))
                elif chance < 0.26:
                    path.mkdir()
                else:
                    os.mkfifo(path)
            elif chance < 0.34:
                (folder.parent / f"link-{chance}").symlink_to(draw.choice(_LINKED))


def _page(folder: Path) -> None:
    """Every view of the local page, as a browser asks for it: all are answered, with a reason where one is broken."""
    os.environ["TEXT_RECOGNIZER_DATA"] = digits_prepared()
    _twist(folder / "runs")
    with patch("asyncio.to_thread", _here):  # on a busy machine, changing threads takes most of the time
        asyncio.run(_views(folder / "runs"))


async def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


async def _views(runs: Path) -> None:
    import httpx

    from training.runs.tails import Cursor
    from training.ui.app import Page
    from training.ui.events import Feed, event
    from training.ui.poller import Poller
    from training.ui.safety import Guard
    from training.views.index import Index

    index = Index(runs)
    page = Page(index, Poller(index), Guard("127.0.0.1"))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(page.app()), base_url="http://127.0.0.1")

    async def asked(view: str, **params: Any) -> Any:
        answer = await client.get(f"/api/{view}", params=params)
        assert answer.status_code in (200, 400, 404), answer.text
        return json.loads(answer.text, parse_constant=_no_json)

    keys = [row[0] for row in (await asked("runs", first=5))["rows"]]
    keys = [row[0] for row in (await asked("runs"))["rows"]]
    assert any("healthy" in key for key in keys), "a damaged run hides the others"
    await asked("runs", by="network", sort="-test_accuracy")
    await asked("columns")
    for key in keys:
        await asked("run", run=key)
        await asked("samples", run=key, count=4)
        await asked("dataset", run=key)
        answer = await client.get("/api/picture", params={"run": key, "position": 0})
        assert answer.status_code in (200, 400)
    await asked("compare", run=keys[:20])
    await asked("data")
    for key in [row[0] for row in (await asked("sweeps"))["rows"]]:
        await asked("sweep", sweep=key)
        await asked("importance", sweep=key)
    feed = Feed(index, page.poller, 0, dict.fromkeys(keys, Cursor()), dict.fromkeys(keys[:1], Cursor()))
    page.poller.sizes = dict.fromkeys(feed._reports.values(), (1, 1))
    for name, value in feed._news():
        event(name, value)


def _agent_tools(folder: Path) -> None:
    """Every view of an agent; none but `test_figures` shows a figure of the test split."""
    from training.mcp.budget import Budget
    from training.mcp.tools import Tools
    from training.ui.events import json_of
    from training.views.index import Index

    _twist(folder / "runs")
    tools = Tools(Budget(), Index(folder / "runs"))

    def asked(tool: str, **arguments: Any) -> dict[str, Any]:
        with contextlib.suppress(TextRecognizerError):
            answer = tools.call(tool, arguments)
            text = json_of(answer)
            json.loads(text, parse_constant=_no_json)
            assert tool == "test_figures" or '"test_accuracy"' not in text
            return answer
        return {}

    names = [row["id"] for row in asked("list_runs", limit=5)["runs"]]
    for name in names:
        asked("show_run", run=name, log_lines=9)
        asked("test_figures", run=name, why="to see")
    asked("compare_runs", runs=names)
    for row in asked("list_sweeps")["sweeps"]:
        asked("show_sweep", sweep=row["name"])


TARGETS = (
    Target("page", runs, _page, kept="runs/group/healthy/", share=0.2, together=25),
    Target("page_of_sweeps", sweeps, _page, kept="runs/healthy/", share=0.1),
    Target("agent_tools", runs, _agent_tools, kept="runs/group/healthy/", share=0.2),
    Target("agent_sweeps", sweeps, _agent_tools, kept="runs/healthy/", share=0.2),
)
