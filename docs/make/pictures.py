"""Draws the images of the documentation from finished runs: pictures.py CHARACTERS_RUN LINES_RUN SWEEP FOLDER."""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

import text_recognizer as tr
from text_recognizer.tests.browser import Browser
from text_recognizer.tests.waiting import wait_until
from training.tests.ui.ui_support import served

COLORS = 48  # of a palette: an image stays below 150 KB
SHOWN_LINES = 6


def draw_pages(run: tr.Run, sweep: Path, folder: Path) -> None:
    """The top of a report, and the page with a sweep, some of its runs compared, and one of them."""
    if shutil.which("chromium") is None:
        print(
            "the pages are left as they are: there is no chromium to draw them with (on Debian: apt install chromium)."
        )
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(Path(profile)) as browser:

        def draw(name: str, address: str, size: tuple[int, int], ready: str) -> None:
            browser.open("about:blank", *size)
            browser.open(address, *size)
            wait_until(lambda: browser.value(ready))
            path = folder / f"{name}.png"
            path.write_bytes(browser.picture())
            _save(Image.open(path), path)

        draw("report", (run.folder / "report.html").resolve().as_uri(), (720, 592), "true")
        with served(sweep.parent) as page:
            key = f"{sweep.name}/"
            four = "&".join(f"run={key}{path.parent.name}" for path in sorted(sweep.glob("*/evaluation.json"))[:4])
            drawn = "document.querySelectorAll('.chart canvas').length > 0"
            draw("sweep", f"{page}#/sweep?sweep={sweep.name}", (900, 900), drawn)
            draw("compare", f"{page}#/compare?{four}&metric=val_accuracy", (900, 620), drawn)
            draw("run", f"{page}#/run?run={run.folder.parent.name}/{run.id}", (900, 760), drawn)
            draw(
                "runs",
                f"{page}#/runs?sort=-val_accuracy",
                (900, 420),
                "document.querySelectorAll('tbody tr').length > 3",
            )


def draw_lines(run: tr.Run, path: Path) -> None:
    """Lines of the test split, each with its transcription and its reading; a wrong reading in red."""
    _save(tr.draw_samples(run, count=SHOWN_LINES), path)


def _save(picture: Image.Image, path: Path) -> None:
    picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    characters, lines, sweep, folder = sys.argv[1:]
    draw_pages(tr.Run(characters), Path(sweep), Path(folder))
    draw_lines(tr.Run(lines), Path(folder) / "lines.png")
