"""Draws samples of a dataset into one image, each above its text."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import Dataset, Split, SplitName
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, characters_of
from text_recognizer.datasets.drawing.fonts import font as font_of
from text_recognizer.errors import DataError, SpecError
from text_recognizer.wording import received

if TYPE_CHECKING:
    from PIL import Image

MOST_SAMPLES = 500
WIDTH_PX, GAP_PX, LEAST_HEIGHT_PX, CAPTION_PX = 960, 12, 56, 14
# Of systems. The default font has little more than ASCII.
USUAL_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc", "msyh.ttc"),
)
BLACK, RED, GREEN = (20, 20, 20), (190, 30, 30), (0, 130, 60)
TINTS = np.array([(255, 255, 255), (250, 160, 150), (150, 180, 250)], np.uint8)  # background, odd and even lines

Pixels = NDArray[np.uint8]


def draw_samples(
    dataset: Dataset,
    split: SplitName = "train",
    count: int = 16,
    seed: int = 0,
    font: str = DEFAULT_FONT,
    predictions: Sequence[Mapping[str, Any]] = (),
) -> "Image.Image":
    """Random samples of one split, dark on white; for pages, with the pixels of their lines in two colours.

    Args:
        dataset: prepared if necessary, after the other arguments are checked.
        font: a file with the characters of the labels; "default" takes an installed font that has them. Missing
            characters are shown as code points.
        predictions: rows of a run's predictions.jsonl; then samples are chosen from these, with their readings below,
            wrong ones in red. The boxes of found lines are green.
    Raises:
        SpecError: there is no such split, count is not 1 to 500, or seed is negative.
        DataError: the split is empty; the font cannot be read; the predictions are of other samples.
    """
    if split not in get_args(SplitName):
        raise SpecError(f"split must be one of {', '.join(get_args(SplitName))}. {received(split)}")
    if not 1 <= count <= MOST_SAMPLES:
        raise SpecError(f"count must be at least 1 and at most {MOST_SAMPLES}. {received(count)}")
    if seed < 0:
        raise SpecError(f"seed must be at least 0. {received(seed)}")
    characters_of(font)
    dataset.prepare()
    samples, rows = dataset.split(split), {int(row["position"]): row for row in predictions}
    if not len(samples):
        raise DataError(f"the {split} split of {dataset.name} is empty. Choose another one.")
    has_texts = dataset.data_spec.target != "pixels"  # for a page, a row has only the number of lines
    labels = {at: row.get("label") for at, row in rows.items() if has_texts}
    if any(at >= len(samples) for at in rows) or any(
        label not in (None, samples.text(at)) for at, label in labels.items()
    ):
        raise DataError(
            f"{dataset.name} no longer has the samples that were read: its files have changed. Restore the "
            f"files, or draw the dataset alone."
        )
    among = sorted(rows) if predictions else range(len(samples))
    chosen = np.random.default_rng(seed).permutation(len(among))[:count]
    cells = []
    for position in sorted(among[index] for index in chosen.tolist()):
        row = rows.get(position, {})
        picture = _picture(dataset, samples, position, row.get("boxes", ()))
        label = samples.text(position) if has_texts else (samples.ids or [])[position]
        captions = [(label, BLACK)]
        if "predicted" in row:
            captions.append((f"read: {row['predicted']}", RED if has_texts and row["predicted"] != label else BLACK))
        cells.append(_cell(picture, captions, font))
    return _flowed(cells)


def draw_pictures(pictures: Sequence[tuple[Pixels, str]], font: str = DEFAULT_FONT) -> "Image.Image":
    """Grey images (H, W), at least one, each above its text."""
    from PIL import Image

    cells = []
    for grey, text in pictures:
        picture = _enlarged(Image.fromarray(grey).convert("RGB"))
        picture.thumbnail((WIDTH_PX, 2 * WIDTH_PX))
        cells.append(_cell(picture, [(text, BLACK)], font))
    return _flowed(cells)


def _picture(dataset: Dataset, samples: Split, position: int, boxes: Sequence[Sequence[float]]) -> "Image.Image":
    from PIL import Image, ImageDraw

    grey = samples.image(position)[..., 0]  # (H, W)
    dark = np.invert(grey) if dataset.data_spec.ink == "light" else grey
    colours: Pixels = np.repeat(dark[..., None], 3, axis=2)  # (H, W, 3)
    if dataset.data_spec.target == "pixels":
        colours = np.minimum(colours, TINTS[samples.batch(np.array([position]))["label"][0]])
    picture = _enlarged(Image.fromarray(colours))
    scale = picture.width // grey.shape[1]
    drawing = ImageDraw.Draw(picture)
    for box in boxes:
        left, top, right, bottom = (scale * edge for edge in box)
        drawing.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=GREEN)
    picture.thumbnail((WIDTH_PX, 2 * WIDTH_PX))
    return picture


def _enlarged(picture: "Image.Image") -> "Image.Image":
    """An image enlarged by a whole factor, so that it is readable."""
    from PIL import Image

    scale = min(math.ceil(LEAST_HEIGHT_PX / picture.height), max(1, WIDTH_PX // picture.width))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _cell(picture: "Image.Image", captions: Sequence[tuple[str, tuple[int, int, int]]], font: str) -> "Image.Image":
    from PIL import Image

    drawn = []
    for text, colour in captions:
        fitting = _font_with(text, font)
        known = characters_of(fitting)
        shown = "".join(one if ord(one) in known or one.isspace() else f"U+{ord(one):04X} " for one in text)
        drawn.append((font_of(fitting, CAPTION_PX).draw(shown.strip() or repr(shown))[:, :WIDTH_PX], colour))
    width = max([picture.width, *(strokes.shape[1] for strokes, _ in drawn)])
    height = picture.height + sum(len(strokes) for strokes, _ in drawn)
    cell = Image.new("RGB", (width, height), "white")
    cell.paste(picture)
    top = picture.height
    for strokes, colour in drawn:
        cell.paste(colour, (0, top), Image.fromarray(strokes))
        top += len(strokes)
    return cell


def _font_with(text: str, font: str) -> str:
    """The font; instead of the default one, an installed font that has the characters of a text if it lacks them."""
    needed = {ord(one) for one in text if not one.isspace()}
    if font != DEFAULT_FONT or needed <= characters_of(font):
        return font
    return next((path for path in _usual_fonts() if needed <= characters_of(path)), font)


@lru_cache(maxsize=1)
def _usual_fonts() -> tuple[str, ...]:
    from PIL import ImageFont

    found = []
    for name in USUAL_FONTS:
        with suppress(OSError):
            found.append(str(ImageFont.truetype(name, CAPTION_PX).path))
    return tuple(found)


def _flowed(cells: Sequence["Image.Image"]) -> "Image.Image":
    """Cells side by side, wrapped into rows."""
    from PIL import Image

    places, left, top, row_height = [], GAP_PX, GAP_PX, 0
    for cell in cells:
        if left > GAP_PX and left + cell.width > WIDTH_PX + GAP_PX:
            left, top, row_height = GAP_PX, top + row_height + GAP_PX, 0
        places.append((left, top))
        left, row_height = left + cell.width + GAP_PX, max(row_height, cell.height)
    width = max(left + cell.width for (left, _), cell in zip(places, cells, strict=True)) + GAP_PX
    sheet = Image.new("RGB", (width, top + row_height + GAP_PX), "white")
    for place, cell in zip(places, cells, strict=True):
        sheet.paste(cell, place)
    return sheet
