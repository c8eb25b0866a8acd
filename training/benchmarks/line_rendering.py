"""Rendering lines from a font, turned and noisy, against drawing, turning and saving every picture by itself."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.formats.lexicon import read_lexicon
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.settings import REPOSITORY
from training.benchmarks.figures import Figure, medians, seconds
from training.benchmarks.made_data import data_folder

ROUNDS = 2
TEXTS = 2_000
REPETITIONS = 15  # each clean and noisy
BY_ITSELF = 300
FONT_SIZE, HEIGHT = 30, 50
SHARED = REPOSITORY.parent / "shared" / "data"  # Chinese verses and a font for them, where they are at hand


def measure() -> list[Figure]:
    with data_folder() as folder:
        figures = [_figure("Latin, the font of Pillow", _made_up_texts(folder), (), folder)]
        verses = SHARED / "thuocl" / "THUOCL_poem.txt"
        fonts = sorted((SHARED / "fonts" / "lxgw-wenkai").glob("*.ttf"))
        if verses.exists() and fonts:
            figures.append(_figure("Chinese verses", verses, (str(fonts[0]),), folder))
    return figures


def _figure(what: str, texts: Path, fonts: tuple[str, ...], folder: Path) -> Figure:
    """Images a second of a whole preparation, splits and store included, and of the other way, files included."""
    entries = [entry.text for entry in read_lexicon(texts)][:TEXTS]
    seeds = iter(range(ROUNDS))

    def ours() -> float:
        dataset = RenderedLinesDataset(
            texts=str(texts), fonts=fonts, num_texts=TEXTS, repetitions=REPETITIONS, seed=next(seeds)
        )
        taken_s = seconds(dataset.prepare)
        return sum(dataset.sizes().values()) / taken_s

    def one_by_one() -> float:
        random, font = np.random.default_rng(0), fonts[0] if fonts else None

        def draw() -> None:
            for index in range(BY_ITSELF):
                text, is_noisy = entries[index // 2 % len(entries)], bool(index % 2)
                draw_by_itself(text, font, is_noisy, random, folder / "line.jpg")

        return BY_ITSELF / seconds(draw)

    fast, slow = medians(ROUNDS, ours, one_by_one)
    return Figure(f"rendered lines, {what}: prepare / one by one", fast, slow, "images/s", ">= 20")


def draw_by_itself(text: str, font: str | None, is_noisy: bool, random: np.random.Generator, file: Path) -> None:
    """A colour picture as the CRNN recognisers of the TensorFlow 1 years made them: font opened, JPEG file saved."""
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.truetype(font, FONT_SIZE) if font else ImageFont.load_default(FONT_SIZE)
    image = Image.new("RGB", (len(text) * FONT_SIZE, HEIGHT), "white")
    ImageDraw.Draw(image).text((0, 0), text, "black", face)
    image = image.rotate(random.uniform(-2, 2), Image.Resampling.BICUBIC)
    if is_noisy:
        image = Image.fromarray(_noisy(np.asarray(image) / 255, random))
    image.save(file)


def _noisy(image: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    kind = random.choice(["gaussian", "poisson", "salt", "pepper"])
    if kind == "gaussian":
        image = image + random.normal(0, 0.1, image.shape)
    elif kind == "poisson":
        image = random.poisson(image * 256) / 256
    else:
        image = np.where(random.random(image.shape) < 0.05, float(kind == "salt"), image)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _made_up_texts(folder: Path) -> Path:
    source = SentenceSource("".join(chr(code) for code in range(32, 127)))
    texts = set(source.sentences(3 * TEXTS, 7, np.random.default_rng(0)))
    path = folder / "texts.txt"
    path.write_text("\n".join(sorted(text for text in texts if len(text) >= 5)[:TEXTS]), encoding="utf-8")
    return path
