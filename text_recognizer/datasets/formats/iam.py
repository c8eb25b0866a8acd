"""The files of the IAM database: lines.txt, forms.txt, one XML file per form, lists of splits.

Source: Marti and Bunke (2002), "The IAM-database: an English sentence database for offline handwriting recognition".
"""

import html
import re
import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from text_recognizer.datasets.formats.line_lists import read_text
from text_recognizer.datasets.formats.xml_tree import read_xml
from text_recognizer.errors import DataError

Box = tuple[int, int, int, int]  # left, top, width, height

_WHOLE_NUMBER = re.compile("[+-]?[0-9]{1,9}")

# Punctuation that cannot begin a text of Flor et al. (2020), and that cannot end one.
_NOT_FIRST = "!%&),.:;<=>?@\\]^_`|}~"
_NOT_LAST = '"(/<=>@[\\^_`{|~'
_ONE_KIND = {"Pd": "-", "Ps": "(", "Pe": ")"}  # by Unicode category: dashes, opening and closing brackets
_APOSTROPHES = dict.fromkeys(map(ord, "`\u00b4\u02bc\u2018\u2019\u201b\u2032\u2035\uff07"), "'")
_OTHERS = re.compile(rf"[^\w\s{re.escape(string.punctuation)}]")
_SPACED = str.maketrans({mark: f" {mark} " for mark in string.punctuation})
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class IamLine:
    """A line of lines.txt or of a form's XML, with its box in the form's image; is_ok: segmentation marked correct."""

    name: str
    text: str
    is_ok: bool
    box: Box | None

    @property
    def form(self) -> str:
        """a01-000u of a01-000u-03."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class IamForm:
    """A form as in its XML file; width and height in pixels of its image, 0 if the file does not say."""

    name: str
    writer: str
    width: int
    height: int
    lines: tuple[IamLine, ...]


def read_lines_txt(path: Path) -> list[IamLine]:
    """The lines of ascii/lines.txt: words separated by blanks, with punctuation as separate words.

    A row is `a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE|to|stop`: name, segmentation, grey level, number of
    components, box, words. Words may contain blanks.

    Raises:
        DataError: the file cannot be read, or a row is not of this form.
    """
    found = []
    for number, fields in _rows(path):
        numbers = [_WHOLE_NUMBER.fullmatch(field) for field in fields[4:8]]
        if len(fields) < 8 or fields[1] not in ("ok", "err") or not all(numbers):
            raise DataError(
                f"{path}, line {number} is not like 'a01-000u-00 ok 154 19 408 746 1661 89 A|MOVE|to'. "
                f"Received: '{' '.join(fields)[:80]}'."
            )
        x, y, width, height = map(int, fields[4:8])
        box = (x, y, width, height) if width > 0 and height > 0 else None
        found.append(IamLine(fields[0], " ".join(fields[8:]).replace("|", " "), fields[1] == "ok", box))
    return found


def read_forms_txt(path: Path) -> dict[str, str]:
    """The writer of each form: the first two fields of each row of ascii/forms.txt."""
    return {fields[0]: fields[1] for _, fields in _rows(path) if len(fields) >= 2}


def read_form_xml(path: Path) -> IamForm:
    """A form with its texts as the writers copied them. Raises DataError: it is missing or damaged."""
    root = read_xml(path)
    if root.tag != "form":
        raise DataError(f"its XML file is not a form of IAM: {path} begins with <{root.tag}>.")
    lines = []
    for line in root.findall("handwritten-part/line"):
        keys = ("x", "y", "width", "height")
        boxes = [tuple(_whole_number(part, key, path) for key in keys) for part in line.findall("word/cmp")]
        text = _unescaped(line.get("text", ""))  # the quotation marks are escaped twice
        lines.append(IamLine(line.get("id", ""), text, line.get("segmentation", "ok") == "ok", _around(boxes)))
    width, height = _whole_number(root, "width", path), _whole_number(root, "height", path)
    return IamForm(root.get("id", path.stem), root.get("writer-id", ""), width, height, tuple(lines))


def read_split_list(path: Path) -> set[str]:
    """The names of lines or forms in the list of a split: the first word of each row, without folder and ending."""
    return {re.sub(r"\.(png|jpg|tif|txt)$", "", fields[0].rpartition("/")[2]) for _, fields in _rows(path)}


def flor_text(text: str) -> str:
    """A text normalised as for the gated recogniser of Flor et al. (2020).

    One kind of dash, quote and bracket, blanks around every punctuation mark, no punctuation in impossible places.
    """
    plain = _unescaped(text).translate(_APOSTROPHES)
    text = "".join(_ONE_KIND.get(unicodedata.category(character), character) for character in plain)
    text = _OTHERS.sub("", text).lstrip(_NOT_FIRST).rstrip(_NOT_LAST)
    return " ".join(text.translate(_SPACED).split())


def flor_keeps(text: str) -> bool:
    """Whether that recogniser's dataset keeps a line.

    It has more than two characters besides punctuation, and at most one character in ten is a punctuation mark, not
    counting those at both ends.

    Args:
        text: as `flor_text` returns it.
    """
    inside = text.strip(string.punctuation).strip()
    letters = text.translate(_NO_PUNCTUATION).strip()
    return len(letters) > 2 and (len(inside) - len(letters)) / len(inside) <= 0.1


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file that are neither empty nor comments: their numbers, and their fields."""
    for number, row in enumerate(read_text(path).split("\n"), start=1):
        if not row.startswith("#") and (fields := row.split()):
            yield number, fields


def _whole_number(element: Element, key: str, path: Path) -> int:
    value = element.get(key, "0").strip()
    if not _WHOLE_NUMBER.fullmatch(value):
        raise DataError(
            f"its XML file is damaged: {path}: <{element.tag}> has the {key} '{value[:40]}', expected a whole number "
            f"of at most 9 digits."
        )
    return int(value)


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text


def _around(boxes: list[tuple[int, ...]]) -> Box | None:
    """The bounding box of boxes; those without an area do not count."""
    corners = [(x, y, -x - width, -y - height) for x, y, width, height in boxes if width > 0 and height > 0]
    if not corners:
        return None
    left, top, right, bottom = map(min, zip(*corners, strict=True))
    return left, top, -right - left, -bottom - top
