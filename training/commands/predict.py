"""text-recognizer predict: what a trained bundle reads in pictures of characters, lines or pages."""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, SpecError, TextRecognizerError
from text_recognizer.images.read import read_image
from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.base import Predictor
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.predictors.documents import DOCUMENTS
from text_recognizer.predictors.given_page import read_given_page
from text_recognizer.predictors.line import DEFAULT_BUNDLE as LINE_READER
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.load import PREDICTORS
from text_recognizer.predictors.paragraph import LineOfText, PageReading, ParagraphTextRecognizer
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted, received
from training.commands.base import Command
from training.commands.predict_output import FORMATS, Output, Reading
from training.commands.predict_sources import Source, sources_of
from training.runs.find import bundle_named
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off

MOST_ALTERNATIVES = 1000
TOGETHER = 64  # pictures that are read at once


class Predict(Command):
    """Read characters, lines or pages in image files."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer predict digit.png\n"
            "  text-recognizer predict *.png --bundle runs/default/20261120-093012-k3x9f-lenet --json\n"
            "  text-recognizer predict line.png --bundle line-reader --alternatives 10\n"
            "  text-recognizer predict page.jpg --pages --format alto > page.xml\n"
            "  text-recognizer predict segmented/ --bundle READER_RUN --output read/    ALTO or PAGE XML with images"
        )
        add = parser.add_argument
        add(
            "images",
            nargs="+",
            metavar="IMAGE",
            help="images of characters, lines or pages, as the bundle reads them; ALTO or PAGE XML; folders "
            "of these; http(s) addresses; - for standard input",
        )
        add(
            "--bundle",
            help=f"a bundle or run: folder, id, or last (default: one that reads digits; of pages, {LINE_READER})",
        )
        add("--pages", action="store_true", help="find the lines of pages first")
        add("--detector", metavar="BUNDLE", help="bundle that finds lines (implies --pages)")
        add("--alternatives", type=int, metavar="N", help="list the N most probable readings of each image or line")
        add("--confidence", action="store_true", help="print the confidence of each line and word")
        add(
            "--format",
            choices=FORMATS,
            help="text (the default), json (alternatives and positions too), alto, page (PAGE XML) "
            "or hocr; XML files are copied with the texts in their own lines, unless another format is given",
        )
        add("--json", action="store_const", const="json", dest="format", help="same as --format json")
        add("--output", type=Path, metavar="FOLDER", help="write one file per image into this folder")
        add("--allow-host", action="append", default=[], metavar="HOST", help="as in serve, for image URLs")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.alternatives is not None and not 1 <= arguments.alternatives <= MOST_ALTERNATIVES:
        raise SpecError(f"--alternatives must be 1 to {MOST_ALTERNATIVES}. {received(arguments.alternatives)}")
    sources = sources_of(arguments.images)
    asked = arguments.alternatives is not None, arguments.confidence
    output = Output(arguments.format, arguments.output, *asked, len(sources) > 1 and arguments.output is None)
    output.check(sources)
    reader = _Reader(arguments, any(source.is_xml for source in sources))
    failed = 0
    for source, found in reader.read(sources):
        try:
            if isinstance(found, TextRecognizerError):
                raise found
            output.show(found)
        except TextRecognizerError as error:
            if len(sources) == 1:
                raise
            failed += 1
            say(f"error: {error}")
            continue
        for problem in found.given.problems if found.given is not None else ():
            say(f"warning: {source.name}: {problem}")
    if output.folder is not None:
        say(f"wrote {counted(len(sources) - failed, 'file')} into {output.folder}")
    return 2 if failed else 0


class _Reader:
    """Reads sources with the bundles that a command line names."""

    def __init__(self, arguments: argparse.Namespace, reads_xml: bool) -> None:
        is_of_pages = arguments.pages or arguments.detector is not None
        reads_digits = not (arguments.bundle or is_of_pages or reads_xml)
        if reads_digits:
            say(f"note: each image is read as a digit. --bundle {LINE_READER} reads lines, --pages reads pages.")
        bundle = bundle_named(arguments.bundle or (DEFAULT_BUNDLE if reads_digits else LINE_READER))
        self._allowed_hosts: list[str] = arguments.allow_host
        self._pages: ParagraphTextRecognizer | None = None
        if not is_of_pages:
            _check_target(bundle, arguments.format, reads_xml)
        with standard_error_off():  # TensorFlow's start-up notes
            if is_of_pages:
                detector = None if arguments.detector is None else bundle_named(arguments.detector)
                self._pages = ParagraphTextRecognizer(detector, bundle, arguments.alternatives)
                self._predictor: Predictor = self._pages.reader
            else:
                self._predictor = PREDICTORS[bundle.data_spec.target](bundle, arguments.alternatives)

    def read(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Reading | TextRecognizerError]]:
        """The readings in the order of their sources, each of which may fail by itself."""
        for is_alone, group in groupby(sources, lambda source: source.is_xml or self._pages is not None):
            listed = list(group)
            step = 1 if is_alone else TOGETHER
            for start in range(0, len(listed), step):
                if is_alone:
                    yield listed[start], self._page(listed[start])
                else:
                    yield from self._together(listed[start : start + step])

    def _page(self, source: Source) -> Reading | TextRecognizerError:
        started = time.perf_counter()
        try:
            given = page = None
            if source.is_xml:
                assert isinstance(self._predictor, LinePredictor)
                assert source.path is not None
                given = read_given_page(source.path, self._predictor)
                page = given.reading
            elif self._pages is not None:
                page = self._pages.predict(source.image(self._allowed_hosts))
        except TextRecognizerError as error:
            return error
        time_ms = 1000 * (time.perf_counter() - started)
        return Reading(source, None, page, time_ms / max(len(page.lines) if page is not None else 0, 1), given)

    def _together(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Reading | TextRecognizerError]]:
        """Pictures of one line or character each."""
        started = time.perf_counter()
        made: list[tuple[Source, tuple[int, int] | None, Any]] = []
        for source in sources:
            try:
                image = source.image(self._allowed_hosts)
                size = read_image(image).shape[::-1] if self._predictor.target == "line" else None
                made.append((source, size, self._predictor.prepared(image)))
            except TextRecognizerError as error:
                made.append((source, None, error))
        ready = [one for _, _, one in made if not isinstance(one, TextRecognizerError)]
        predictions = iter(self._predictor.predict_prepared(ready))
        time_ms = 1000 * (time.perf_counter() - started) / max(len(sources), 1)
        for source, size, one in made:
            if isinstance(one, TextRecognizerError):
                yield source, one
                continue
            prediction, page = next(predictions), None
            if size is not None:
                page = PageReading((LineOfText((0, 0, *size), prediction, line_px=one.shape[1]),), *size)
            yield source, Reading(source, prediction, page, time_ms)


def _check_target(bundle: Bundle, wanted: str | None, reads_xml: bool) -> None:
    """Checks that a bundle reads what is asked for.

    Raises:
        DataError: it finds lines, or reads no lines where there are some.
    """
    target = bundle.data_spec.target
    if target == "pixels":
        raise DataError(
            f"the bundle {bundle.folder} finds lines on pages and reads nothing. "
            f"Give it as --detector, and one that reads lines as --bundle."
        )
    if target != "line" and (reads_xml or wanted in DOCUMENTS):
        what = "XML files give lines" if reads_xml else f"--format {wanted} is for lines and pages"
        raise DataError(f"{what}, but the bundle {bundle.folder} reads a {target}. Give a reader of lines as --bundle.")
