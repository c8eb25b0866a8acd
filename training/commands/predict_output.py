"""The output of `text-recognizer predict`: text, JSON, or a document."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, SpecError, system_errors
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.documents import DOCUMENTS
from text_recognizer.predictors.given_page import GivenPage
from text_recognizer.predictors.paragraph import LineOfText, PageReading
from text_recognizer.whole_files import replace_file
from training.commands.predict_sources import Source

SUFFIXES = {"text": ".txt", "json": ".json", "alto": ".xml", "page": ".xml", "hocr": ".hocr"}
FORMATS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Reading:
    """The reading of a source.

    Args:
        prediction: reading of one line or character; None for a page.
        page: the lines of a page, or a page with a single line; None for a character.
        time_ms: time per line, or for the character.
        given: the page with given lines.
    """

    source: Source
    prediction: Prediction | None
    page: PageReading | None
    time_ms: float
    given: GivenPage | None = None


@dataclass(frozen=True)
class Output:
    """How readings are printed or written.

    Args:
        format: None for text, or for the XML file of a page with given lines.
        folder: output folder; None for standard output.
        alternatives, confidence: whether texts list alternatives, and the confidence of each word.
        names_pages: whether the text of a page is preceded by its name.
        overwrites: whether existing files may be replaced.
    """

    format: str | None
    folder: Path | None
    alternatives: bool = False
    confidence: bool = False
    names_pages: bool = False
    overwrites: bool = False

    def check(self, sources: Sequence[Source]) -> None:
        """Checks, before anything is read, that no two results go to the same file.

        Raises:
            SpecError: several documents would be printed to standard output.
            DataError: a file would be written twice, over an input, or over an existing file without --overwrite.
        """
        if self.folder is None:
            documents = [one for one in sources if self._format_of(one) in ("alto", "page", "hocr")]
            if documents and len(sources) > 1:
                raise SpecError(f"{len(sources)} documents cannot be printed together. Add --output FOLDER.")
            return
        taken = {realpath(one.path): one.name for one in sources if one.path is not None}
        for source in sources:
            path = self._path(source)
            other = taken.setdefault(realpath(path), source.name)
            if other != source.name or realpath(path) == (source.path and realpath(source.path)):
                raise DataError(
                    f"the output for {source.name} would overwrite that for {other}, {path}. "
                    f"Choose another --output folder, or other names."
                )
            if path.exists() and not self.overwrites:  # often a transcription, or a reading corrected by hand
                raise DataError(f"{path} already exists. Choose another --output folder, or add --overwrite.")

    def show(self, reading: Reading) -> None:
        """Prints a reading or writes its file. Raises DataError: the file cannot be written."""
        content = self._content(reading)
        if self.folder is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return
        path = self._path(reading.source)
        with system_errors(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, lambda file: file.write(content))

    def _path(self, source: Source) -> Path:
        assert self.folder is not None
        return self.folder / f"{source.place}{SUFFIXES[self._format_of(source)]}"

    def _format_of(self, source: Source) -> str:
        return self.format or ("alto" if source.is_xml else "text")

    def _content(self, reading: Reading) -> bytes:
        given, page = reading.given, reading.page
        if given is not None and self.format in (None, given.format):
            return given.filled()
        kind = self.format or "text"
        if kind in DOCUMENTS:
            assert page is not None  # documents of single characters were refused before
            image = given.image if given is not None else reading.source.path or Path(reading.source.name)
            return DOCUMENTS[kind](page, image.name).encode()
        if kind == "json":
            return (json.dumps(_to_json(reading), ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")
        return "".join(f"{line}\n" for line in self._text_lines(reading)).encode("utf-8", "surrogateescape")

    def _text_lines(self, reading: Reading) -> Iterator[str]:
        name = reading.source.name
        if (one := reading.prediction) is not None:
            if self.folder is not None and not (self.alternatives or self.confidence):
                yield one.text
                return
            asked = self.alternatives or self.confidence
            others = "" if asked else ", ".join(f"{text} {sure:.3f}" for text, sure in one.alternatives[1:3])
            yield f"{name}: {one.text}  {_sureness(one)}" + (f"  (or {others})" if others else "")
            yield from self._details(one)
            return
        if self.names_pages:
            yield f"{name}:"
        lines = reading.page.lines if reading.page is not None else ()
        for line in lines:
            one = line.prediction
            yield one.text + (f"  {_sureness(one)}" if self.confidence else "")
            yield from self._details(one)
        if not lines and self.folder is None:
            yield "(no lines found)"

    def _details(self, prediction: Prediction) -> Iterator[str]:
        if self.alternatives:
            yield from (f"  {confidence:.3g}\t{text}" for text, confidence in prediction.alternatives)
        if self.confidence:
            yield from (f"  {word.confidence:.3f}\t{word.text}" for word in prediction.words)


def _sureness(prediction: Prediction) -> str:
    """The confidence, and the expected error rate of a calibrated line: a long line is seldom entirely right."""
    expected = "" if prediction.expected_cer is None else f", expected CER {prediction.expected_cer:.3f}"
    return f"{prediction.confidence:.3f}{expected}"


def _to_json(reading: Reading) -> dict[str, Any]:
    row: dict[str, Any] = {"image": reading.source.name}
    time = {"time_ms": round(reading.time_ms, 2)}
    if reading.prediction is not None:
        return {**row, **_prediction_json(reading.prediction), **time}
    assert reading.page is not None
    lines = [
        {name: getattr(line, name) for name in ("box", "baseline", "polygon")}
        | _prediction_json(line.prediction, line)
        | time
        for line in reading.page.lines
    ]
    problems = {} if reading.given is None else {"problems": reading.given.problems}
    return {**row, "text": reading.page.text, "lines": lines, **problems}


def _prediction_json(prediction: Prediction, line: LineOfText | None = None) -> dict[str, Any]:
    """The reading with the positions of words and characters: in the line, and on the page if the line is on one."""
    row: dict[str, Any] = {
        "text": prediction.text,
        "confidence": prediction.confidence,
        "alternatives": [{"text": text, "confidence": confidence} for text, confidence in prediction.alternatives],
    }
    if prediction.expected_cer is not None:
        row["expected_cer"] = round(prediction.expected_cer, 6)
    for name, parts in (("words", prediction.words), ("characters", prediction.characters)):
        if parts:
            row[name] = [
                {"text": one.text, "confidence": round(one.confidence, 6)}
                | {"left_px": one.left_px, "right_px": one.right_px}
                | ({} if line is None else {"box": line.placed([one])[0][1]})
                for one in parts
            ]
    return row
