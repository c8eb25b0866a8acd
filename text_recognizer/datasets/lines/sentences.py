"""Sentences to write lines with: made up from a list of words and invented ones, or taken from a user's text file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from text_recognizer.charset import Charset, tidy_text
from text_recognizer.datasets.formats.line_lists import read_text
from text_recognizer.errors import DataError

# Short and long, with every letter in several places; invented words keep a recogniser from learning the list by heart.
_WORD_LIST = """
    a about above across after again age air all almost alone along also always am an and another answer any apple are
    arm army around as ask at away baby back bad bag ball bank bath be bear beauty because bed been before begin behind
    believe bell best better between big bird black blood blue boat body book born both bottom box boy bread break
    breath bridge bright bring broken brother brown build burn busy but buy by call calm came can captain car careful
    carry cat catch centre certain chair chance change cheap chief child choose church circle city class clean clear
    clock close cloth cloud coal coast coat cold colour come common cook cool corn corner cotton could count country
    course cousin cover cow cross cry cup cut dance danger dark daughter day dead deal dear deep desk did different
    dinner do doctor dog done door doubt down dream dress drink drive drop dry duck during dust each ear early earth
    east easy eat edge egg eight either empty end engine enough equal even evening ever every example eye face fact
    fair fall family far farm fast father fear feel feet fellow few field fight figure fill find fine finger fire first
    fish five flat floor flower fly follow food foot for force forest forget form forward found four free fresh friend
    from front fruit full garden gate gave gentle get girl give glad glass go gold good grass great green grey ground
    group grow guess had hair half hall hand happy hard harvest hat have he head hear heart heavy held help her here
    high hill him his hold hole holiday home honest hope horse hot hour house how hundred hurry hurt husband ice idea
    if ill in inch indeed inside into iron is island it jacket job join journey joy judge jump just keep kept key kill
    kind king kitchen knee knew knife know labour lady lake lamp land language large last late laugh law lay lead leaf
    learn least leave left leg lesson let letter level library lie life light like limit line lion list listen little
    live long look lord lose lost lot loud love low luck machine made mail make man many map mark market master match
    may me mean measure meat meet member men middle might mile milk mind mine minute mistake moment money month moon
    more morning most mother mountain mouth move much music must my name narrow nation near neck need never new news
    next nice night nine no noise none noon north nose not nothing now number object ocean of off office often oil old
    on once one only open or orange order other our out over own page paint pair paper parcel park part party pass past
    path pay peace pen people perhaps person picture piece pile place plain plan plant play please pleasure plenty
    pocket point poor possible post pound power press pretty price prince print prison promise proper proud public pull
    pupil pure push put quarter queen question quick quiet quite rain raise ran rather reach read ready real reason red
    remain remember rest result return rice rich ride right ring rise river road rock roll roof room root rope rose
    round row rule run sad safe said sail salt same sand sat save saw say school science sea season seat second secret
    see seed seem sell send sense serve set seven shade shake shall shape sharp she sheep ship shirt shoe shop short
    should shoulder shout show shut sick side sign silence silver simple since sing sister sit six size skin sky sleep
    slow small smell smile smoke snow so soap soft soil soldier some son song soon sorry sound soup south space speak
    special speed spell spend spoke spoon spot spread spring square stage stand star start state station stay steam
    steel step stick still stone stood stop store storm story straight strange street strong study such sudden sugar
    suit summer sun sure surface sweet swim table tail take talk tall taste tea teach tell ten tent than thank that the
    their them then there these they thick thin thing think third this those though thought thousand thread three
    through throw thumb ticket tie till time tin tired title to today together told tomorrow too tooth top total touch
    toward town track trade train tree trip trouble true trust try turn twelve twenty two uncle under unit until up upon
    us use usual valley value very view village visit voice wait walk wall want war warm was wash watch water wave way
    we weak wear weather week weight welcome well went were west wet what wheat wheel when where which while white who
    whole whose why wide wife wild will win wind window wine wing winter wire wise wish with within without woman wonder
    wood wool word work world worth would write wrong yard year yellow yes yesterday yet you young your zebra zero
"""
WORDS = tuple(_WORD_LIST.split())
_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k kn l m n p ph pl pr qu r s sc sh sl sp st str t th tr v w wh x y z"
)
_NUCLEI = "a ai au e ea ee i ie io o oa oo ou u y"
_CODAS = "b ck d ff g gh l ll m mp n nd ng nk nt p r rd rk rn s sh sk ss st t tch th ve x zz"
_SYLLABLES = tuple(part.split() for part in (_ONSETS, _NUCLEI, _CODAS))
_ENDS = ".........??!!::;;"
_INSIDE = ",,,,,,;:-&+*/#"


class SentenceSource:
    """Makes up sentences of a limited length.

    Args:
        characters: what a sentence may hold, each of one or several code points; what is not among them is left out.
            Without the blank, words follow one another without a gap.
        words: runs of words to take; None makes sentences up.
    Raises:
        DataError: there is no character but the blank, or no word that can be written with the characters.
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
        """Sentences of 1 to max_length characters, without blanks at their ends."""
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
        # Cut anywhere: beginnings of words cannot be guessed from the list.
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
        """The beginning of a text, in characters of the charset."""
        return "".join(self._split(text)[:length]).strip()


def _one_of(texts: Sequence[str], random: np.random.Generator) -> str:
    return texts[int(random.integers(len(texts)))]


def words_of(path: Path, encoding: str = "utf-8") -> list[str]:
    """The words of a text file, in order.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    words = tidy_text(read_text(path, encoding), "NFC").split()
    if not words:
        raise DataError(f"{path} holds no words.")
    return words
