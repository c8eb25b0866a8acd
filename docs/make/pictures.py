"""Draws the pictures of the documentation from finished runs: pictures.py CHARACTERS_RUN LINES_RUN FOLDER."""

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import text_recognizer as tr
from text_recognizer.experiment import assemble

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLORS = 48  # of a palette: a picture stays below 150 KB
SHOWN_LINES, SHORTEST, ROW_PX, WIDTH_PX = 6, 18, 84, 640
GREY, BLACK, RED = (110, 110, 110), (20, 20, 20), (190, 30, 30)


def draw_report(run: tr.Run, path: Path) -> None:
    """The top of a report, as a browser shows it."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"{path} is left as it is: there is no chromium to draw it with (on Debian: apt install chromium).")
        return
    page = (run.folder / "report.html").resolve().as_uri()
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--window-size=720,592"]
    subprocess.run([browser, *options, f"--screenshot={path}", page], check=True, capture_output=True)
    _save(Image.open(path), path)


def draw_lines(run: tr.Run, path: Path) -> None:
    """The first lines of the test split, each with its transcription and its reading; a wrong reading in red."""
    dataset = assemble(run.spec).dataset
    dataset.prepare()
    split = dataset.split("test")
    picture = Image.new("RGB", (WIDTH_PX, SHOWN_LINES * ROW_PX + 34), "white")
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    noisy = [row for row in run.predictions if row["id"].endswith("_1")]  # every text comes clean and noisy
    chosen = [row for row in noisy if len(row["label"]) >= SHORTEST][:SHOWN_LINES]
    for number, row in enumerate(chosen):
        top = 8 + number * ROW_PX
        line = Image.fromarray(255 - split.image(int(row["position"]))[..., 0])
        picture.paste(line, (110, top))
        draw.text((10, top + 34), "transcribed", GREY, small)
        draw.text((110, top + 33), row["label"], BLACK, font)
        draw.text((10, top + 53), "read", GREY, small)
        draw.text((110, top + 52), row["predicted"], BLACK if row["predicted"] == row["label"] else RED, font)
    rate = run.summary["test_character_error_rate"]
    said = f"character error rate on the test split: {rate:.1%} ({len(run.predictions)} rendered lines)"
    draw.text((10, SHOWN_LINES * ROW_PX + 10), said, GREY, small)
    _save(picture, path)


def _save(picture: Image.Image, path: Path) -> None:
    picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    characters, lines, folder = sys.argv[1:]
    draw_report(tr.Run(characters), Path(folder) / "report.png")
    draw_lines(tr.Run(lines), Path(folder) / "lines.png")
