"""ServedModel: a bundle's predictor, shared by many requests."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.layout.shapes import FoundLine
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.predictors.base import Predictor, surest
from text_recognizer.predictors.load import Layout, layout_of
from text_recognizer.predictors.paragraph import LineOfText, PageReading, ParagraphTextRecognizer, lines_of_text
from text_recognizer.serving.batching import Batcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.refusals import RefusedError

Grey = NDArray[np.uint8]
LAYOUTS: tuple[Layout, ...] = ("line", "page")  # what an image shows
# With the forms of each line, and without the pixels of a page, up to 120 MB.
_Prepared = tuple["ReadPicture", list[FoundLine], list[list[Grey]]]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_PREPARING = ThreadPoolExecutor(CORES, "pictures")  # a large page takes up to 1 GB while it is decoded


@dataclass(frozen=True)
class ReadPicture(PageReading):
    """The reading of an image; the box of a single line or character is the whole image. mean_intensity: 0 to 255."""

    mean_intensity: float = 0.0

    @property
    def confidence(self) -> float:
        """The confidence of the least certain line; 0 if there are no lines."""
        return min((line.prediction.confidence for line in self.lines), default=0.0)

    def lines_json(self) -> list[dict[str, Any]]:
        """The lines with the boxes of their words and characters, in pixels of the image."""
        return [_line_json(line) for line in self.lines]


@dataclass(eq=False)
class ServedModel:
    """Prepares images in a few threads and reads them in others, in batches.

    Args:
        name: the name in requests.
        most_batch: lines or characters in a batch; 1 reads one after the other.
        pages: finds the lines of pages, if the predictor reads lines.
        threads: number of reading threads.
    """

    name: str
    version: str
    predictor: Predictor
    metrics: Metrics
    most_batch: int
    pages: ParagraphTextRecognizer | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        self._users = 0
        self._is_retired = False
        self._batcher = Batcher(self._read_batch, self.most_batch, self.threads)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        return LAYOUTS if self.pages is not None else LAYOUTS[:1]

    async def read(self, image: ImageSource, layout: Layout | None = None) -> ReadPicture:
        """Reads a line, a character or the lines of a page; without a layout, decided by the shape of the image.

        Raises:
            DataError: the image cannot be read.
            RefusedError: the model reads no pages, or was retired.
        """
        if layout is not None and layout not in self.layouts:
            message = f"the model '{self.name}' reads images of one {self.predictor.target}, not of a {layout}."
            raise RefusedError(HTTPStatus.BAD_REQUEST, message)
        if self._is_retired and not self._users:  # it would never be read
            message = f"the model '{self.name}' was replaced just now. Try again."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "0"})
        self._users += 1
        try:
            loop = asyncio.get_running_loop()
            unread, places, forms = await loop.run_in_executor(_PREPARING, self._prepared, image, layout)
            waiting = [self._batcher.submit(one, one.shape[1]) for each in forms for one in each]
            readings = await asyncio.gather(*map(asyncio.wrap_future, waiting))
        finally:
            self._users -= 1
            self._close_if_unused()
        read = surest(forms, readings)
        return replace(unread, lines=lines_of_text(places, [line for line, _ in read], [one for _, one in read]))

    def retire(self) -> None:
        """Ends its threads once nothing is being read; call it in the event loop that calls `read`."""
        self._is_retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_retired and not self._users:
            self._batcher.close()

    def _prepared(self, image: ImageSource, layout: Layout | None) -> _Prepared:
        page = read_image(image)
        height, width = page.shape
        unread = ReadPicture((), width, height, float(page.mean()))
        if self.pages is None or (layout or layout_of(height, width)) != "page":
            return unread, [FoundLine((0, 0, width, height))], [self.predictor.forms(page)]
        found = self.pages.prepared_lines(page)
        return unread, [line for line, _ in found], [[prepared] for _, prepared in found]

    def _read_batch(self, prepared: Sequence[Grey]) -> list[Prediction]:
        self.metrics.count_batch(self.name, len(prepared))
        return self.predictor.predict_prepared(prepared)


def _line_json(line: LineOfText) -> dict[str, Any]:
    def placed(parts: Sequence[ReadPart]) -> list[dict[str, Any]]:
        found = line.placed(parts)
        return [{"text": one.text, "confidence": one.confidence, "box": list(box)} for one, box in found]

    read = line.prediction
    return {
        "text": read.text,
        "confidence": read.confidence,
        "box": list(line.box),
        "alternatives": [{"text": text, "confidence": value} for text, value in read.alternatives],
        "words": placed(read.words),
        "characters": placed(read.characters),
        **({} if read.expected_cer is None else {"expected_cer": read.expected_cer}),
    }
