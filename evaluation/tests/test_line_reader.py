"""The included line reader: it reads what it was never shown, and says what it was made of."""

import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from evaluation.tests.rates import pooled_rates
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, Font
from text_recognizer.images.read import png_bytes
from text_recognizer.models.bundle import find_bundle
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.transfer import transfer_problems
from text_recognizer.predictors import LinePredictor, ParagraphTextRecognizer
from text_recognizer.serving.addresses import AllowList
from text_recognizer.serving.app import make_app
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.models import Shelf
from text_recognizer.serving.reading import ServedModel
from text_recognizer.serving.service import Service
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.datasets.file_server import FileServer

TEXTS = ["The letter was written in Paris", "on the 12th of August 1914,", "and nobody has read it since."]
HIGHEST_CHARACTER_ERROR_RATE = 0.2


@pytest.fixture(scope="module")
def recognizer():
    return ParagraphTextRecognizer()


def drawn(text):
    """Dark ink on white paper, in a font that the reader was not trained with."""
    return 255 - np.pad(Font(DEFAULT_FONT, 40).draw(text), 6)


def error_rate(readings):
    return pooled_rates(TEXTS, readings)["character_error_rate"]


def test_lines_of_a_new_font_are_read_without_naming_a_bundle():
    readings = LinePredictor().predict_many([drawn(text) for text in TEXTS])
    assert error_rate([one.text for one in readings]) <= HIGHEST_CHARACTER_ERROR_RATE


def test_lines_with_a_wide_margin_are_read_as_those_without():
    readings = LinePredictor().predict_many([np.pad(drawn(text), 60, constant_values=255) for text in TEXTS])
    assert error_rate([one.text for one in readings]) <= HIGHEST_CHARACTER_ERROR_RATE


def test_a_reader_of_lines_with_wide_margins_reads_them_as_they_are():
    reader, wide = LinePredictor(), np.pad(drawn(TEXTS[0]), 60, constant_values=255)
    as_it_is = reader.form.apply(wide)[..., None]
    assert not np.array_equal(reader.prepared(wide), as_it_is)
    reader._model.calibration = Calibration(written_share=0.15)
    assert np.array_equal(reader.prepared(wide), as_it_is)


def test_the_request_of_an_older_client_is_answered_by_the_shipped_reader(recognizer):
    # GET with image_url, each plus sign of the file's name percent-encoded.
    path = "/emnist_lines/or+if+used+the+results.png"
    model = ServedModel("line-reader", "1", recognizer.reader, Metrics(), 8)
    with FileServer({path: png_bytes(drawn(TEXTS[0]))}) as server:
        service = Service(Shelf(model), Metrics(), Fetcher(AllowList.of(["127.0.0.1"])))
        with TestClient(make_app(service)) as client:
            url = server.url(path.replace("+", "%2B"))
            found = client.get(f"/v1/predict?image_url={url}").json()
    assert pooled_rates(TEXTS[:1], [found["pred"]])["character_error_rate"] <= HIGHEST_CHARACTER_ERROR_RATE
    assert 0 < found["conf"] < 1


def test_a_page_is_read_without_naming_a_bundle(recognizer):
    lines = [drawn(text) for text in TEXTS]
    page = np.full((400, 900), 255, np.uint8)
    for number, line in enumerate(lines):
        top = 60 + 60 * number
        page[top : top + line.shape[0], 60 : 60 + line.shape[1]] = line
    found = recognizer.predict(page).text.splitlines()
    assert len(found) == len(TEXTS)
    assert error_rate(found) <= HIGHEST_CHARACTER_ERROR_RATE


def test_a_blank_page_has_no_lines(recognizer):
    assert not recognizer.predict(np.full((400, 900), 255, np.uint8)).lines


def test_a_run_can_begin_with_it_by_name():
    spec = ExperimentSpec(
        "LineListDataset", "LineModelCtc", "line_reader", train_args={"initial_weights": "line-reader"}
    )
    bundle = find_bundle("line-reader")
    like_it = ExperimentSpec(**{**vars(spec), "network_args": bundle.spec.network_args})
    assert transfer_problems(like_it, bundle.data_spec.input_shape) == []


def test_it_is_small_and_names_what_it_was_trained_on():
    folder = find_bundle("line-reader").folder
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000  # its twin is half of it
    told = (folder / "README.md").read_text(encoding="utf-8")
    for name in ("CREMMA-AN-TestamentsDePoilus", "HN2021-Memorials_Jane_Lathrop_Stanford", "CC BY 4.0"):
        assert name in told
    assert '"/' not in json.dumps(find_bundle("line-reader").spec.to_json())  # no place of the machine that trained it
