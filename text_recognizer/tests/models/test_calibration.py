import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from text_recognizer.decoding.greedy import softmax
from text_recognizer.errors import DataError
from text_recognizer.images.read import fit_to, read_image
from text_recognizer.models.bundle import find_bundle
from text_recognizer.models.calibration import Calibration, right_characters, right_words
from text_recognizer.models.prediction import Prediction, ReadPart, in_reading_order, words_of
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.reading_order import logical_order
from text_recognizer.whole_files import sha256_of

DIGIT = Path(__file__).parents[1] / "support" / "digits" / "3.png"


def parts(text: str, confidence: float = 0.9) -> tuple[ReadPart, ...]:
    return tuple(ReadPart(one, confidence, 10 * at, 10 * at + 10) for at, one in enumerate(text))


def reading(text: str, confidence: float = 0.9) -> Prediction:
    characters = parts(text, confidence)
    return Prediction(
        text, confidence ** len(text), ((text, confidence ** len(text)),), characters, words_of(characters)
    )


def test_words_are_what_blanks_part_and_as_sure_as_all_that_makes_them():
    first, second = words_of(parts(" ab c"))
    assert (first.text, first.left_px, first.right_px) == ("ab", 10, 30)
    assert first.confidence == pytest.approx(0.9**4)  # the blanks around it too
    assert second.text == "c"
    assert second.confidence == pytest.approx(0.9**2)
    assert words_of(()) == words_of(parts("  ")) == ()


def test_words_of_a_line_from_right_to_left_come_in_the_order_of_reading():
    seen = "(12 \u05d3\u05d2) \u05d1\u0301\u05d0 a b"  # from its left end: brackets turn, marks follow letters
    characters = in_reading_order(parts(seen))
    assert "".join(one.text for one in characters) == logical_order(seen) == "a b \u05d0\u05d1\u0301 (\u05d2\u05d3 12)"
    assert [one.left_px for one in characters[:7]] == [120, 130, 140, 110, 100, 80, 90]
    words = words_of(characters)
    assert [word.text for word in words] == logical_order(seen).split()
    assert [(word.left_px, word.right_px) for word in words[2:4]] == [(80, 110), (40, 70)]
    assert in_reading_order(parts("a(b")) == parts("a(b")


def test_a_character_of_several_letters_stays_one_in_the_order_of_reading():
    first, second = ReadPart("\u05d3\u05d2", 0.5, 0, 10), ReadPart("\u05d1", 0.75, 10, 20)
    assert in_reading_order((first, second)) == (second, replace(first, text="\u05d2\u05d3"))


def test_what_is_right_in_a_reading_is_found_by_the_fewest_edits():
    assert right_characters("abcd", reading("axcdd")).tolist() in (
        [True, False, True, True, False],
        [True, False, True, False, True],
    )
    assert right_words("the cat sat", reading("the cut sat on")).tolist() == [True, False, True, False]


def test_a_model_that_is_sure_of_no_number_gets_a_calibration_that_can_be_loaded(tmp_path):
    found = Calibration.of_lines(["ab", "ab"], [reading("ab"), reading("ab", float("nan"))])
    found.save(tmp_path)
    assert Calibration.load(tmp_path) == found == Calibration()


def test_characters_that_are_right_less_often_than_said_become_as_sure_as_they_are_right():
    # Said to be 90 % sure; two in five are wrong.
    lines = ["aaabb"] * 200
    found = Calibration.of_lines(lines, [reading("aaacc")] * 200)
    calibrated = found.of_line(reading("aaacc"))
    assert [one.confidence for one in calibrated.characters] == pytest.approx([0.6] * 5, abs=0.01)
    assert calibrated.expected_cer == pytest.approx(0.4, abs=0.01)
    assert calibrated.confidence < 0.02  # no line was right
    assert calibrated.words[0].confidence < 0.02
    assert calibrated.text == "aaacc"


def test_a_surer_reading_stays_the_surer_one():
    random = np.random.default_rng(0)
    readings = [reading("aaaa", sure) for sure in random.uniform(0.5, 0.99, 300)]
    texts = ["aaaa" if random.random() < one.confidence**2 else "abab" for one in readings]
    found = Calibration.of_lines(texts, readings)
    sure, unsure = found.of_line(reading("aaaa", 0.95)), found.of_line(reading("aaaa", 0.6))
    assert sure.confidence > unsure.confidence
    assert (sure.expected_cer or 0) < (unsure.expected_cer or 0)


def test_lines_that_say_nothing_at_all_are_no_trouble():
    found = Calibration.of_lines(["ab"], [Prediction("", 0.5)])
    empty = found.of_line(Prediction("", 0.5))
    assert (empty.expected_cer, empty.words) == (1.0, ())


def test_the_probabilities_of_alternatives_never_exceed_one_together():
    found = Calibration(line=(0.0, 0.5))
    given = Prediction("a", 0.5, (("a", 0.5), ("b", 0.3), ("c", 0.2)), parts("a"))
    shared = found.of_line(given).alternatives
    assert [text for text, _ in shared] == ["a", "b", "c"]
    assert sum(value for _, value in shared) <= 1
    sure = found.of_line(Prediction("a", 1.0, (("a", 1.0), ("b", 1e-9)), parts("a"))).alternatives
    assert sum(value for _, value in sure) <= 1


def test_logits_that_are_three_times_too_large_have_a_temperature_of_three():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 5)).astype(np.float32)
    labels = np.array([random.choice(5, p=row / row.sum()) for row in softmax(logits).astype(float)])
    assert Calibration.of_classes(3 * logits, labels).temperature == pytest.approx(3, rel=0.1)


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    written = Calibration(2.0, (0.1, 0.9), (0.2, 0.8), (0.3, 0.7), 1.5)
    written.save(tmp_path)
    assert Calibration.load(tmp_path) == written


@pytest.mark.parametrize(
    "content", ["", "[]", '{"temperature": 0}', '{"word": [1]}', '{"word": [NaN, 1.0]}', '{"line": [1e308, 1.0]}']
)
def test_a_damaged_calibration_is_refused(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(DataError, match="calibration.json is damaged: "):
        Calibration.load(tmp_path)


def test_a_bundle_is_as_sure_with_tensorflow_as_by_its_twin(tmp_path):
    shutil.copytree(find_bundle(DEFAULT_BUNDLE).folder, tmp_path / "bundle")
    image = fit_to(read_image(DIGIT), find_bundle(DEFAULT_BUNDLE).data_spec)[None]
    before = find_bundle(tmp_path / "bundle").load_to_read().predict(image)[0]
    Calibration(temperature=5.0).save(tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    description = json.loads(path.read_text())
    description["files_sha256"]["calibration.json"] = sha256_of(tmp_path / "bundle" / "calibration.json")
    path.write_text(json.dumps(description))
    bundle = find_bundle(tmp_path / "bundle")
    first, second = bundle.load_to_read().predict(image)[0], bundle.load().predict(image)[0]
    assert first.text == second.text == before.text
    assert first.confidence == pytest.approx(second.confidence, abs=1e-4)
    assert first.confidence < before.confidence - 0.05


def test_a_bundle_of_an_earlier_version_reads_with_the_confidences_of_its_model():
    bundle = find_bundle(DEFAULT_BUNDLE)
    assert "calibration.json" not in json.loads((bundle.folder / "bundle.json").read_text()).get("files_sha256", {})
    assert bundle.load().calibration is None
