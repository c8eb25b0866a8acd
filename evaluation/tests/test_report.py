import json
from typing import Any

import jinja2
import numpy as np
import pytest

from evaluation.characters import class_fields
from evaluation.evaluate import Evaluation, evaluation_text, write_evaluation
from evaluation.pages import TEMPLATES, compile_templates, render
from evaluation.report import _read_lines, worst_classes, write_report
from text_recognizer.datasets.characters.base import CharacterSplit

CLASSES = tuple(chr(0x4E00 + number) for number in range(60))


def test_a_text_may_hold_what_other_programs_take_for_the_end_of_a_line(tmp_path):
    rows = [{"predicted": "a\u2028b\x85c"}, {"predicted": "d"}]
    (tmp_path / "predictions.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    assert _read_lines(tmp_path / "predictions.jsonl") == rows


@pytest.fixture
def run_folder(tmp_path):
    """A run on two images of each of 60 classes, of which the last is always taken for the first."""
    labels = np.repeat(np.arange(60), 2)
    split = CharacterSplit(np.zeros((120, 8, 8), np.uint8), labels, np.arange(120), CLASSES)
    read = {CLASSES[-1]: CLASSES[0]}
    rows = [
        {"position": at, "label": text, "predicted": read.get(text, text), "confidence": 1.0, "loss": 0.0}
        for at, text in enumerate(split.texts)
    ]
    evaluation = Evaluation("test", 120, {"loss": 0.0}, predictions=rows, **class_fields(rows, CLASSES))
    write_evaluation(tmp_path, evaluation)
    for name in ("spec", "environment"):
        (tmp_path / f"{name}.json").write_text("{}")
    write_report(tmp_path, split, [])
    return tmp_path


def test_the_report_shows_pictures_of_both_sides_of_each_confusion_and_the_fifty_worst_classes(run_folder):
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    confusions, classes = page.split("<h2>Confusions</h2>")[1].split("<h2>The 50 classes with the lowest F1 of 60")
    assert f'<b>{CLASSES[59]}</b> read as <b class="wrong">{CLASSES[0]}</b> <span class="soft">2 x</span>' in confusions
    assert [part[0] for part in confusions.split('alt="')[1:]] == [CLASSES[59], CLASSES[0]]
    assert confusions.count("data:image/png") == 2
    assert classes.count('<td class="number">2</td>') == 50
    first, second = classes.split("<tr><td>")[1:3]
    assert (first[0], second[0]) == (CLASSES[59], CLASSES[0])


def test_the_reports_have_the_style_of_the_page_and_need_no_other_file(run_folder):
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    assert f"<style>\n{(TEMPLATES / 'style.css').read_text(encoding='utf-8').strip()}" in page
    assert ".samples b, .samples .wrong { unicode-bidi: plaintext; }" in page
    assert page.count("<style>") == page.count("<title>") == page.count("</main>") == 1
    assert [part for part in ('src="http', "href=", "url(", "<script", "@import") if part in page] == []


def test_evaluation_json_has_a_line_for_each_class(run_folder):
    text = (run_folder / "evaluation.json").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60 + 30
    assert json.loads(text)["classes"][59] == {
        "class": CLASSES[59],
        "count": 2,
        "precision": None,
        "recall": 0.0,
        "f1": None,
    }


def test_the_text_of_an_evaluation_is_its_json():
    figures: dict[str, Any] = {
        "split": "te\nst",
        "metrics": {"loss": None},
        "intervals_95": {"a": [0, 1]},
        "classes": [],
        "x": [{}],
    }
    assert json.loads(evaluation_text(figures)) == figures


def test_classes_without_images_are_not_among_the_worst():
    of_classes = [("a", 0, None), ("b", 2, None), ("c", 1, 0.5)]
    rows = [{"class": name, "count": count, "f1": f1} for name, count, f1 in of_classes]
    assert [row["class"] for row in worst_classes(rows, 2)] == ["b", "c"]
    assert worst_classes(rows, 3) == rows


def test_the_report_names_spaces_and_what_is_missing(run_folder):
    evaluation = json.loads((run_folder / "evaluation.json").read_text())
    confusions = [{"label": " ", "predicted": "", "count": 3}]
    evaluation |= {"classes": [], "confusions": confusions, "by_character": [{"character": " ", "count": 9}]}
    (run_folder / "evaluation.json").write_text(json.dumps(evaluation))
    split = CharacterSplit(np.zeros((120, 8, 8), np.uint8), np.zeros(120), np.arange(120), CLASSES)
    write_report(run_folder, split, [])
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    assert '<td>(space)</td><td>(nothing)</td><td class="number">3</td>' in page
    assert '<td>(space)</td><td class="number">9</td>' in page


def test_a_template_is_compiled_once(monkeypatch):
    compile_templates()
    monkeypatch.setattr(jinja2.Environment, "compile", None)
    assert render("style.css").strip() == (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()
