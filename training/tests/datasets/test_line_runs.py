"""Runs that read lines and find them on pages, as a user meets them."""

import json

import numpy as np
import pytest

from text_recognizer.errors import DataError
from text_recognizer.models.bundle import find_bundle
from text_recognizer.predictors import LinePredictor, ParagraphTextRecognizer
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import line_picture, page_picture, write_lines, write_pages
from text_recognizer.tests.pages.page_drawing import drawn_page, paragraph
from training.cli import main as text_recognizer
from training.tests.datasets.line_runs import evaluated, line_spec, rows_of, run

pytestmark = pytest.mark.usefixtures("unoptimised_graphs")


@pytest.fixture(scope="module", autouse=True)
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("lines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_RECOGNIZER_RUNS", str(root / "runs"))
        patch.setenv("TEXT_RECOGNIZER_DATA", str(root / "data"))
        yield root


@pytest.fixture(scope="module")
def read(places):
    """A reader of lines trained until it reads."""
    spec = line_spec(write_lines(places / "lines"))
    spec["train_args"] |= {"epochs": 30, "monitor": "val_character_error_rate"}
    return run(spec)


@pytest.fixture(scope="module")
def found(places):
    """A finder of lines, hardly trained."""
    spec = {
        "dataset": "PageListDataset",
        "dataset_args": {"path": str(write_pages(places / "pages")), "side": 64},
        "model": "LineDetectorModel",
        "network": "page_net",
        "train_args": {"batch_size": 4, "epochs": 2, "augmentation": "page_affine"},
    }
    return run(spec)


def test_a_reader_learns_lines_and_says_how_well(read, capfd):
    rows = read.rows()
    assert set(rows[0]) >= {"val_loss", "val_character_error_rate", "val_word_error_rate", "val_blank_share"}
    assert "accuracy" not in rows[0]
    assert min(row["val_character_error_rate"] for row in rows[:-1]) < 0.2
    evaluation = json.loads((read.folder / "evaluation.json").read_text())
    assert evaluation["unit"] == "line"
    assert evaluation["profile"] == "corpus"
    assert set(evaluation["profiles"]) == {"flor2020", "fsdl", "positional"}
    assert evaluation["times"]["epoch_s"] == pytest.approx(evaluation["times"]["training_s"] / 30, abs=0.001)
    each_ms = evaluation["times"]["evaluation_s"] * 1000 / evaluation["count"]
    assert evaluation["times"]["sample_ms"] == pytest.approx(each_ms, abs=0.1)
    parameters = find_bundle(read.folder).load().keras_model.count_params()
    assert sum(layer["parameters"] for layer in evaluation["summary"]) == parameters
    low, high = evaluation["intervals_95"]["character_error_rate"]
    assert low <= evaluation["metrics"]["character_error_rate"] <= high
    assert read.status().summary["test_character_error_rate"] == evaluation["metrics"]["character_error_rate"]


def test_every_reading_is_written_down(read):
    rows = rows_of(read)
    keys = {"position", "id", "label", "predicted", "confidence", "loss", "char_errors", "word_errors"}
    keys |= {"characters", "words", "expected_cer"}
    assert all(set(row) == keys for row in rows)
    assert all(row["id"].startswith("line") for row in rows)
    assert all((row["char_errors"] == 0) == (row["label"] == row["predicted"]) for row in rows)
    evaluation = json.loads((read.folder / "evaluation.json").read_text())
    pooled = sum(row["char_errors"] for row in rows) / sum(len(row["label"]) for row in rows)
    assert evaluation["metrics"]["character_error_rate"] == pytest.approx(pooled)


def test_confidences_of_lines_words_and_characters_are_calibrated_and_measured(read, capfd):
    calibration = find_bundle(read.folder).load().calibration
    assert calibration is not None
    assert calibration.written_share == 0.8  # 28 of 36 rows, at a height of 20
    evaluation = json.loads((read.folder / "evaluation.json").read_text())
    assert [one["level"] for one in evaluation["calibration"]] == ["character", "word", "line"]
    assert evaluation["risk_coverage"][-1]["error"] == pytest.approx(evaluation["metrics"]["character_error_rate"])
    assert evaluation["unseen"].startswith("Accept 80 % of the lines unchecked at CER ")
    page = (read.folder / "report.html").read_text()
    assert evaluation["unseen"] in page
    assert "share accepted unchecked" in page
    assert text_recognizer(["evaluate", str(read.folder)]) == 0
    assert f"review   {evaluation['unseen']}" in capfd.readouterr().out
    reading = LinePredictor(read.folder).predict(line_picture("abc"))
    assert [word.text for word in reading.words] == reading.text.split()
    assert reading.expected_cer is not None


def test_the_report_shows_lines_with_their_profile(read):
    page = (read.folder / "report.html").read_text()
    for text in ("character_error_rate", "corpus", "flor2020", "data:image/png;base64,", "ms a line", "Conv2D"):
        assert text in page


def test_lines_are_read_from_files_by_the_command_line(read, tmp_path, capfd):
    save(tmp_path / "one.png", line_picture("abc"))
    save(tmp_path / "light.png", 255 - line_picture("cab"))
    assert text_recognizer(["predict", str(tmp_path / "one.png"), "--bundle", str(read.folder)]) == 0
    assert capfd.readouterr().out.startswith(f"{tmp_path / 'one.png'}: ")
    images = [str(tmp_path / name) for name in ("one.png", "light.png")]
    assert text_recognizer(["predict", *images, "--bundle", str(read.folder), "--json"]) == 0
    first, second = map(json.loads, capfd.readouterr().out.splitlines())
    assert "".join(one["text"] for one in first["characters"]) == first["text"]
    assert all(0 <= one["left_px"] < one["right_px"] for one in first["characters"])
    assert second["image"] == images[1]
    assert 0 < first["confidence"] <= 1
    assert text_recognizer(["predict", images[0], "--bundle", str(read.folder), "--json", "--alternatives", "10"]) == 0
    listed = json.loads(capfd.readouterr().out)["alternatives"]
    assert len({one["text"] for one in listed}) == 10
    assert first["text"] in {one["text"] for one in listed}
    assert listed == sorted(listed, key=lambda one: -one["confidence"])
    assert text_recognizer(["predict", images[0], "--bundle", str(read.folder), "--alternatives", "0"]) == 2


def test_a_run_is_evaluated_again_with_the_same_numbers(read, capfd):
    assert text_recognizer(["evaluate", str(read.folder), "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    assert again["metrics"] == json.loads((read.folder / "evaluation.json").read_text())["metrics"]
    assert text_recognizer(["evaluate", str(read.folder), "--split", "validation"]) == 0
    shown = capfd.readouterr().out
    assert "corpus profile" in shown
    assert "by the flor2020 profile: character error rate" in shown


def refused(capfd, *arguments):
    capfd.readouterr()
    assert text_recognizer(["evaluate", *arguments]) == 2
    return capfd.readouterr().err


def test_an_evaluation_says_where_the_errors_are(read, capfd, tmp_path):
    figures = evaluated(capfd, str(read.folder), "--report", str(tmp_path / "report.html"))
    lengths, writers, characters = (figures[f"by_{name}"] for name in ("length", "group", "character"))
    assert sum(one["samples"] for one in lengths) == sum(one["samples"] for one in writers) == figures["count"]
    assert {one["character"] for one in characters} <= set("abc")
    rate = sum(one["errors"] for one in lengths) / sum(one["of"] for one in lengths)
    assert figures["metrics"]["character_error_rate"] == pytest.approx(rate)
    page = (tmp_path / "report.html").read_text()
    for text in ("Worst, of", "<h2>Best", "Random", "By writer", "By length", "data:image/png;base64,"):
        assert text in page
    assert "Environment" not in page
    assert "<h2>Best" in (read.folder / "report.html").read_text()
    assert text_recognizer(["evaluate", str(read.folder), "--report", str(tmp_path)]) == 2
    told = capfd.readouterr()
    assert "character_error_rate" in told.out  # the figures are not lost
    assert "cannot write the report" in told.err


def test_a_bundle_is_evaluated_on_another_dataset_in_the_form_that_it_reads(read, tmp_path, capfd):
    path = write_lines(tmp_path / "others", count=20)
    path.write_text(path.read_text().replace("\tabc", "\tabz"))  # a character that the bundle does not know
    args = json.dumps({"path": str(path), "max_width": 25})  # its height would be 40, the bundle's is 20
    figures = evaluated(capfd, str(read.folder), "--dataset", "LineListDataset", "--dataset_args", args)
    assert figures["dataset"] == "LineListDataset"
    assert any("may overlap" in note for note in figures["notes"])
    assert any("of the test split are made smaller to 25 pixels" in note for note in figures["notes"])
    whole = ["--dataset", "LineListDataset", "--dataset_args", json.dumps({"path": str(path), "height": 24})]
    said = refused(capfd, str(read.folder), *whole)
    assert "does not fit dataset 'LineListDataset': it needs input_shape [20, null, 1]" in said
    assert 'needs target "line"' in refused(capfd, str(read.folder), "--dataset", "DigitsDataset")
    notes = evaluated(capfd, str(read.folder), "--dataset_args", args)["notes"]  # of its own dataset
    assert notes[-1] == figures["notes"][-1]


def test_a_dataset_in_an_alphabet_that_a_bundle_lacks_is_refused_with_a_remedy(read, tmp_path, capfd):
    path = write_lines(tmp_path / "others", count=20)
    args = json.dumps({"path": str(path)})
    other = ["--dataset", "LineListDataset", "--dataset_args", args]
    path.write_text(path.read_text().translate(str.maketrans("ab", "\u0430\u0431")))
    assert "% of the characters of LineListDataset are not in" in refused(capfd, str(read.folder), *other)
    path.write_text(path.read_text().translate(str.maketrans("c", "\u0432")))
    assert "100 % of the characters of LineListDataset are not in" in refused(capfd, str(read.folder), *other)
    said = refused(capfd, str(read.folder), *other, "--dataset_args.unknown_characters=reject")
    assert "the test split of LineListDataset has no sample in the alphabet of the bundle" in said
    assert "--train_args.initial_weights=" in said


def test_lines_of_a_test_alone_are_evaluated_on_and_an_empty_split_is_said(read, tmp_path, capfd):
    path = write_lines(tmp_path / "others", count=20)
    rows = path.read_text().splitlines()
    rows[1] = "line000.png\t\u0432\tw0"  # all of it is outside the bundle's alphabet
    path.write_text("\n".join([f"{rows[0]}\tsplit", *(f"{row}\ttest" for row in rows[1:])]) + "\n")
    other = [str(read.folder), "--dataset", "LineListDataset", "--dataset_args", json.dumps({"path": str(path)})]
    assert evaluated(capfd, *other)["samples_of_split"] == 20
    for more in (["--split", "validation"], ["--language-model", "2"]):
        said = refused(capfd, *other, *more)
        assert "the validation split of LineListDataset is empty (train 0, validation 0, test 20)" in said


def test_a_reader_is_decoded_with_a_language_model_and_lexicon_of_any_text(read, tmp_path, capfd):
    labels = [row["label"] for row in rows_of(read)]
    (tmp_path / "text.txt").write_text("\n".join([*labels, "\u00e9\u00e9"] * 5), encoding="utf-8")
    greedy = evaluated(capfd, str(read.folder))["metrics"]["character_error_rate"]
    search = ["--decoding", "beam", "--language-model", "3", "--lexicon", "--texts", str(tmp_path / "text.txt")]
    assert evaluated(capfd, str(read.folder), *search)["metrics"]["character_error_rate"] <= greedy
    own = evaluated(capfd, str(read.folder), "--language-model", "2", "--beam-width", "3", "--split", "validation")
    assert own["split"] == "validation"
    assert evaluated(capfd, str(read.folder), "--decoding", "greedy")["metrics"]["character_error_rate"] == greedy
    assert "--texts are for" in refused(capfd, str(read.folder), "--texts", str(tmp_path / "text.txt"))
    missing = ["--lexicon", "--texts", str(tmp_path / "none.txt")]
    assert "cannot learn from the text" in refused(capfd, str(read.folder), *missing)
    (tmp_path / "text.txt").write_text("\u00e9\u00e9")
    assert "no line with characters of the alphabet" in refused(capfd, str(read.folder), *search)
    assert "needs model_args.decoding 'beam'" in refused(capfd, str(read.folder), "--decoding", "greedy", "--lexicon")
    assert "--beam-width is for" in refused(capfd, str(read.folder), "--decoding", "greedy", "--beam-width", "3")
    assert "cannot be decoded in another way" in refused(capfd, "--decoding", "beam")


def test_a_bundle_reads_what_the_run_read(read):
    predictor = LinePredictor(read.folder)
    for row in rows_of(read):
        prediction = predictor.predict(read.spec.dataset_args["path"].replace("lines.tsv", row["id"]))
        assert prediction.text == row["predicted"]
        assert prediction.confidence == pytest.approx(row["confidence"], abs=1e-4)


def test_a_blank_line_is_refused_in_words(read):
    with pytest.raises(DataError, match="the image cannot be read as a line: the image is blank"):
        LinePredictor(read.folder).predict(np.full((40, 90), 250, np.uint8))


def test_a_finder_of_lines_is_measured_by_lines_and_pixels(found):
    assert set(found.rows()[0]) >= {"pixel_accuracy", "val_pixel_accuracy", "val_line_f1"}
    evaluation = json.loads((found.folder / "evaluation.json").read_text())
    assert evaluation["unit"] == "page"
    assert all(set(row) >= {"boxes", "lines_matched", "id"} for row in rows_of(found))
    assert (found.folder / "report.html").exists()


def test_a_finder_does_not_read_and_a_reader_does_not_find(found, read, tmp_path, capfd):
    save(tmp_path / "page.png", page_picture(["abc"])[0])
    assert text_recognizer(["predict", str(tmp_path / "page.png"), "--bundle", str(found.folder)]) != 0
    assert "Give it as --detector" in capfd.readouterr().err
    with pytest.raises(DataError, match="does not find lines"):
        ParagraphTextRecognizer(read.folder, read.folder)
    with pytest.raises(DataError, match="finds lines on pages, it does not read a line"):
        LinePredictor(found.folder)


def test_pages_are_read_by_the_command_line(found, read, tmp_path, capfd):
    save(tmp_path / "page.png", page_picture(["abc", "cabca"])[0])
    save(tmp_path / "blank.png", np.full((300, 200), 240, np.uint8))
    arguments = ["--bundle", str(read.folder), "--detector", str(found.folder)]
    images = [str(tmp_path / "page.png"), str(tmp_path / "blank.png")]
    assert text_recognizer(["predict", *images, *arguments, "--json"]) == 0
    page, blank = map(json.loads, capfd.readouterr().out.splitlines())
    assert (blank["text"], blank["lines"]) == ("", [])
    assert page["text"] == "\n".join(line["text"] for line in page["lines"])
    assert text_recognizer(["predict", str(tmp_path / "blank.png"), *arguments]) == 0
    assert capfd.readouterr().out == "(no lines found)\n"


def test_pages_are_read_without_a_trained_detector_along_the_baselines_of_their_lines(read, tmp_path, capfd):
    save(tmp_path / "page.png", drawn_page(paragraph(3), (700, 400), angle=6))
    arguments = ["predict", str(tmp_path / "page.png"), "--pages", "--bundle", str(read.folder)]
    assert text_recognizer([*arguments, "--json"]) == 0
    lines = json.loads(capfd.readouterr().out)["lines"]
    assert len(lines) == 3
    for line in lines:
        (first, *_, last), (left, top, right, bottom) = line["baseline"], line["box"]
        assert first[1] - last[1] > 20  # it climbs
        assert all(left - 9 < x < right + 9 and top - 9 < y < bottom + 9 for x, y in line["baseline"])
        assert len(line["polygon"]) == 2 * len(line["baseline"])
    assert text_recognizer(arguments) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3


class Told:
    """In place of a detector: says where the ink is, as a trained one would."""

    def find_lines(self, images):
        from text_recognizer.layout.shapes import LineShape
        from text_recognizer.models.line_detector import line_boxes

        found = []
        for image in images[..., 0]:
            rows = (image > 100).any(axis=1)
            classes = np.zeros(image.shape, int)
            number = 0
            for row in range(len(rows)):
                number += int(rows[row] and (row == 0 or not rows[row - 1]))
                if rows[row]:
                    columns = np.flatnonzero(image[row] > 100)
                    classes[row, columns.min() : columns.max() + 1] = 1 + (number - 1) % 2
            found.append([LineShape.of_box(box) for box in line_boxes(classes).tolist()])
        return found


@pytest.mark.parametrize("texts", [["cbcbcbcbcb"], ["cacacacaca", "cbcbcbcbcb", "cccccccccc"]])
def test_lines_are_found_from_top_to_bottom_and_read(found, read, texts):
    recognizer = ParagraphTextRecognizer(found.folder, read.folder)
    recognizer._model = Told()  # type: ignore[assignment]
    page, lines = page_picture(texts)
    for image in (page, 255 - page):
        reading = recognizer.predict(image)
        assert len(reading.lines) == len(texts)
        for line, right in zip(reading.lines, lines, strict=True):
            left, top, x2, bottom = line.box
            assert top - 8 <= right["y1"] + 4
            assert right["y1"] + 32 <= bottom + 8
            assert abs(left - right["x1"]) < 14
            assert abs(x2 - right["x2"]) < 14
        assert reading.text == "\n".join(line.prediction.text for line in reading.lines)
        assert "c" in reading.text


def test_a_blank_page_and_an_empty_box_read_as_nothing(found, read):
    recognizer = ParagraphTextRecognizer(found.folder, read.folder)
    for level in (0, 128, 255):
        assert recognizer.predict(np.full((300, 200), level, np.uint8)).text == ""
