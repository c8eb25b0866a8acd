"""Lines rendered from fonts: any script, any texts, nothing to download."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from text_recognizer.charset import describe, normalized, tidy_text
from text_recognizer.datasets.base import Ink
from text_recognizer.datasets.drawing.changes import Noise, centred, turned, with_noise
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, Font, characters_of, font
from text_recognizer.datasets.formats.lexicon import read_lexicon
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.args import Height, Width
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_form import SourceInk, UnfitImageError
from text_recognizer.images.line_steps import Grey, Step
from text_recognizer.settings import given_path

LINES_A_CHUNK = 256
GENERATED_TEXTS = 2_000
GENERATED_LENGTH = 32
LATIN_LETTERS = 26  # a font with all of them in ASCII is a Latin font
MOST_LETTERS = 200  # of a script in generated texts


@dataclass(frozen=True)
class Rendering:
    """How lines are rendered.

    Args:
        height: height of the images in pixels.
        font_size: size of the em square in an unrotated image; a line that is too high is cropped. None makes it as
            large as fits.
        rotation_deg: a line is rotated by an angle drawn uniformly from -rotation_deg to rotation_deg, then scaled down
            until it fits the height again.
        noise: kinds of noise to draw from, for images with noise.
    """

    height: int
    font_size: int | None = None
    rotation_deg: float = 2.0
    noise: tuple[Noise, ...] = ()
    ink: Ink = "light"

    def draw(self, text: str, font_path: str, is_noisy: bool, random: np.random.Generator) -> Grey:
        """A line (height, W)."""
        line = _clean_line(text, font_path, self.face(font_path).size, self.height)
        if self.rotation_deg:
            line = turned(line, random.uniform(-self.rotation_deg, self.rotation_deg))
        if is_noisy and self.noise:
            line = with_noise(line, self.noise[int(random.integers(len(self.noise)))], random)
        return line if self.ink == "light" else np.invert(line)

    def face(self, font_path: str) -> Font:
        """The font at the size of these lines."""
        return font(font_path, self.font_size or fitting_size(font_path, self.height))


@dataclass(frozen=True)
class RenderedSample(LineSample):
    """An image to be rendered; font_path is empty if no font has all characters of the text."""

    font_path: str = ""
    is_noisy: bool = False


@dataclass(frozen=True)
class RenderedChunk(LineSource):
    """Some lines to be rendered, in order and from one seed, so that the result does not depend on the process."""

    samples: Sequence[RenderedSample]
    rendering: Rendering
    seed: tuple[int, ...]

    is_finished: ClassVar[bool] = True

    def read(self, position: int) -> Grey:
        picture = self._pictures[position]
        if isinstance(picture, str):
            raise UnfitImageError(picture)
        return picture

    @cached_property
    def _pictures(self) -> list[Grey | str]:
        random = np.random.default_rng(self.seed)
        return [one.problem or self._picture(one, random) for one in self.samples]

    def _picture(self, one: RenderedSample, random: np.random.Generator) -> Grey | str:
        if empty := self.rendering.face(one.font_path).draws_nothing_for(one.text):
            return f"its font draws nothing for some characters: {', '.join(map(describe, empty))}"
        return self.rendering.draw(one.text, one.font_path, one.is_noisy, random)


@dataclass(eq=False, repr=False)
class RenderedLinesDataset(LineDataset):
    """Texts drawn with fonts: turned a little, with and without noise.

    Whatever the repetitions, all images of one text go into one split. Fonts are checked before anything is drawn: a
    text is drawn with the fonts that have all its characters, and rejected by name if there is none.

    Args:
        texts: a file with one text a line, after a tab perhaps how often it occurs, like THUOCL_poem.txt; by default
            2,000 made-up texts: English-looking ones, or strings of letters of the script of fonts without Latin ones.
        fonts: TrueType, OpenType or WOFF files, drawn from evenly for each image; by default that of Pillow.
        num_texts: how many of the texts to use, or to make up; null is all of them.
        by_count: draw the texts to use with probabilities like their counts, instead of evenly; rows whose count
            cannot be read are not drawn.
        repetitions: images of each text; with noise, each is drawn clean and noisy.
        noise: kinds of noise for the noisy images: gaussian, poisson, salt, pepper; [] draws only clean images.
        rotation_deg: the largest angle by which a line is turned.
        font_size: size of the em square in pixels; null makes it as large as the height allows.
        encoding: encoding of the text file.
        seed: seed of texts, fonts, angles and noise.
    """

    recipe_version = 2

    texts: str | None = None
    fonts: tuple[str, ...] = ()
    num_texts: Annotated[int, Ge(3)] | None = None
    by_count: bool = False
    repetitions: Annotated[int, Ge(1), Le(10_000)] = 1
    noise: tuple[Noise, ...] = ("gaussian", "poisson", "salt", "pepper")
    rotation_deg: Annotated[float, Ge(0), Le(45)] = 2.0
    font_size: Annotated[int, Ge(4), Le(1024)] | None = None
    encoding: str = "utf-8"
    height: Height = field(default=32, kw_only=True)
    max_width: Width | None = field(default=None, init=False)
    source_ink: SourceInk = field(default="auto", init=False)
    preprocessing: tuple[Step, ...] = field(default=(), init=False)
    seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by_count and (self.texts is None or self.num_texts is None):
            raise SpecError(
                "by_count draws num_texts texts from a file of texts with counts: give texts and num_texts."
            )
        self.lexicon = given_path(self.texts) if self.texts else None
        self._fonts = tuple(str(given_path(path)) for path in self.fonts) or (DEFAULT_FONT,)
        self.rendering = Rendering(self.height, self.font_size, self.rotation_deg, self.noise, self.ink)

    def depends_on(self) -> dict[str, Any]:
        rendering = self.rendering
        return {
            **self.texts_key,
            "repetitions": self.repetitions,
            "rendering": [rendering.font_size, rendering.rotation_deg, rendering.noise],
        }

    @property
    def texts_key(self) -> dict[str, Any]:
        return {
            "texts": state_of_files([self.lexicon]) if self.lexicon else None,
            "encoding": self.encoding,
            "fonts": state_of_files(Path(path) for path in self._fonts),
            "num_texts": self.num_texts,
            "by_count": self.by_count,
            "seed": self.seed,
            "normalization": self.normalization,
            "max_length": None if self.lexicon else self.max_length,
        }

    def sources(self) -> Iterator[RenderedChunk]:
        samples = list(self._samples())
        for number, first in enumerate(range(0, len(samples), LINES_A_CHUNK)):
            yield RenderedChunk(samples[first : first + LINES_A_CHUNK], self.rendering, (self.seed, 2, number))

    def _samples(self) -> Iterator[RenderedSample]:
        random = np.random.default_rng([self.seed, 1])
        for index, (text, fonts, problem) in enumerate(self._entries):
            if problem:
                yield RenderedSample(f"{index}", text, text, problem=problem)
                continue
            for repetition in range(self.repetitions):
                for is_noisy in (False, True) if self.rendering.noise else (False,):
                    path = fonts[int(random.integers(len(fonts)))]
                    name = f"{index}/{repetition}_{int(is_noisy)}"
                    yield RenderedSample(name, text, text, font_path=path, is_noisy=is_noisy)

    def _all_texts(self) -> list[str]:
        return [text for text, _, problem in self._entries if not problem]

    @cached_property
    def _entries(self) -> list[tuple[str, tuple[str, ...], str]]:
        """The texts to render, with the fonts that have all their characters, or why there is none."""
        known = [(path, characters_of(path)) for path in self._fonts]
        return [_entry(tidy_text(text, self.normalization), problem, known) for text, problem in self._chosen()]

    def _chosen(self) -> Sequence[tuple[str, str]]:
        """Texts, and why a row of the file is not usable."""
        random = np.random.default_rng([self.seed, 0])
        if self.lexicon is None:
            count = self.num_texts or GENERATED_TEXTS
            longest = self.max_length or GENERATED_LENGTH
            source = SentenceSource(_alphabet(self._fonts))
            found = dict.fromkeys(text for text in source.sentences(2 * count, longest, random))
            return [(text, "") for text in list(found)[:count]]
        entries = read_lexicon(self.lexicon, self.encoding)
        drawable = sum(not entry.problem for entry in entries) if self.by_count else len(entries)
        if self.num_texts is None or self.num_texts >= drawable:
            return [(entry.text, entry.problem) for entry in entries]
        weights = None
        if self.by_count:
            counts = np.array([0.0 if entry.problem else max(1, entry.count) for entry in entries])
            weights = counts / counts.sum()
        chosen = np.sort(random.choice(len(entries), self.num_texts, replace=False, p=weights))
        return [(entries[row].text, entries[row].problem) for row in chosen.tolist()]


def _alphabet(fonts: Sequence[str]) -> list[str]:
    """Printable ASCII, or letters of the script that the fonts share. Raises DataError: they share no letters."""
    known = characters_of(fonts[0]).intersection(*map(characters_of, fonts))
    letters = [chr(code) for code in sorted(known) if chr(code).isalpha()]
    if sum(map(str.isascii, letters)) >= LATIN_LETTERS:
        return [chr(code) for code in sorted(known) if 32 <= code < 127]
    # Compatibility forms (ligatures, positional forms of letters) do not occur in texts.
    letters = [letter for letter in letters if normalized(letter, "NFKC") == letter]
    scripts = Counter(map(_script, letters))
    if not scripts:
        raise DataError(
            f"the {'font has' if len(fonts) == 1 else 'fonts share'} no letters to make up texts of: "
            f"{', '.join(map(str, fonts))}. Give texts, a file with one text a line, or other fonts."
        )
    script = min(scripts, key=lambda one: (-scripts[one], one))
    return [letter for letter in letters if _script(letter) == script][:MOST_LETTERS]


def _script(letter: str) -> str:
    """The script of a letter: the first word of its Unicode name, like HEBREW or CJK."""
    return unicodedata.name(letter, "unnamed").split()[0]


def _entry(text: str, problem: str, fonts: Sequence[tuple[str, frozenset[int]]]) -> tuple[str, tuple[str, ...], str]:
    codes = set(map(ord, text))
    able = tuple(path for path, known in fonts if codes <= known)
    if not problem and not able:
        fewest = min((codes - known for _, known in fonts), key=len)
        lacking = ", ".join(describe(chr(code)) for code in sorted(fewest)[:3])
        problem = f"no font has all its characters: {lacking}{', …' if len(fewest) > 3 else ''}"
    return text, able, problem


@lru_cache(maxsize=16)  # repetitions of a text are consecutive
def _clean_line(text: str, font_path: str, size: int, height: int) -> Grey:
    line = centred(font(font_path, size).draw(text), height)
    line.flags.writeable = False
    return line


@lru_cache(maxsize=64)
def fitting_size(font_path: str, height: int) -> int:
    """The largest size at which the font's line fits the height of an image."""
    size = max(4, height)
    while size > 4 and Font(font_path, size).height > height:
        size -= 1
    return size
