"""A predictor that knows no model, and an application around it."""

import threading
from contextlib import contextmanager

import numpy as np

from text_recognizer.errors import DataError
from text_recognizer.images.read import read_image
from text_recognizer.models.prediction import Prediction, ReadPart
from text_recognizer.predictors.base import Predictor
from text_recognizer.serving.app import make_app
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.models import Shelf
from text_recognizer.serving.reading import ServedModel
from text_recognizer.serving.service import Service
from text_recognizer.tests.waiting import wait_until


class GreyPredictor(Predictor):
    """Reads the mean level of a picture; the whole picture is one character.

    `batches` lists how many pictures were read at once.
    """

    target = "line"

    def __init__(self):
        self.batches = []

    def prepared(self, image):
        grey = read_image(image)
        if grey.min() == grey.max():
            raise DataError("the image is blank.")
        return grey[::2, ::2, None]

    def predict_prepared(self, images):
        self.batches.append(len(images))
        return [_reading(str(round(float(np.mean(image)))), image.shape[1]) for image in images]


def _reading(text, width):
    whole = (ReadPart(text, 0.75, 0, width),)
    return Prediction(text, 0.75, ((text, 0.75), ("?", 0.25)), whole, whole, 0.125)


def grey_service(fetcher=None, most_requests=64, most_batch=32):
    metrics = Metrics()
    model = ServedModel("grey", "1", GreyPredictor(), metrics, most_batch)
    return Service(Shelf(model), metrics, fetcher or Fetcher(), most_requests)


def grey_app(**given):
    return make_app(grey_service(**given))


@contextmanager
def on_a_port(app, **settings):
    """The application on a free port of this machine."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
