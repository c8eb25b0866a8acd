"""Lists of line images with their texts: sample.txt, tables with a header, JSON.

sample.txt            `pic/7/14_0.jpg the text`, one per line; a blank or a tab ends the file name
.tsv, .csv            a header with columns like file (or id), text, split, writer, page
.json, .jsonl         objects with the same keys, in a list or one per line
a folder              with one of these, or with folders Train, Validation, Test with a sample.txt each
.gt.txt               a text file for each image, as used by kraken, Calamari and Tesseract: 1.gt.txt beside 1.png
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.storage.file_states import files_below
from text_recognizer.errors import DataError, reason, system_errors
from text_recognizer.images.grey import SUFFIXES
from text_recognizer.json_text import parse_json_text
from text_recognizer.wording import counted, did_you_mean

FILE_KEYS = ("file", "image", "filename", "file_name", "path", "image_path", "id", "name")
TEXT_KEYS = ("text", "label", "transcription", "transcript", "sentence")
SPLIT_KEYS = ("split", "subset", "set", "partition")
SPLITS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "tr", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "va", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "te", "eval"), "test"),
}
ENCODING_ADVICE = "Set dataset_args.encoding to what it is, for example 'gb18030', 'latin-1' or 'utf-16'."
# Python codecs that are not encodings of text files; one takes quadratic time.
_NO_TEXT_FILES = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
PAIR_ENDING = ".gt.txt"
_END = "\0 end"  # a row after the last one of a CSV file
_ENDINGS = (".json", ".jsonl", ".tsv", ".csv", ".txt")
_STEMS = ("sample", "samples", "lines", "line", "list", "images", "labels", "metadata", "index")
_FILE_END = re.compile(f"(?:{'|'.join(map(re.escape, SUFFIXES))})(?=\\s|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ListedLine:
    """One entry of a list.

    Args:
        file: file name as in the list.
        split: split given by the list, "" if none.
        about: all other columns: writer, page, …
        problem: why the entry cannot be used.
    """

    file: str
    text: str
    split: SplitName | str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class LineList:
    """A list and the base folder of its files."""

    path: Path
    lines: tuple[ListedLine, ...]

    @property
    def columns(self) -> list[str]:
        """The columns besides file, text and split."""
        return list(dict.fromkeys(key for line in self.lines for key in line.about))


def find_lists(path: Path) -> list[tuple[Path, SplitName | str]]:
    """The list files, with the splits given by folder names. Raises DataError: there is none, or several."""
    if path.is_file():
        refuse_packed([path])
        return [(path, "")]
    if not path.exists():
        raise DataError(f"there is no list of lines {path}.")
    inside = sorted(path.iterdir())
    by_split: list[tuple[Path, SplitName | str]] = [
        (folder / "sample.txt", SPLITS[folder.name.lower()])
        for folder in inside
        if folder.name.lower() in SPLITS and (folder / "sample.txt").is_file()
    ]
    if by_split:
        return by_split
    found = [one for one in inside if one.suffix.lower() in _ENDINGS and one.stem.lower() in _STEMS]
    if not found and text_files(path):
        return [(path, "")]
    if not found:
        refuse_packed(inside)
    if len(found) != 1:
        listed = ", ".join(one.name for one in found) or "none"
        raise DataError(
            f"{path} must hold one list of lines (sample.txt, lines.tsv, lines.csv, lines.json), folders Train and "
            f"Test with a sample.txt each, or a {PAIR_ENDING} for each image. Found: {listed}. Give the path of the "
            f"list itself."
        )
    return [(found[0], "")]


def refuse_packed(files: Iterable[Path]) -> None:
    """Raises DataError for an archive, and for a data set that kraken compiled: what it was made from can be read."""
    files = list(files)
    if archive := next((one for one in files if one.suffix.lower() == ".zip"), None):
        raise DataError(f"{archive} is an archive. Unpack it and give the folder: `unzip ARCHIVE -d FOLDER`.")
    if compiled := next((one for one in files if one.suffix.lower() == ".arrow"), None):
        raise DataError(
            f"{compiled} is a data set compiled by kraken, which cannot be read. Give what `ketos compile` made it "
            f"from: ALTO or PAGE XML files (AltoLinesDataset), or images with {PAIR_ENDING} files (LineListDataset)."
        )


def text_files(folder: Path) -> list[Path]:
    """The files in and below a folder that contain the text of one image each."""
    return [file for file in files_below(folder) if file.name.endswith(PAIR_ENDING)]


def read_line_list(path: Path, encoding: str = "utf-8") -> LineList:
    """The entries of one list. Raises DataError: unreadable, of another encoding, without files or texts.

    Args:
        path: the list; for a folder, its text files are the list.
    """
    if path.is_dir():
        return LineList(
            path / f"*{PAIR_ENDING}", tuple(_from_text_file(file, path, encoding) for file in text_files(path))
        )
    text = read_text(path, encoding, ENCODING_ADVICE)
    ending = path.suffix.lower()
    # Not splitlines: texts may contain other Unicode separators.
    rows = [row for row in re.split(r"\r\n|\n|\r", text) if row.strip()]
    if ending in (".json", ".jsonl"):
        lines: Iterable[ListedLine] = _from_json(text, rows, path)
    elif ending == ".csv":
        lines = _from_table(_csv_rows(text, path), path)
    elif ending == ".tsv" or (rows and _is_header(rows[0].split("\t"))):
        lines = _from_table([row.split("\t") for row in rows], path)
    else:
        by_tab = all("\t" in row for row in rows)
        lines = (_from_sample_row(row, by_tab) for row in rows)
    return LineList(path, tuple(lines))


def read_text(path: Path, encoding: str = "utf-8", advice: str = "Convert it to UTF-8.") -> str:
    """Reads a text file without its byte order mark. Raises DataError: it cannot be read, or is of another encoding.

    Args:
        advice: what to do about another encoding, for messages.
    """
    with system_errors(f"read {path}"):
        content = path.read_bytes()
    try:
        codec = codecs.lookup(encoding).name
        if codec in _NO_TEXT_FILES:
            raise LookupError
        return content.decode("utf-8-sig" if codec == "utf-8" else codec)
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {number} is not {encoding} text: {error.reason}. {advice}") from None
    except (LookupError, ValueError):  # base64 and the like; a name with a null character or half a surrogate pair
        shown = encoding[:40].encode("unicode_escape").decode()
        raise DataError(f"there is no encoding '{shown}'. Common ones: utf-8, gb18030, latin-1, utf-16.") from None


def read_json(path: Path) -> Any:
    """Parses a JSON file. Raises DataError: it cannot be read, or is not JSON."""
    return _parsed(read_text(path), str(path))


def _from_text_file(file: Path, folder: Path, encoding: str) -> ListedLine:
    name = file.relative_to(folder)
    split = next((SPLITS[part.lower()] for part in name.parts[:-1] if part.lower() in SPLITS), "")
    try:
        text, problem = read_text(file, encoding, ENCODING_ADVICE).strip(), ""
    except DataError as error:
        text, problem = "", reason(error)
    return ListedLine(name.as_posix().removesuffix(PAIR_ENDING), text, split, problem=problem)


def _csv_rows(text: str, path: Path) -> list[list[str]]:
    first, _, _ = text.partition("\n")
    # Spreadsheets write semicolons if the comma is the decimal mark.
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(f"{text}\n{_END}", newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    number, why = 1, "a quotation mark is never closed"
    try:
        for row in reader:
            if row == [_END]:
                return rows
            if row and row[-1].endswith(_END):  # the rest of the file is in quotes
                row[-1] = row[-1].removesuffix(_END).rstrip("\r\n")
                if "\n" in row[-1] or "\r" in row[-1]:
                    break
                return [*rows, row]  # nothing but the end of its row is missing
            rows += [row] if row else []
            number = reader.line_num + 1
    except csv.Error as error:
        why = f"{reason(error)}, perhaps because {why}"
    raise DataError(f'{path}, line {number}: {why}. In a text in quotes, a quotation mark is written twice: "".')


def _from_sample_row(row: str, by_tab: bool) -> ListedLine:
    """File and text of a row, split at the end of the file name.

    Names and texts may contain blanks, and texts tabs. So a tab ends the name if an image's ending is right before it;
    otherwise the name ends with the first such ending. Names without an ending stop at the tab if all rows of the list
    have one, otherwise at the first blank.

    Args:
        by_tab: whether every row of the list has a tab.
    """
    row = row.strip(" ")
    before, _, after = row.partition("\t")
    ends = [found.end() for found in _FILE_END.finditer(before)]
    if ends:
        is_whole_name = ends[-1] == len(before.rstrip()) and (by_tab or len(ends) == 1)
        end = len(before) if is_whole_name else ends[0]
        return ListedLine(row[:end].strip(), row[end:].strip())
    if not by_tab:
        before, *rest = re.split(r"[ \t]", row, maxsplit=1)
        after = "".join(rest)
    return ListedLine(before.strip(), after.strip())


def _from_table(rows: Sequence[Sequence[str]], path: Path) -> Iterator[ListedLine]:
    if not rows:
        return
    has_header = _is_header(rows[0])
    # Only a header has no file if the row below it has one.
    is_unknown = not _names_picture(rows[0]) and any(map(_names_picture, rows[1:2]))
    if not has_header and (len(rows[0]) != 2 or is_unknown):
        raise DataError(
            f"{path} has no header: expected a column of files ({', '.join(FILE_KEYS)}) and one of texts "
            f"({', '.join(TEXT_KEYS)}); others, like {SPLIT_KEYS[0]} and writer, may follow. "
            f"Received: {', '.join(rows[0])[:120]}."
        )
    header = [cell.strip().lower() for cell in rows[0]] if has_header else ["file", "text"]
    for row in rows[has_header:]:
        if len(row) == len(header):
            yield _from_object(dict(zip(header, row, strict=True)), path)
        else:
            found = f"its row has {counted(len(row), 'cell')}, expected {len(header)}"
            yield ListedLine(row[0].partition("\n")[0][:200], "", problem=found)


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.strip().lower() for cell in cells}
    return bool(names & set(FILE_KEYS)) and bool(names & set(TEXT_KEYS))


def _names_picture(cells: Sequence[str]) -> bool:
    return any(cell.strip().lower().endswith(SUFFIXES) for cell in cells)


def _from_json(text: str, rows: Sequence[str], path: Path) -> Iterator[ListedLine]:
    if path.suffix.lower() == ".jsonl":
        values = [_parsed(row, f"{path}, entry {number}") for number, row in enumerate(rows, start=1)]
    else:
        values = _parsed(text, str(path))
    if not isinstance(values, list):
        raise DataError(f"{path} must hold a list of objects with file and text.")
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise DataError(f"{path}, entry {number} is not an object. Received: {str(value)[:80]}.")
        yield _from_object({str(key).lower(): item for key, item in value.items()}, path, number)


def _parsed(text: str, place: str) -> Any:
    try:
        return parse_json_text(text)
    except ValueError as error:
        raise DataError(f"{place} is not JSON: {reason(error)}.") from None


def _from_object(value: Mapping[str, Any], path: Path, number: int = 0) -> ListedLine:
    file_key, text_key, split_key = (
        next((key for key in keys if key in value), None) for keys in (FILE_KEYS, TEXT_KEYS, SPLIT_KEYS)
    )
    if file_key is None:
        raise DataError(f"{path}, entry {number} names no file. Expected one of the keys {', '.join(FILE_KEYS)}.")
    split = str(value[split_key] or "").strip() if split_key else ""
    if split and split.lower() not in SPLITS:
        raise DataError(
            f"{path}: there is no split '{split}'.{did_you_mean(split, SPLITS)} Known: train, validation, test."
        )
    if value[file_key] in (None, ""):
        return ListedLine(f"entry {number}" if number else "", "", problem="its entry names no file")
    text = value[text_key] if text_key else None
    named = {file_key, text_key, split_key}
    problem = "its entry has no text" if text_key is None else ""
    if isinstance(text, (list, dict)):
        text, problem = None, f"the text of its entry is {'a list' if isinstance(text, list) else 'an object'}"
    return ListedLine(
        str(value[file_key]),
        "" if text is None else str(text),
        SPLITS[split.lower()] if split else "",
        {key: str(item) for key, item in value.items() if key not in named and isinstance(item, (str, int))},
        problem,
    )
