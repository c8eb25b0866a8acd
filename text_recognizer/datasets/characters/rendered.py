"""Characters drawn with fonts, or written from their strokes: any script; with fonts alone nothing to download."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from text_recognizer.charset import Characters, describe
from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1
from text_recognizer.datasets.characters.pictures import CharacterSample, PictureDataset, PictureSource, given_classes
from text_recognizer.datasets.drawing.changes import Grey, Noise, with_noise
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, characters_of, font
from text_recognizer.datasets.drawing.pen import even_lines, written
from text_recognizer.datasets.formats.stroke_files import Points, read_strokes
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError
from text_recognizer.images.character_form import cut_to
from text_recognizer.settings import given_path
from text_recognizer.wording import counted

PEN = "pen"  # the group of characters drawn with the pen
CHARSETS = {"gb2312-1": GB2312_LEVEL_1}
ASCII = tuple(chr(code) for code in range(33, 127))
_CHARACTERS_A_SOURCE = 256
_TIMES_AS_LARGE = 2  # drawn larger than in the images, so that rotation and slant lose nothing


@dataclass(frozen=True)
class _Drawing(PictureSource):
    """Some characters of one font, drawn from one seed, so that the result does not depend on the process."""

    split: SplitName | None
    font_path: str
    texts: tuple[str, ...]
    repetitions: int
    size: int
    rotation_deg: float
    slant_deg: float
    stroke_px: float
    noise: tuple[Noise, ...]
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts) * self.repetitions

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        random = np.random.default_rng(self.seed)
        face = font(self.font_path, self.size)
        group = Path(self.font_path).stem
        for text in self.texts:
            clean = face.draw(text)
            if not clean.any():
                yield Rejected(f"{group}/{text}", "its font draws nothing for it", text)
                continue
            for number in range(self.repetitions):
                picture = clean if number == 0 else self._changed(clean, random)
                yield CharacterSample(f"{group}/{text}/{number}", text, np.invert(picture[cut_to(picture > 0)]), group)

    def _changed(self, drawn: Grey, random: np.random.Generator) -> Grey:
        """Light ink on black, with random rotation, slant, stroke width and noise."""
        from PIL import Image

        slope = math.tan(math.radians(random.uniform(-self.slant_deg, self.slant_deg)))
        angle = math.radians(random.uniform(-self.rotation_deg, self.rotation_deg))
        padded = np.pad(drawn, max(drawn.shape) // 3)
        height, width = padded.shape
        a, b = math.cos(angle), slope - math.sin(angle)
        d, e = math.sin(angle), math.cos(angle)
        matrix = (a, b, width / 2 - a * width / 2 - b * height / 2, d, e, height / 2 - d * width / 2 - e * height / 2)
        image = Image.fromarray(padded)
        image = image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        steps = round(random.uniform(-self.stroke_px, self.stroke_px) * _TIMES_AS_LARGE)
        picture = np.asarray(image)
        for _ in range(abs(steps)):
            changed = _of_nine(np.maximum if steps > 0 else np.minimum, picture)
            picture = changed if changed.max() > 127 else picture  # never blank
        if self.noise and random.random() < 0.5:
            picture = with_noise(
                picture[cut_to(picture > 0)], self.noise[int(random.integers(len(self.noise)))], random
            )
        return picture


@dataclass(frozen=True)
class _Writing(PictureSource):
    """Some characters drawn with a pen, like a further font."""

    split: SplitName | None
    strokes: tuple[tuple[str, tuple[Points, ...]], ...]
    repetitions: int
    size: int
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.strokes) * self.repetitions

    def samples(self) -> Iterator[CharacterSample | Rejected]:
        random = np.random.default_rng(self.seed)
        for text, strokes in self.strokes:
            lines = even_lines(strokes)
            for number in range(self.repetitions):
                picture = np.invert(written(lines, self.size, random))
                yield CharacterSample(f"{PEN}/{text}/{number}", text, picture, PEN)


@dataclass(eq=False, repr=False)
class RenderedCharactersDataset(PictureDataset):
    """Every character of a charset drawn with fonts; the first drawing of each is clean, the others are changed.

    The test split uses fonts that no training image uses: `test_fonts`, or some of several `fonts`. So does the
    validation split. With a single font, each split has a share of the drawings.

    >>> dataset = RenderedCharactersDataset()  # 94 printable characters of ASCII in the font of Pillow

    Args:
        fonts: TrueType, OpenType or WOFF files; by default the one that Pillow ships. Characters that a font lacks are
            left out of it.
        test_fonts, validation_fonts: fonts used for these splits only.
        charset: a list of characters, a file or bundle that has them, or "gb2312-1" for the 3,755 characters of CASIA
            HWDB1.1; by default the printable characters of ASCII.
        repetitions: drawings of each character with each font.
        rotation_deg: the largest angle by which a drawing is turned.
        slant_deg: the largest angle by which upright strokes lean.
        stroke_px: the most pixels by which strokes become thicker or thinner.
        strokes: a file of the strokes of characters (see datasets.formats.stroke_files). Each is then also written as
            if by hand, every time differently, as in one more font, "pen"; with test_fonts or validation_fonts, for
            training alone.
        written: drawings of each character from its strokes.
        noise: kinds of noise for every other changed drawing: gaussian, poisson, salt, pepper; [] for none.
        seed: seed of all changes.
        test_fraction: share of the fonts (of one font's drawings) held out for the test split without test_fonts.
        validation_fraction: share held out for validation without validation_fonts.
    """

    fonts: tuple[str, ...] = ()
    test_fonts: tuple[str, ...] = ()
    validation_fonts: tuple[str, ...] = ()
    charset: Characters | None = None
    repetitions: Annotated[int, Ge(1), Le(10_000)] = 20
    rotation_deg: Annotated[float, Ge(0), Le(45)] = 6.0
    slant_deg: Annotated[float, Ge(0), Le(45)] = 10.0
    stroke_px: Annotated[float, Ge(0), Le(4)] = 1.0
    strokes: str | None = None
    written: Annotated[int, Ge(1), Le(10_000)] = 8
    noise: tuple[Noise, ...] = ("gaussian", "poisson")
    seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        self._fonts = _paths(self.fonts) or (DEFAULT_FONT,)
        self._strokes = given_path(self.strokes).absolute() if self.strokes else None
        self._changes = (self.rotation_deg, self.slant_deg, self.stroke_px, tuple(self.noise))

    def find_classes(self) -> tuple[str, ...]:
        if self.charset is None:
            return ASCII
        if isinstance(self.charset, str) and self.charset in CHARSETS:
            return CHARSETS[self.charset]
        return given_classes(self.charset, self.label)

    def depends_on(self) -> dict[str, Any]:
        parts = self._fonts_of_splits()
        return {
            "fonts": {str(split): list(paths) for split, paths in parts.items()},
            "state": state_of_files(Path(path) for paths in parts.values() for path in paths),
            "changes": [self.repetitions, *self._changes, self.seed],
            **({"written": self.written, "strokes": state_of_files([self._strokes])} if self._strokes else {}),
        }

    def outlook(self) -> str:
        return f"{counted(sum(map(len, self.sources())), 'image')} to draw"

    def sources(self) -> Sequence[PictureSource]:
        parts = self._fonts_of_splits()
        made: list[PictureSource] = []
        drawable: set[str] = set()
        size = _TIMES_AS_LARGE * self.side
        if self._strokes:
            strokes = read_strokes(self._strokes)
            for texts in _some(text for text in self.classes if text in strokes):
                drawable.update(texts)
                pairs = tuple((text, tuple(strokes[text])) for text in texts)
                made.append(_Writing(next(iter(parts)), pairs, self.written, size, (self.seed, len(made))))
        for split, paths in parts.items():
            for path in paths:
                known = characters_of(path)
                for texts in _some(text for text in self.classes if set(map(ord, text)) <= known):
                    if split in (None, "train"):
                        drawable.update(texts)
                    seed = (self.seed, len(made))
                    made.append(_Drawing(split, path, texts, self.repetitions, size, *self._changes, seed))
        lacking = [text for text in self.classes if text not in drawable]
        if lacking:
            raise DataError(
                f"{self.name}: no font to train on has {counted(len(lacking), 'character')} of the charset: "
                f"{', '.join(map(describe, lacking[:3]))}{', …' if len(lacking) > 3 else ''}. "
                f"Give other fonts, or a charset without them."
            )
        return made

    def _fonts_of_splits(self) -> dict[SplitName | None, tuple[str, ...]]:
        held_out: dict[SplitName | None, tuple[str, ...]] = {
            "validation": self.validation_fonts,
            "test": self.test_fonts,
        }
        parts = {split: _paths(fonts) for split, fonts in held_out.items() if fonts}
        return {"train" if parts else None: self._fonts, **parts}


def _some(texts: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Batches of texts, one per source."""
    left = iter(texts)
    while some := tuple(islice(left, _CHARACTERS_A_SOURCE)):
        yield some


def _of_nine(choose: np.ufunc, picture: Grey) -> Grey:
    """Maximum or minimum over every 3 x 3 pixels; eight times as fast as Pillow's filters."""
    rows = choose(choose(picture[:-2], picture[1:-1]), picture[2:])
    return np.asarray(choose(choose(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))  # (H - 2, W - 2): the margin is wide


def _paths(fonts: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(given_path(path).absolute()) for path in fonts)
