"""The page beside those of Trackio and Aim: python -m training.tests.ui.page_peers BIN [RUNS]

BIN is a folder with the commands and the Python that both are installed for. Each tracker gets the same runs by its own
API, and is opened twice in one Chromium; bytes are those received until two seconds pass without one, or 30.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from text_recognizer.tests.browser import Browser
from text_recognizer.tests.waiting import wait_until
from training.benchmarks.harness import cpu_s, memory_mb, own_folder
from training.benchmarks.servers import EPOCHS, METRICS, RUNS, _make_run

VALUES = f'{{"val_loss": 1 / (run + 1), **{{f"metric_{{one}}": 0.123456789 * one for one in range({METRICS - 1})}}}}'
TRACKIO = f"""
import sys, trackio
for run in range(int(sys.argv[1])):
    trackio.init("bench", name=f"run-{{run:04}}", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    for epoch in range(1, {EPOCHS + 1}):
        trackio.log({VALUES}, step=epoch)
    trackio.finish()
"""
AIM = f"""
import sys, aim
quiet = dict(system_tracking_interval=None, capture_terminal_logs=False, log_system_params=False)
for run in range(int(sys.argv[1])):
    made = aim.Run(repo=".", experiment="bench", **quiet)
    made.name = f"run-{{run:04}}"
    for epoch in range(1, {EPOCHS + 1}):
        made.track({VALUES}, step=epoch, epoch=epoch)
    made.report_successful_finish()
    made.close()
"""
SHOWN = r"/run-\d{4}/.test(document.body?.innerText || '')"


class CountingBrowser(Browser):
    """Counts the bytes that come over the network."""

    received = 0

    def _next(self) -> dict[str, Any]:
        message = super()._next()
        params = message.get("params", {})
        if message.get("method") == "Network.loadingFinished":
            self.received += int(params["encodedDataLength"])
        if message.get("method") == "Network.eventSourceMessageReceived":
            self.received += len(params["data"])
        return message

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.value("0")  # takes what has come; a promise would be lost where the page goes elsewhere
            time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu_of(pid: int) -> float:
    return sum(cpu_s(one) for one in family(pid))


def opened(browser: CountingBrowser, address: str) -> tuple[float, int]:
    """Seconds until the name of a run can be read, and bytes until all is there."""
    browser._ask("Network.clearBrowserCache")
    browser.open("about:blank", 1280, 900)
    browser.received, began = 0, time.monotonic()
    browser._ask("Page.navigate", {"url": address})
    wait_until(lambda: browser.value(SHOWN))
    took, until, before = time.monotonic() - began, time.monotonic() + 30, -1
    while browser.received != before and time.monotonic() < until:
        before = browser.received
        browser.rest(2)
    return took, browser.received


def measured(name: str, command: list[str], address: str | None, folder: Path) -> list[str]:
    out = folder / "out.txt"
    with open(out, "w") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)

    def ready() -> str:
        found = re.search(r"http://[\w.]+:\d+[\w/?=]*", out.read_text())
        place = address or (found[0] if found else "")
        try:
            urllib.request.urlopen(place).close()
        except (OSError, ValueError):
            return ""
        return place

    try:
        place = wait_until(ready)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            with CountingBrowser(Path(profile)) as browser:
                first, size = opened(browser, place)
                again, _ = opened(browser, place)
                before, received, began = cpu_of(server.pid), browser.received, time.monotonic()
                browser.rest(20)
                took = time.monotonic() - began
                busy, idle_bytes = (cpu_of(server.pid) - before) / took, (browser.received - received) / took
            before = cpu_of(server.pid)
            time.sleep(10)
            alone = (cpu_of(server.pid) - before) / 10
        memory = sum(memory_mb(one, "Pss") for one in family(server.pid))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    figures = [f"{first:.1f} and {again:.1f} s", f"{size / 1e3:,.0f} kB", f"{idle_bytes / 1e3:.1f} kB/s"]
    return [name, *figures, f"{busy:.1%}", f"{alone:.1%}", f"{memory:.0f} MB", f"load {os.getloadavg()[0]:.0f}"]


def main() -> None:
    place, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS
    with own_folder() as folder:
        os.environ |= {"TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1"}
        for number in range(count):
            _make_run(number)
        subprocess.run([place / "aim", "init", "-y"], cwd=folder, check=True, capture_output=True)
        for script in (TRACKIO, AIM):
            subprocess.run([place / "python", "-c", script, str(count)], cwd=folder, check=True, capture_output=True)
        ours = [sys.executable, "-m", "training.cli", "ui", str(folder / "runs"), "--no-browser", "--port=0"]
        trackio = [str(place / "trackio"), "show", "--project", "bench", "--host", "127.0.0.1"]
        aim = [str(place / "aim"), "up", "--repo", str(folder), "-p", "8143", "-y"]
        print("page | runs shown | all received | received at rest | server, page open | closed | memory", flush=True)
        for name, command, address in (
            ("text-recognizer ui", ours, None),
            ("Trackio", trackio, None),
            ("Aim", aim, "http://127.0.0.1:8143/runs"),
        ):
            print(" | ".join(measured(name, command, address, folder)), flush=True)


if __name__ == "__main__":
    main()
