"""ServedModel: a bundle's predictor that many requests share."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.images.read import ImageSource, read_image
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.base import Predictor
from text_recognizer.serving.batching import Batcher
from text_recognizer.serving.metrics import Metrics

Box = tuple[int, int, int, int]
Grey = NDArray[np.uint8]

# As many as there are cores: a large page takes up to 1 GB while it is unpacked.
_PREPARING = ThreadPoolExecutor(os.cpu_count(), "pictures")


@dataclass(frozen=True)
class ReadLine:
    """One line or character of a picture.

    Args:
        box: left, top, right, bottom in pixels of the picture, ends excluded.
        px: pixels of the picture for one of the prepared line.
    """

    box: Box
    prediction: Prediction
    px: float

    def to_json(self) -> dict[str, Any]:
        left, top, _, bottom = self.box
        row = {"text": self.prediction.text, "confidence": self.prediction.confidence, "box": list(self.box)}
        row["alternatives"] = [{"text": text, "confidence": value} for text, value in self.prediction.alternatives]
        row["characters"] = [
            {
                "text": one.text,
                "confidence": one.confidence,
                "box": [left + round(one.left_px * self.px), top, left + round(one.right_px * self.px), bottom],
            }
            for one in self.prediction.characters
        ]
        return row


@dataclass(frozen=True)
class ReadPicture:
    """What is read in a picture; nothing on a blank page.

    Args:
        mean_intensity: of the grey picture, 0 to 255.
    """

    lines: tuple[ReadLine, ...]
    mean_intensity: float

    @property
    def text(self) -> str:
        return "\n".join(line.prediction.text for line in self.lines)

    @property
    def confidence(self) -> float:
        """That of the least certain line; 0 where nothing is read."""
        return min((line.prediction.confidence for line in self.lines), default=0.0)


class ServedModel:
    """Prepares pictures in a few threads and reads them in one, in batches.

    Args:
        name: under which it is asked for.
        most_batch: lines or characters read at once; 1 reads one after the other.
    """

    def __init__(self, name: str, version: str, predictor: Predictor, metrics: Metrics, most_batch: int) -> None:
        self.name = name
        self.version = version
        self.predictor = predictor
        self._metrics = metrics
        self._batcher = Batcher(self._read_batch, most_batch)

    @property
    def platform(self) -> str:
        return "keras"

    async def read(self, image: ImageSource) -> ReadPicture:
        """What one line or character says.

        Raises:
            DataError: it cannot be read as one.
        """
        page, prepared = await asyncio.get_running_loop().run_in_executor(_PREPARING, self._prepared, image)
        height, width = page.shape
        return await self._read_lines(page, [(0, 0, width, height)], [prepared])

    def close(self) -> None:
        self._batcher.close()

    async def _read_lines(self, page: Grey, boxes: Sequence[Box], prepared: Sequence[Grey]) -> ReadPicture:
        futures = [asyncio.wrap_future(self._batcher.submit(one)) for one in prepared]
        predictions = await asyncio.gather(*futures)
        scales = [(box[2] - box[0]) / one.shape[1] for box, one in zip(boxes, prepared, strict=True)]
        return ReadPicture(tuple(map(ReadLine, boxes, predictions, scales)), float(page.mean()))

    def _prepared(self, image: ImageSource) -> tuple[Grey, Grey]:
        page = read_image(image)
        return page, self.predictor.prepared(page)

    def _read_batch(self, prepared: Sequence[Grey]) -> list[Prediction]:
        self._metrics.count_batch(self.name, len(prepared))
        return self.predictor.predict_prepared(prepared)
