"""text-recognizer predict: reads images of characters, lines or pages with a trained bundle."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.storage.parallel import progress
from text_recognizer.errors import DataError, TextRecognizerError, reason
from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.base import Predictor
from text_recognizer.predictors.character import DEFAULT_BUNDLE, CharacterPredictor
from text_recognizer.predictors.documents import DOCUMENTS
from text_recognizer.predictors.given_page import read_given_page
from text_recognizer.predictors.line import DEFAULT_BUNDLE as LINE_READER
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.load import CHARACTER_PX, LAYOUTS, Layout, layout_of
from text_recognizer.predictors.paragraph import LineOfText, PageReading, ParagraphTextRecognizer
from text_recognizer.promoted.store import ModelStore
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted
from training.commands.base import A_BUNDLE, Command
from training.commands.predict_output import FORMATS, Output, Reading
from training.commands.predict_sources import Source, sources_of
from training.runs.find import bundle_named
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off
from training.terminal.parser import number

TOGETHER = 64  # images read at once


class Predict(Command):
    """Read characters, lines or pages in image files."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer predict line.png page.jpg\n"
            "  text-recognizer predict *.png --bundle runs/default/20261120-093012-k3x9f-lenet --json\n"
            "  text-recognizer predict line.png --bundle line-reader --alternatives 10\n"
            "  text-recognizer predict page.jpg --format alto > page.xml\n"
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
        add("--bundle", help=f"{A_BUNDLE} (default: {LINE_READER}; for small square images, digits)")
        add(
            "--layout",
            choices=LAYOUTS,
            help="what an image shows (default: a line if it is twice as wide as high, a page if it is higher than "
            f"{CHARACTER_PX} pixels)",
        )
        pages = "same as --layout page: find the lines first"
        add("--pages", action="store_const", const="page", dest="layout", help=pages)
        add("--detector", metavar="BUNDLE", help="bundle that finds lines (implies --layout page)")
        add("--alternatives", type=number(int, 1, 1000), metavar="N", help="list the N most probable readings of each")
        add("--confidence", action="store_true", help="print the confidence of each line and word")
        add(
            "--format",
            choices=FORMATS,
            help="text (the default), json (alternatives and positions too), alto, page (PAGE XML) "
            "or hocr; XML files are copied with the texts in their own lines, unless another format is given",
        )
        add("--json", action="store_const", const="json", dest="format", help="same as --format json")
        add("--output", type=Path, metavar="FOLDER", help="write one file per image into this folder")
        add("--overwrite", action="store_true", help="replace existing files in that folder")
        add("--allow-host", action="append", default=[], metavar="HOST", help="as in serve, for image URLs")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    sources = sources_of(arguments.images)
    several = len(sources) > 1 and arguments.output is None
    asked = arguments.alternatives is not None, arguments.confidence, several, arguments.overwrite
    output = Output(arguments.format, arguments.output, *asked)
    output.check(sources)
    reader = _Reader(arguments, any(source.is_xml for source in sources))
    failed = 0
    firsts: dict[str, str] = {}  # the source that had a problem first
    is_silent = output.folder is not None and len(sources) > 1
    with progress("predict", len(sources), "image", "reading") if is_silent else nullcontext(lambda _: None) as done:
        for source, found in reader.read(sources):
            done(1)
            try:
                if isinstance(found, TextRecognizerError):
                    raise found
                output.show(found)
            except TextRecognizerError as error:
                if len(sources) == 1:
                    raise
                failed += 1
                first = firsts.setdefault(error.common, source.name)
                alike = f"{source.name} cannot be read for the same reason as {first}."
                say(f"error: {error if first == source.name else alike}")
                continue
            for problem in found.given.problems if found.given is not None else ():
                say(f"warning: {source.name}: {problem}")
    if output.folder is not None:
        say(f"wrote {counted(len(sources) - failed, 'file')} into {output.folder}")
    if failed:
        say(f"{failed:,} of {counted(len(sources), 'image')} could not be read; see the errors above.")
    return 2 if failed else 0


@dataclass(frozen=True)
class _Opened:
    """A source with its image; for the XML of a page without image, and for a failure only with the error.

    Args:
        size: size of the image, (H, W) in pixels.
        page: (H, W), if it is a page; for lines and characters, which are batched, pixels would take much memory.
    """

    source: Source
    layout: Layout | None = None
    image: ImageSource | None = None
    size: tuple[int, ...] = ()
    page: NDArray[np.uint8] | None = None
    error: TextRecognizerError | None = None


class _Reader:
    def __init__(self, arguments: argparse.Namespace, reads_xml: bool) -> None:
        self._arguments = arguments
        self._layout: Layout | None = arguments.layout if arguments.detector is None else "page"
        usual = _usual_bundle(DEFAULT_BUNDLE) if self._layout == "character" and not arguments.bundle else None
        self._bundle = bundle_named(arguments.bundle) if arguments.bundle else usual
        self._reads_characters = self._bundle is None and arguments.format not in DOCUMENTS
        self._noted: set[Layout] = set()
        if self._bundle is not None and self._layout != "page":
            _check_target(self._bundle, arguments.format, reads_xml)
            if self._layout is None and self._bundle.data_spec.target == "character":
                self._layout = "character"
        if self._bundle is not None or self._layout is not None:
            self._predictor(self._layout or "line")  # problems of a bundle are reported before anything is read

    def read(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Reading | TextRecognizerError]]:
        """The readings in the order of their sources, each of which may fail separately."""
        for layout, opened in groupby(map(self._opened, sources), lambda one: one.layout):
            if layout in ("line", "character"):
                while some := list(islice(opened, TOGETHER)):
                    yield from self._together(self._predictor(layout), some)
            else:
                for one in opened:
                    yield one.source, one.error or self._page(one)

    def _opened(self, source: Source) -> _Opened:
        if source.is_xml:
            return _Opened(source)
        try:
            image = source.image(self._arguments.allow_host)
            pixels = read_image(image)
        except TextRecognizerError as error:
            return _Opened(source, error=error)
        layout = self._layout or layout_of(*pixels.shape)
        if layout == "character" and self._layout is None and not self._reads_characters:
            layout = "line"
        if self._layout is None and layout not in self._noted:
            self._noted.add(layout)
            if layout == "page":
                say(f"note: {source.name} is read as a page because of its shape. --layout line reads it as one line.")
            elif layout == "character":
                say(
                    f"note: {source.name} is read as a digit because of its shape. --bundle {LINE_READER} "
                    "reads it as a line."
                )
        return _Opened(source, layout, image, pixels.shape, pixels if layout == "page" else None)

    def _predictor(self, layout: Layout) -> Predictor:
        return self._pages.reader if layout == "page" else self._characters if layout == "character" else self._lines

    @cached_property
    def _characters(self) -> CharacterPredictor:
        with standard_error_off():  # TensorFlow's start-up notes
            return CharacterPredictor(self._bundle or _usual_bundle(DEFAULT_BUNDLE), self._arguments.alternatives)

    @cached_property
    def _lines(self) -> LinePredictor:
        with standard_error_off():
            return LinePredictor(self._bundle or _usual_bundle(LINE_READER), self._arguments.alternatives)

    @cached_property
    def _pages(self) -> ParagraphTextRecognizer:
        detector = self._arguments.detector
        reader = self._lines
        with standard_error_off():
            return ParagraphTextRecognizer(None if detector is None else bundle_named(detector), reader)

    def _page(self, opened: _Opened) -> Reading | TextRecognizerError:
        """Reads a page; for XML, with the given lines."""
        started = time.perf_counter()
        try:
            if opened.page is not None:
                given, page = None, self._pages.predict(opened.page)
            else:
                assert opened.source.path is not None
                given = read_given_page(opened.source.path, self._lines)
                page = given.reading
        except TextRecognizerError as error:
            return error
        time_ms = 1000 * (time.perf_counter() - started)
        return Reading(opened.source, None, page, time_ms / max(len(page.lines), 1), given)

    def _together(
        self, predictor: Predictor, opened: Sequence[_Opened]
    ) -> Iterator[tuple[Source, Reading | TextRecognizerError]]:
        """Reads images of one line or character each."""
        started = time.perf_counter()
        made: list[NDArray[np.uint8] | TextRecognizerError] = []
        for one in opened:
            assert one.image is not None
            try:
                made.append(predictor.prepared(one.image))
            except TextRecognizerError as error:  # the error about an array, as from a TIFF file, has no name
                is_named = isinstance(one.image, Path)
                made.append(error if is_named else DataError(f"{one.source.name}: {reason(error)}.", error.common))
        ready = [one for one in made if not isinstance(one, TextRecognizerError)]
        predictions = iter(predictor.predict_prepared(ready))
        time_ms = 1000 * (time.perf_counter() - started) / len(opened)
        for one, prepared in zip(opened, made, strict=True):
            if isinstance(prepared, TextRecognizerError):
                yield one.source, prepared
                continue
            prediction, page = next(predictions), None
            if predictor.target == "line":
                height, width = one.size
                line = LineOfText((0, 0, width, height), prediction, line_px=prepared.shape[1])
                page = PageReading((line,), width, height)
            yield one.source, Reading(one.source, prediction, page, time_ms)


def _usual_bundle(name: str) -> Bundle:
    """The included bundle, or a promoted one of its name, which `run_experiment --save` gives to any first try."""
    promoted = ModelStore().find(name)
    if promoted is not None:
        say(f"note: the promoted model {promoted} reads, not the included one. --bundle NAME names another.")
    return bundle_named(name)


def _check_target(bundle: Bundle, wanted: str | None, reads_xml: bool) -> None:
    """Checks that a bundle can read the images. Raises DataError: it is a detector, or there is no line reader."""
    target = bundle.data_spec.target
    if target == "pixels":
        raise DataError(
            f"the bundle {bundle.folder} finds lines on pages but does not read them. "
            f"Give it as --detector, and a line reader as --bundle."
        )
    if target != "line" and (reads_xml or wanted in DOCUMENTS):
        what = "XML files give lines" if reads_xml else f"--format {wanted} is for lines and pages"
        raise DataError(f"{what}, but the bundle {bundle.folder} reads a {target}. Give a line reader as --bundle.")
