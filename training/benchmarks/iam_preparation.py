"""Preparing lines in the layout of IAM with even light and upright strokes, against a straightforward version."""

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.datasets.lines.rendering import Rendering
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import LineForm
from training.benchmarks.figures import Figure, medians, seconds
from training.benchmarks.made_data import data_folder

ROUNDS = 3
LINES, LINES_A_FORM = 10_000, 8
DIFFERENT = 400  # pictures; each stands for several lines of one writer
ONE_BY_ONE = 40
HEIGHT, WIDTH = 128, 1024
STEPS: tuple[Any, ...] = ("illumination", "deslant")

Grey = NDArray[np.uint8]


def measure() -> list[Figure]:
    with data_folder() as folder:
        root = folder / "iam"
        files = _write_iam(root)
        form = LineForm(HEIGHT, WIDTH, "dark", "dark", STEPS)
        ours, plain = medians(
            ROUNDS,
            lambda: _lines_a_second(files, lambda file: form.apply(read_grey(file)), time.process_time),
            lambda: _lines_a_second(files, prepared_plainly, time.process_time),
        )
        plain_all = _lines_a_second(files, prepared_plainly, time.perf_counter)
        dataset = IamDataset(
            str(root), split="writers", height=HEIGHT, max_width=WIDTH, ink="dark", preprocessing=STEPS
        )
        prepare_s = seconds(dataset.prepare)
        whole = len(dataset.pool) / prepare_s
    what = f"IAM lines, {HEIGHT} px high, light and slant corrected"
    return [
        Figure(f"{what}: one core / straightforward", ours, plain, "lines a second", ">= 5"),
        Figure(f"{what}: {LINES:,} of them, all cores / straightforward", whole, plain_all, "lines a second", ">= 5"),
    ]


def _lines_a_second(files: list[Path], prepared: Callable[[Path], Grey], clock: Callable[[], float]) -> float:
    return ONE_BY_ONE / seconds(lambda: [prepared(file) for file in files[:ONE_BY_ONE]], clock)


def prepared_plainly(file: Path) -> Grey:
    """Resize, even the light, deslant by trying nine shears column by column, pad: each step as it is described."""
    from PIL import Image

    image = Image.fromarray(read_grey(file))
    factor = max(image.width / WIDTH, image.height / HEIGHT)
    image = image.resize((max(1, int(image.width / factor)), max(1, int(image.height / factor))))
    upright = _upright(_evenly_lit(np.asarray(image, np.uint8)))
    upright.thumbnail((WIDTH, HEIGHT))
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    page.paste(upright, (0, (HEIGHT - upright.height) // 2))
    return np.asarray(page, np.uint8)


def _evenly_lit(image: Grey) -> Grey:
    from scipy import ndimage

    size = max(3, image.shape[0] // 4)
    paper = ndimage.uniform_filter(ndimage.maximum_filter(image, size).astype(np.float32), size)
    lit: Grey = np.clip(image / np.maximum(paper, 1) * 255, 0, 255).astype(np.uint8)
    return lit


def _upright(image: Grey) -> Any:
    """The shear whose columns have the most unbroken ink, as Vinciarelli and Luettin (2001) score it."""
    from PIL import Image

    height, width = image.shape
    ink = Image.fromarray((image < np.mean(image) * 0.8).astype(np.uint8))
    scored = []
    for shear in np.linspace(-1, 1, 9):
        wider = width + math.ceil(abs(shear) * height)
        matrix = (1, shear, -shear * height if shear > 0 else 0, 0, 1, 0)
        sheared = np.asarray(ink.transform((wider, height), Image.Transform.AFFINE, matrix))
        scored.append((np.apply_along_axis(_unbroken, 0, sheared).sum(), wider, matrix))
    _, wider, matrix = max(scored)
    return Image.fromarray(image).transform(
        (wider, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=255
    )


def _unbroken(column: Grey) -> float:
    inked = np.flatnonzero(column)
    return float(len(inked)) ** 2 if len(inked) and inked[-1] - inked[0] + 1 == len(inked) else 0.0


def _write_iam(root: Path) -> list[Path]:
    """lines.txt, forms.txt and pictures as large as IAM's lines: slanted, noisy, darker to the right."""
    from PIL import Image

    random = np.random.default_rng(0)
    rendering = Rendering(height=110, noise=("gaussian",), ink="dark")
    texts = list(SentenceSource(map(chr, range(32, 127))).sentences(DIFFERENT, 48, random))
    contents = []
    for text in texts:
        line = Image.fromarray(rendering.draw(text, DEFAULT_FONT, True, random))
        slanted = line.transform(line.size, Image.Transform.AFFINE, (1, 0.3, -16, 0, 1, 0), fillcolor=255)
        shaded = np.asarray(slanted) * np.linspace(1, 0.7, line.width)
        buffer = io.BytesIO()
        Image.fromarray(shaded.astype(np.uint8)).save(buffer, "png")
        contents.append(buffer.getvalue())
    lines, forms, files = [], [], []
    for number in range(LINES):
        form_number, place = divmod(number, LINES_A_FORM)
        form = f"a{form_number // 1000:02}-{form_number % 1000:03}"
        file = root / "lines" / form[:3] / form / f"{form}-{place:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % DIFFERENT])
        files.append(file)
        lines.append(f"{file.stem} ok 154 19 408 746 1661 89 {texts[number % DIFFERENT].replace(' ', '|')}\n")
        if place == 0:  # lines that look the same are of one writer, and so of one split
            forms.append(f"{form} {form_number % (DIFFERENT // LINES_A_FORM):03} 2 prt 8 8 9 9\n")
    (root / "ascii").mkdir()
    (root / "ascii" / "lines.txt").write_text("".join(lines), encoding="utf-8")
    (root / "ascii" / "forms.txt").write_text("".join(forms), encoding="utf-8")
    return files
