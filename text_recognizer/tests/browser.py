"""A headless Chromium that tests steer, over pipes: no driver, no port."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from text_recognizer.tests.waiting import wait_until

KEYS = {"Tab": 9, "Enter": 13}


class Browser:
    """One page of a Chromium; the test skips where there is none.

    `requested` lists the addresses that the page has asked for, `complaints` what it logged as wrong.
    """

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is not installed")
        self._command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        self._command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._count, self._came, self._session = 0, b"", {}  # type: ignore[var-annotated]

    def __enter__(self) -> Self:
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()

        # Chromium reads its orders from descriptor 3 and answers on 4.
        script = f'exec 3<&{their_in} 4>&{their_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "chromium", *self._command],
            pass_fds=(their_in, their_out),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        (target,) = wait_until(self._pages)
        session = self._ask("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        self._session = {"sessionId": session["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, url: str, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._ask("Emulation.setDeviceMetricsOverride", metrics)
        self._ask("Page.navigate", {"url": url})
        wait_until(lambda: self.value("document.readyState") == "complete")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is."""
        found = self._ask("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self) -> bytes:
        """What is in sight, as a PNG file."""
        self._ask("Emulation.setScrollbarsHidden", {"hidden": True})
        return base64.b64decode(self._ask("Page.captureScreenshot", {"format": "png"})["data"])

    def press(self, key: str) -> None:
        more = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "text": "\r" if key == "Enter" else ""}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", {"type": kind, **more})

    def draw(self, *places: tuple[float, float]) -> None:
        """A stroke with the mouse; a click if there is one place."""
        for kind, (x, y) in [("mousePressed", places[0]), *(("mouseMoved", place) for place in places[1:])]:
            buttons = {"button": "left", "buttons": 1, "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **buttons})
        x, y = places[-1]
        self._ask("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x, "y": y, "button": "left"})

    def choose_file(self, selector: str, path: Path) -> None:
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self._ask("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path)]})

    def drop(self, x: float, y: float, *, files: Sequence[Path] = (), text: str = "") -> None:
        """Drops files, or a text, that were dragged there from outside."""
        items = [{"mimeType": "text/plain", "data": text}] if text else []
        data = {"items": items, "files": [str(one.resolve()) for one in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._ask("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    def _pages(self) -> list[dict[str, Any]]:
        return [one for one in self._ask("Target.getTargets")["targetInfos"] if one["type"] == "page"]

    def _ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        self._count += 1
        order = {"id": self._count, "method": method, "params": params or {}, **self._session}
        os.write(self._out, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._came:
            piece = os.read(self._in, 1 << 16)
            assert piece, "chromium has ended"
            self._came += piece
        first, _, self._came = self._came.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message
