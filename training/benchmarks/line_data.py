"""Preparing lines of text, against straightforward programs and the way of older recognisers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.formats.lexicon import read_lexicon
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.datasets.lines.rendering import Rendering
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import LineForm
from text_recognizer.images.read import png_bytes
from text_recognizer.settings import REPOSITORY
from training.benchmarks.harness import Figure, medians, own_folder, seconds

Grey = NDArray[np.uint8]

TEXTS, REPETITIONS, BY_ITSELF = 2_000, 15, 300  # each text clean and noisy
FONT_SIZE, FONT_HEIGHT = 30, 50
SHARED = REPOSITORY.parent / "shared" / "data"  # Chinese verses and a font for them, where they are at hand
LINES, LINES_A_FORM, DIFFERENT, ONE_BY_ONE = 10_000, 8, 400, 40  # one picture stands for several lines of one writer
HEIGHT, WIDTH = 128, 1024
STEPS: tuple[Any, ...] = ("illumination", "deslant")


def line_rendering() -> list[Figure]:
    """Rendered lines, turned and noisy, against drawing and saving them one by one."""
    with own_folder() as folder:
        source = SentenceSource(map(chr, range(32, 127)))
        texts = sorted({one for one in source.sentences(3 * TEXTS, 7, np.random.default_rng(0)) if len(one) >= 5})
        made_up = folder / "texts.txt"
        made_up.write_text("\n".join(texts[:TEXTS]), encoding="utf-8")
        figures = [_rendering("Latin, the font of Pillow", made_up, (), folder)]
        verses = SHARED / "thuocl" / "THUOCL_poem.txt"
        fonts = sorted((SHARED / "fonts" / "lxgw-wenkai").glob("*.ttf"))
        if verses.exists() and fonts:
            figures.append(_rendering("Chinese verses", verses, (str(fonts[0]),), folder))
    return figures


def _rendering(what: str, texts: Path, fonts: tuple[str, ...], folder: Path) -> Figure:
    """Images a second of a whole preparation, splits and store included, and of the other way, files included."""
    entries = [entry.text for entry in read_lexicon(texts)][:TEXTS]
    seeds = iter(range(2))

    def ours() -> float:
        dataset = RenderedLinesDataset(
            texts=str(texts), fonts=fonts, num_texts=TEXTS, repetitions=REPETITIONS, seed=next(seeds)
        )
        taken_s = seconds(dataset.prepare)
        return sum(dataset.sizes().values()) / taken_s

    def draw() -> None:
        """As the CRNN recognisers of the TensorFlow 1 years did: font opened, colour picture turned, JPEG saved."""
        from PIL import Image, ImageDraw, ImageFont

        random = np.random.default_rng(0)
        for index in range(BY_ITSELF):
            text = entries[index // 2 % len(entries)]
            face = ImageFont.truetype(fonts[0], FONT_SIZE) if fonts else ImageFont.load_default(FONT_SIZE)
            image = Image.new("RGB", (len(text) * FONT_SIZE, FONT_HEIGHT), "white")
            ImageDraw.Draw(image).text((0, 0), text, "black", face)
            image = image.rotate(random.uniform(-2, 2), Image.Resampling.BICUBIC)
            if index % 2:
                noisy = np.asarray(image) / 255 + random.normal(0, 0.1, (*image.size[::-1], 3))
                image = Image.fromarray((np.clip(noisy, 0, 1) * 255).astype(np.uint8))
            image.save(folder / "line.jpg")

    fast, slow = medians(2, ours, lambda: BY_ITSELF / seconds(draw))
    return Figure(f"rendered lines, {what}: prepare / one by one", fast, slow, "images/s", ">= 20")


def iam_preparation() -> list[Figure]:
    """Lines in the layout of IAM, light and slant corrected, against a straightforward version."""
    with own_folder() as folder:
        files = _write_iam(folder / "iam")[:ONE_BY_ONE]
        form = LineForm(HEIGHT, WIDTH, "dark", "dark", STEPS)

        def lines_a_second(prepared: Callable[[Path], Grey], clock: Callable[[], float] = time.process_time) -> float:
            return ONE_BY_ONE / seconds(lambda: list(map(prepared, files)), clock)

        ours, plain = medians(
            3,
            lambda: lines_a_second(lambda file: form.apply(read_grey(file))),
            lambda: lines_a_second(_prepared_plainly),
        )
        plain_all = lines_a_second(_prepared_plainly, time.perf_counter)
        as_wanted: dict[str, Any] = {"height": HEIGHT, "max_width": WIDTH, "ink": "dark", "preprocessing": STEPS}
        dataset = IamDataset(str(folder / "iam"), split="writers", **as_wanted)
        prepare_s = seconds(dataset.prepare)
        whole = len(dataset.pool) / prepare_s
    what = f"IAM lines, {HEIGHT} px high, light and slant corrected"
    return [
        Figure(f"{what}: one core / straightforward", ours, plain, "lines a second", ">= 5"),
        Figure(f"{what}: {LINES:,} of them, all cores / straightforward", whole, plain_all, "lines a second", ">= 5"),
    ]


def _prepared_plainly(file: Path) -> Grey:
    """Resize, even the light, deslant by trying nine shears column by column, pad: each step as it is described."""
    from PIL import Image
    from scipy import ndimage

    image = Image.fromarray(read_grey(file))
    factor = max(image.width / WIDTH, image.height / HEIGHT)
    grey = np.asarray(image.resize((max(1, int(image.width / factor)), max(1, int(image.height / factor)))), np.uint8)
    size = max(3, grey.shape[0] // 4)
    paper = ndimage.uniform_filter(ndimage.maximum_filter(grey, size).astype(np.float32), size)
    upright = _upright(np.clip(grey / np.maximum(paper, 1) * 255, 0, 255).astype(np.uint8))
    upright.thumbnail((WIDTH, HEIGHT))
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    page.paste(upright, (0, (HEIGHT - upright.height) // 2))
    return np.asarray(page, np.uint8)


def _upright(image: Grey) -> Any:
    """The shear whose columns have the most unbroken ink, as Vinciarelli and Luettin (2001) score it."""
    from PIL import Image

    def unbroken(column: Grey) -> float:
        inked = np.flatnonzero(column)
        return float(len(inked)) ** 2 if len(inked) and inked[-1] - inked[0] + 1 == len(inked) else 0.0

    height, width = image.shape
    ink = Image.fromarray((image < np.mean(image) * 0.8).astype(np.uint8))
    scored = []
    for shear in np.linspace(-1, 1, 9):
        size = (int(np.ceil(width + abs(shear) * height)), height)
        matrix = (1, shear, -shear * height if shear > 0 else 0, 0, 1, 0)
        sheared = np.asarray(ink.transform(size, Image.Transform.AFFINE, matrix))
        scored.append((np.apply_along_axis(unbroken, 0, sheared).sum(), size, matrix))
    _, size, matrix = max(scored)
    bilinear = Image.Resampling.BILINEAR
    return Image.fromarray(image).transform(size, Image.Transform.AFFINE, matrix, bilinear, fillcolor=255)


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
        contents.append(png_bytes((np.asarray(slanted) * np.linspace(1, 0.7, line.width)).astype(np.uint8)))
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
