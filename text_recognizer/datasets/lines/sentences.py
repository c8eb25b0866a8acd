"""Sentences for generated lines: made of a list of words and invented ones, or taken from a user's text file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.datasets.formats.line_lists import read_text
from text_recognizer.errors import DataError

# Short and long, with every letter in several positions; invented words prevent a recogniser from memorising the list.
WORDS = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())
_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k kn l m n p ph pl pr qu r s sc sh sl sp st str t th tr v w wh x y z"
)
_NUCLEI = "a ai au e ea ee i ie io o oa oo ou u y"
_CODAS = "b ck d ff g gh l ll m mp n nd ng nk nt p r rd rk rn s sh sk ss st t tch th ve x zz"
_SYLLABLES = tuple(part.split() for part in (_ONSETS, _NUCLEI, _CODAS))
_ENDS = ".........??!!::;;"
_INSIDE = ",,,,,,;:-&+*/#"


class SentenceSource:
    """Generates sentences of limited length. Raises DataError: no character except the blank, or no usable word.

    Args:
        characters: allowed characters, each of one or several code points; others are left out. Without the blank,
            words are not separated.
        words: words from which runs are taken; None generates sentences.
    """

    def __init__(self, characters: Iterable[str], words: Sequence[str] | None = None) -> None:
        self.characters = frozenset(characters)
        self._all = sorted(self.characters - {" "})
        if not self._all:
            raise DataError("sentences need characters; the charset has none but the blank.")
        self._split = Charset(self._all).split
        self._gap = " " if " " in self.characters else ""
        self._taken = None if words is None else [word for word in map(self._allowed, words) if word]
        self._known = [word for word in WORDS if self.characters.issuperset(word)]
        if self._taken is not None and not self._taken:
            raise DataError("the text file has no word that can be written with the charset.")

    def sentences(self, count: int, max_length: int, random: np.random.Generator) -> Iterator[str]:
        """Sentences of 1 to max_length characters, without blanks at the ends."""
        for _ in range(count):
            wanted = int(random.integers(max(1, max_length // 3), max_length + 1))
            yield self._taken_words(wanted, random) if self._taken is not None else self._made_up(wanted, random)

    def _taken_words(self, wanted: int, random: np.random.Generator) -> str:
        assert self._taken is not None
        start = int(random.integers(len(self._taken)))
        text, length = self._taken[start], self._length(self._taken[start])
        for step in range(1, len(self._taken)):
            word = self._taken[(start + step) % len(self._taken)]
            length += len(self._gap) + self._length(word)
            if length > wanted:
                break
            text += self._gap + word
        return self._cut(text, wanted)

    def _made_up(self, wanted: int, random: np.random.Generator) -> str:
        if len(self._known) < len(WORDS) / 2:  # another script: any characters
            return "".join(random.choice(self._all, wanted).tolist())
        text = ""
        while len(text) < wanted:
            text += (self._gap if text else "") + self._word(not text, random)
        # Cut anywhere, so that beginnings of words cannot be guessed from the list.
        end = self._allowed(_one_of(_ENDS, random)) if random.random() < 0.6 else ""
        text = self._cut(text, wanted - len(end)) + end
        return text.strip() or self._known[0][:wanted]

    def _word(self, is_first: bool, random: np.random.Generator) -> str:
        kind = random.random()
        if kind < 0.55:
            word = _one_of(self._known, random)
        elif kind < 0.9:
            word = self._invented(random)
        else:
            word = str(random.integers(10 ** int(random.integers(1, 6))))
        shape = random.random()
        if shape < (0.6 if is_first else 0.15):
            word = word.capitalize()
        elif shape > 0.95:
            word = word.upper()
        return self._allowed(self._decorated(word, random)) or _one_of(self._known, random)

    def _invented(self, random: np.random.Generator) -> str:
        onsets, nuclei, codas = _SYLLABLES
        parts = [_one_of(onsets, random) + _one_of(nuclei, random) for _ in range(random.integers(1, 4))]
        return "".join(parts) + (_one_of(codas, random) if random.random() < 0.5 else "")

    def _decorated(self, word: str, random: np.random.Generator) -> str:
        kind = random.random()
        if kind < 0.1:
            return word + _one_of(_INSIDE, random)
        if kind < 0.13:
            return f"{word}'{_one_of(('s', 't', 'll'), random)}"
        if kind < 0.16:
            return f'"{word}"'
        if kind < 0.18:
            return f"({word})"
        if kind < 0.2:
            return f"{word}-{self._invented(random)}"
        return word

    def _allowed(self, text: str) -> str:
        return "".join(character for character in self._split(text) if character in self.characters)

    def _length(self, text: str) -> int:
        return len(self._split(text))

    def _cut(self, text: str, length: int) -> str:
        """The start of a text, in characters of the charset."""
        return "".join(self._split(text)[:length]).strip()


def _one_of(texts: Sequence[str], random: np.random.Generator) -> str:
    return texts[int(random.integers(len(texts)))]


def words_of(path: Path, encoding: str = "utf-8") -> list[str]:
    """The words of a text file, in order. Raises DataError: it cannot be read, or has no words."""
    words = tidy_text(read_text(path, encoding), "NFC").split()
    if not words:
        raise DataError(f"{path} holds no words.")
    return words
