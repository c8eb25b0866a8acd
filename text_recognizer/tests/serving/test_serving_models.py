"""A service of promoted models: which version it reads with, and what it does when one cannot be loaded."""

import asyncio
import json
import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from text_recognizer.errors import DataError
from text_recognizer.images.read import png_bytes, read_image
from text_recognizer.layout.shapes import FoundLine
from text_recognizer.predictors.paragraph import ParagraphTextRecognizer
from text_recognizer.promoted import ModelStore
from text_recognizer.serving.app import make_app
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.models import PromotedShelf, Shelf
from text_recognizer.serving.reading import ServedModel
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.serving.service import Service
from text_recognizer.settings import weights_folder
from text_recognizer.tests.serving.serving_support import GreyPredictor

SHIPPED = weights_folder() / "CharacterModel_DigitsDataset_lenet"
PICTURE = png_bytes(np.arange(64, dtype=np.uint8).reshape(8, 8))


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models")


@pytest.fixture
def promote(store, tmp_path):
    """Promotes a copy of the shipped bundle by another run."""

    def promote(name, run):
        folder = tmp_path / f"run-{run}"
        shutil.copytree(SHIPPED, folder)
        described = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        (folder / "bundle.json").write_text(json.dumps({**described, "run_id": run}), encoding="utf-8")
        return store.add(name, folder, {})

    return promote


def make(name, version, bundle):
    bundle.check_files()
    return ServedModel(name, version, GreyPredictor(), Metrics(), 8)


def served(shelf):
    return {name: model.version for name, model in shelf.models.items()}


def test_a_new_promotion_is_served_without_a_restart(store, promote):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, make)
    first = shelf.get("digits")
    assert shelf.refresh() == []
    promote("digits", "two")
    promote("letters", "three")
    assert shelf.refresh() == [first]
    assert served(shelf) == {"digits": "2", "letters": "1"}
    store.set_current(store.version("digits", 1))
    shelf.refresh()
    assert served(shelf) == {"digits": "1", "letters": "1"}
    assert shelf.problems == []


def test_a_promotion_that_cannot_be_loaded_leaves_the_earlier_version(store, promote, caplog):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, make)
    second = promote("digits", "two")
    (second.folder / "bundle.json").chmod(0o600)
    (second.folder / "bundle.json").write_text("{}")
    assert shelf.refresh() == []
    assert served(shelf) == {"digits": "1"}
    (problem,) = shelf.problems
    assert "the model 'digits' cannot be loaded and version 1 continues: " in problem
    assert problem in caplog.text
    promote("digits", "three")
    shelf.refresh()
    assert (served(shelf), shelf.problems) == ({"digits": "3"}, [])


def test_a_name_that_was_removed_and_given_again_is_served_with_its_new_bundle_under_the_same_number(store, promote):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, lambda name, version, bundle: make(name, f"{version} {bundle.run_id}", bundle))
    shutil.rmtree(store.folder / "names" / "digits")
    promote("digits", "two")
    shelf.refresh()
    assert served(shelf) == {"digits": "1 two"}


def test_a_bundle_that_was_repaired_is_served(store, promote):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, make)
    folder = promote("digits", "two").folder
    lost = (folder / "model.weights.h5").rename(folder.parent / "weights")
    shelf.refresh()
    assert served(shelf) == {"digits": "1"}
    lost.rename(folder / "model.weights.h5")
    shelf.refresh()
    assert (served(shelf), shelf.problems) == ({"digits": "2"}, [])


def test_a_model_whose_own_code_fails_does_not_end_the_looking(store, promote):
    def failing(name, version, bundle):
        return 1 / 0 if name == "bad" else make(name, version, bundle)

    promote("digits", "one")
    shelf = PromotedShelf(store.folder, failing)
    promote("bad", "two")
    promote("letters", "three")
    shelf.refresh()
    assert served(shelf) == {"digits": "1", "letters": "1"}
    assert shelf.problems == ["the model 'bad' cannot be loaded: division by zero"]


def test_a_folder_that_goes_away_leaves_its_models(store, promote):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, make)
    shutil.rmtree(store.folder)
    shelf.refresh()
    assert served(shelf) == {"digits": "1"}
    assert "there is no model 'digits'" in shelf.problems[0]


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no model to serve .* promote RUN --as NAME"):
        PromotedShelf(tmp_path, make)


def test_the_service_says_what_it_serves_and_what_it_cannot(store, promote):
    promote("digits", "one")
    shelf = PromotedShelf(store.folder, make)
    (promote("letters", "two").folder / "model.weights.h5").unlink()
    with TestClient(make_app(Service(shelf, Metrics(), Fetcher()))) as client:
        shelf.refresh()
        found = client.get("/v1/models").json()
        assert found["models"] == [{"name": "digits", "version": "1", "reads": "line", "layouts": ["line"]}]
        assert "'letters' cannot be loaded" in found["problems"][0]
        answer = client.post("/v1/predict", files={"image": PICTURE}, data={"model": "digits"})
        assert answer.json()["model"] == {"name": "digits", "version": "1"}


def test_a_model_that_was_replaced_before_it_began_lets_nobody_wait():
    model = ServedModel("digits", "1", GreyPredictor(), Metrics(), 8)
    model.retire()
    with pytest.raises(RefusedError, match="was replaced just now. Try again"):
        asyncio.run(model.read(PICTURE))


def test_a_model_that_is_replaced_finishes_what_it_reads():
    model = ServedModel("digits", "1", GreyPredictor(), Metrics(), 8)

    async def replaced_while_reading():
        reading = asyncio.create_task(model.read(PICTURE))
        await asyncio.sleep(0)  # it has begun
        model.retire()
        return await reading

    assert asyncio.run(replaced_while_reading()).confidence == 0.75
    assert not any(thread.is_alive() for thread in model._batcher._threads)


def test_the_pixels_of_a_picture_are_not_kept_while_its_lines_wait():
    class Forgetful(GreyPredictor):
        def prepared(self, image):
            self.picture = weakref.ref(image)
            return image[::2, ::2, None].copy()

        def predict_prepared(self, images):
            self.was_kept = self.picture() is not None
            return super().predict_prepared(images)

    predictor = Forgetful()
    found = asyncio.run(ServedModel("digits", "1", predictor, Metrics(), 8).read(PICTURE))
    assert (predictor.was_kept, found.mean_intensity) == (False, float(read_image(PICTURE).mean()))


def test_all_forms_of_a_line_are_read_in_batches_and_the_surest_reading_counts():
    class Doubtful(GreyPredictor):
        def forms(self, image):
            return [np.full((4, width, 1), width, np.uint8) for width in (10, 30, 20)]

        def prepared(self, image):
            raise AssertionError("read once more")

        def predict_prepared(self, images):
            return [replace(one, confidence=int(one.text) / 30) for one in super().predict_prepared(images)]

    predictor = Doubtful()
    (line,) = asyncio.run(ServedModel("grey", "1", predictor, Metrics(), 8).read(PICTURE)).lines
    assert (line.prediction.text, line.line_px) == ("30", 30)
    assert sum(predictor.batches) == 3
    assert [one.text for one in predictor.predict_many([PICTURE, PICTURE])] == ["30", "30"]
    assert predictor.batches[-1] == 6


class PageFinder(ParagraphTextRecognizer):
    """Stands for a recogniser of pages: two lines at known places."""

    def __init__(self):
        pass

    def prepared_lines(self, page):
        boxes = [(0, 0, 8, 4), (2, 4, 8, 8)]
        return [(FoundLine(box), page[box[1] : box[3], box[0] : box[2], None]) for box in boxes]


def test_the_lines_of_a_page_are_read_with_their_places():
    model = ServedModel("grey", "1", GreyPredictor(), Metrics(), 8, PageFinder())
    with TestClient(make_app(Service(Shelf(model), Metrics(), Fetcher()))) as client:
        found = client.post("/v1/predict", files={"image": PICTURE}, data={"layout": "page"}).json()
    assert found["pred"] == "16\n48"
    assert [line["box"] for line in found["lines"]] == [[0, 0, 8, 4], [2, 4, 8, 8]]
    assert found["lines"][1]["characters"][0]["box"] == [2, 4, 8, 8]


def test_what_a_picture_shows_is_told_by_its_form_unless_the_request_says_it():
    model = ServedModel("grey", "1", GreyPredictor(), Metrics(), 8, PageFinder())
    high = png_bytes(np.arange(300 * 300, dtype=np.uint32).reshape(300, 300).astype(np.uint8))
    with TestClient(make_app(Service(Shelf(model), Metrics(), Fetcher()))) as client:
        lines = [
            len(client.post("/v1/predict", files={"image": picture}, data=data).json()["lines"])
            for picture, data in [(high, {}), (high, {"layout": "line"}), (PICTURE, {})]
        ]
    assert lines == [2, 1, 1]


def test_a_model_without_pages_says_so():
    model = ServedModel("grey", "1", GreyPredictor(), Metrics(), 8)
    with TestClient(make_app(Service(Shelf(model), Metrics(), Fetcher()))) as client:
        answer = client.post("/v1/predict", files={"image": PICTURE}, data={"layout": "page"})
    assert (answer.status_code, "reads images of one line" in answer.json()["error"]) == (400, True)
