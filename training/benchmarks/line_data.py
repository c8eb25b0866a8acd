"""Preparing lines of text, against what older recognisers needed for it on two cores."""

from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset, Rendering
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.images.read import png_bytes
from text_recognizer.settings import REPOSITORY
from training.benchmarks.harness import Figure, own_folder, seconds

TEXTS, REPETITIONS = 2_000, 15  # each text clean and noisy
# Of older recognisers: images a second that one rendered, and lines a second that another prepared (31 ms each).
OLDER_RENDERED, OLDER_PREPARED = 327.0, 1 / 0.031
SHARED = REPOSITORY.parent / "shared" / "data"  # Chinese verses and a font for them, where they are at hand
LINES, LINES_A_FORM, DIFFERENT = 10_000, 8, 400  # one picture stands for several lines of one writer
HEIGHT, WIDTH = 128, 1024
STEPS: tuple[Any, ...] = ("illumination", "deslant")


def line_rendering() -> list[Figure]:
    """Rendered lines, turned and noisy, against a recogniser that drew and saved them one by one."""
    with own_folder() as folder:
        source = SentenceSource(map(chr, range(32, 127)))
        texts = sorted({one for one in source.sentences(3 * TEXTS, 7, np.random.default_rng(0)) if len(one) >= 5})
        made_up = folder / "texts.txt"
        made_up.write_text("\n".join(texts[:TEXTS]), encoding="utf-8")
        figures = [_rendering("Latin, the font of Pillow", made_up, ())]
        verses = SHARED / "thuocl" / "THUOCL_poem.txt"
        fonts = sorted((SHARED / "fonts" / "lxgw-wenkai").glob("*.ttf"))
        if verses.exists() and fonts:
            figures.append(_rendering("Chinese verses", verses, (str(fonts[0]),)))
    return figures


def _rendering(what: str, texts: Path, fonts: tuple[str, ...]) -> Figure:
    """Images a second of a whole preparation, splits and store included."""
    dataset = RenderedLinesDataset(texts=str(texts), fonts=fonts, num_texts=TEXTS, repetitions=REPETITIONS)
    taken_s = seconds(dataset.prepare)
    rate = sum(dataset.sizes().values()) / taken_s
    return Figure(f"rendered lines, {what}: prepare / one by one", rate, OLDER_RENDERED, "images/s", ">= 20")


def iam_preparation() -> list[Figure]:
    """Lines in the layout of IAM, light and slant corrected, against an older recogniser."""
    with own_folder() as folder:
        _write_iam(folder / "iam")
        as_wanted: dict[str, Any] = {"height": HEIGHT, "max_width": WIDTH, "ink": "dark", "preprocessing": STEPS}
        dataset = IamDataset(str(folder / "iam"), split="writers", **as_wanted)
        prepare_s = seconds(dataset.prepare)
        whole = len(dataset.pool) / prepare_s
    what = f"{LINES:,} IAM lines, {HEIGHT} px high, light and slant corrected: all cores / one by one"
    return [Figure(what, whole, OLDER_PREPARED, "lines a second", ">= 5")]


def _write_iam(root: Path) -> None:
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
    lines, forms = [], []
    for number in range(LINES):
        form_number, place = divmod(number, LINES_A_FORM)
        form = f"a{form_number // 1000:02}-{form_number % 1000:03}"
        file = root / "lines" / form[:3] / form / f"{form}-{place:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % DIFFERENT])
        lines.append(f"{file.stem} ok 154 19 408 746 1661 89 {texts[number % DIFFERENT].replace(' ', '|')}\n")
        if place == 0:  # lines that look the same are of one writer, and so of one split
            forms.append(f"{form} {form_number % (DIFFERENT // LINES_A_FORM):03} 2 prt 8 8 9 9\n")
    (root / "ascii").mkdir()
    (root / "ascii" / "lines.txt").write_text("".join(lines), encoding="utf-8")
    (root / "ascii" / "forms.txt").write_text("".join(forms), encoding="utf-8")
