"""Lines composed of single handwritten characters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from text_recognizer.charset import Characters, Charset
from text_recognizer.datasets.base import SPLIT_NAMES, SplitName
from text_recognizer.datasets.characters.base import SubsampleFraction
from text_recognizer.datasets.characters.emnist import BYCLASS, EmnistDataset, Orientation
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, characters_of, font
from text_recognizer.datasets.formats.hdf5_lines import FSDL_SYMBOLS
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.args import Length
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.sentences import SentenceSource, words_of
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_steps import Grey
from text_recognizer.settings import given_path
from text_recognizer.wording import received

SIDE = 28
LINES_A_CHUNK = 256
Overlap = Annotated[float, Ge(0), Le(0.9)]
Count = Annotated[int, Ge(1), Le(10_000_000)]

_DRAWN_VARIANTS = 24  # rendered variants of each character without handwritten examples, in each split


class EmnistLinesDataset(LineDataset):
    """Sentences written with the characters of EMNIST: a new glyph for every occurrence, overlapping by chance.

    Glyphs of training, validation and test lines are those of EMNIST's splits. Characters that it lacks (punctuation)
    are drawn with a font, turned and shifted a little. The sentences are made up from a list of words, invented words,
    numbers and punctuation; or they are runs of words of a text file, of which each split gets its own part.

    Args:
        max_length: maximum number of characters of a sentence; images are 28 pixels wide for each.
        min_overlap, max_overlap: share of its width by which a glyph reaches into the one before, drawn for every
            line.
        num_train, num_test, num_validation: lines of each split.
        source, orientation: of the glyphs' files, as for EmnistDataset.
        texts: a text file from which sentences are taken.
        charset: as for LineListDataset. By default letters, digits, blank and !"#&'()*+,-./:;?
        seed: seed of sentences, glyphs and overlaps.
        subsample_fraction: keep this share of the lines of every split, chosen at random.
    """

    processes = 1  # faster than sending the glyphs to other processes

    def __init__(
        self,
        max_length: Length = 34,
        min_overlap: Overlap = 0.0,
        max_overlap: Overlap = 0.33,
        num_train: Count = 10_000,
        num_test: Count = 1_000,
        num_validation: Count = 1_000,
        source: str = "emnist",
        orientation: Orientation = "transposed",
        texts: str | None = None,
        charset: Characters | None = None,
        seed: Annotated[int, Ge(0)] = 0,
        subsample_fraction: SubsampleFraction | None = None,
    ) -> None:
        if min_overlap > max_overlap:
            raise SpecError(f"min_overlap must be at most max_overlap, {max_overlap}. {received(min_overlap)}")
        super().__init__(
            height=SIDE,
            max_width=None,
            width=SIDE * max_length,
            preprocessing=(),
            charset=charset,
            normalization="none",
            max_length=max_length,
            subsample_fraction=subsample_fraction,
        )
        self.glyphs = EmnistDataset(source=source, orientation=orientation)
        self.longest = max_length
        self.overlaps = (min_overlap, max_overlap)
        self.counts: dict[SplitName, int] = {"train": num_train, "validation": num_validation, "test": num_test}
        self.texts = given_path(texts) if texts else None
        self.seed = seed

    def fetch(self) -> None:
        self._words()  # reports a mistake in the file of texts before anything is downloaded
        self.glyphs.prepare()

    def scan(self) -> tuple[Charset, int]:
        return self.given_charset or Charset(sorted(FSDL_SYMBOLS[:-1])), self.longest

    def depends_on(self) -> dict[str, Any]:
        characters = self.scan()[0].characters
        return {
            "glyphs": self.glyphs.depends_on(),
            # If joined, characters of several code points would be ambiguous.
            "characters": "".join(characters) if max(map(len, characters), default=1) == 1 else list(characters),
            "max_length": self.max_length,
            "overlaps": self.overlaps,
            "counts": self.counts,
            "texts": state_of_files([self.texts]) if self.texts else None,
            "seed": self.seed,
        }

    def sources(self) -> Iterator[LineSource]:
        charset, _ = self.scan()
        words = self._words()
        for index, name in enumerate(SPLIT_NAMES):
            random = np.random.default_rng([self.seed, index])
            glyphs = _GlyphCase(self.glyphs, name, charset, random)
            sentences = SentenceSource(charset.characters, None if words is None else words[name])
            texts = sentences.sentences(self.counts[name], self.longest, random)
            samples = [LineSample(f"{name}-{row:06d}", text, split=name) for row, text in enumerate(texts)]
            for start in range(0, len(samples), LINES_A_CHUNK):
                yield _Chunk(samples[start : start + LINES_A_CHUNK], glyphs, self.overlaps, random)

    def _words(self) -> dict[SplitName, list[str]] | None:
        """The words of the text file: eight tenths for training, one tenth each for validation and test."""
        if self.texts is None:
            return None
        words = words_of(self.texts)
        if len(words) < 10:
            raise DataError(f"{self.texts} has {len(words)} words, expected at least 10.")
        first, second = len(words) * 8 // 10, len(words) * 9 // 10
        return {"train": words[:first], "validation": words[first:second], "test": words[second:]}


@dataclass(frozen=True)
class _Chunk(LineSource):
    """Some lines of a split, drawn in order with the split's random generator."""

    glyphs: "_GlyphCase"
    overlaps: tuple[float, float]
    random: np.random.Generator

    is_finished: ClassVar[bool] = True

    def read(self, position: int) -> Grey:
        step = SIDE - int(self.random.uniform(*self.overlaps) * SIDE)
        return joined_glyphs(self.glyphs.of(self.samples[position].text, self.random), step)


class _GlyphCase:
    """The glyphs of a split by character, or rendered ones. Raises DataError: a character has neither."""

    def __init__(self, dataset: EmnistDataset, split: SplitName, charset: Charset, random: np.random.Generator) -> None:
        characters = charset.characters
        self._written = dataset.split(split)
        labels = self._written.labels
        by_class = {BYCLASS[label]: np.flatnonzero(labels == label) for label in np.unique(labels)}
        drawn = [" ", *(one for one in characters if one not in by_class and one != " ")]
        if no_glyph := [one for one in drawn if not characters_of(DEFAULT_FONT).issuperset(map(ord, one))]:
            raise DataError(
                f"EmnistLinesDataset: {dataset.table} has no examples of {' '.join(no_glyph)}, nor has the font that "
                f"draws what it lacks. Use a charset without them, or RenderedLinesDataset with a font of yours."
            )
        self._drawn = np.concatenate([drawn_variants(one, random) for one in drawn])
        for index, one in enumerate(drawn):
            by_class[one] = len(labels) + index * _DRAWN_VARIANTS + np.arange(_DRAWN_VARIANTS)
        self._members = np.concatenate([by_class[one] for one in characters])
        self._counts = np.array([len(by_class[one]) for one in characters])
        self._first = np.cumsum(self._counts) - self._counts
        self._rows = {character: row for row, character in enumerate(characters)}
        self._split = charset.split

    def of(self, text: str, random: np.random.Generator) -> NDArray[np.uint8]:
        """(characters, 28, 28) a new glyph for each character."""
        rows = np.array([self._rows[character] for character in self._split(text)])
        chosen = self._members[self._first[rows] + random.integers(self._counts[rows])]
        glyphs = np.empty((len(chosen), SIDE, SIDE), np.uint8)
        is_written = chosen < len(self._written)
        glyphs[is_written] = self._written.batch(chosen[is_written])["image"][..., 0]
        glyphs[~is_written] = self._drawn[chosen[~is_written] - len(self._written)]
        return glyphs


def joined_glyphs(glyphs: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Glyphs (N, H, W) in a line, one every `step` pixels; overlapping ink adds up to at most 255."""
    count, height, width = glyphs.shape
    line = np.zeros((height, (count - 1) * step + width), np.uint8)
    for index, glyph in enumerate(glyphs):
        place = line[:, index * step : index * step + width]
        place += np.minimum(glyph, 255 - place)
    return line


def drawn_variants(character: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """(variants, 28, 28) images of a character in a font, with different size, position, rotation and thickness."""
    from PIL import Image, ImageFilter

    variants = []
    for _ in range(_DRAWN_VARIANTS):
        face = font(DEFAULT_FONT, int(random.integers(20, 29)))
        drawn = Image.fromarray(face.draw(character))
        canvas = Image.new("L", (SIDE, SIDE))
        # The baseline of EMNIST's letters is about six pixels above the lower edge.
        left = (SIDE - drawn.width) // 2 + int(random.integers(-2, 3))
        canvas.paste(drawn, (left, 22 - face.ascent + int(random.integers(-1, 2))))
        turned = canvas.rotate(random.uniform(-12, 12), Image.Resampling.BILINEAR)
        thick = turned.filter(ImageFilter.MaxFilter(3)) if random.random() < 0.3 else turned
        variants.append(np.asarray(thick.filter(ImageFilter.GaussianBlur(0.6))))
    return np.stack(variants)
