"""text-recognizer pseudo-label: which readings of untranscribed lines are kept, and the spec that trains on them."""

import json
import os

import numpy as np
import pytest

from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.experiment import assemble
from text_recognizer.images.grey import read_grey
from text_recognizer.models.bundle import Bundle
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.datasets.archive_pages import alto, alto_line
from text_recognizer.tests.datasets.line_files import save
from text_recognizer.tests.line_samples import line_picture
from text_recognizer.tests.pages.page_drawing import drawn_page, paragraph
from training.cli import main
from training.commands import pseudo_label
from training.commands.page_lines import cut_lines
from training.commands.predict_sources import sources_of

TEXTS = {"train": ["abab", "bcbc", "caca"], "validation": ["abc"], "test": ["cba"]}
# What the reader reads in lines of so many characters, and the character error rate that it expects.
READINGS = {5: ("aaaaa", 0.1), 6: ("bbbbbb", 0.3), 7: ("", 0.0), 8: ("cccccccc", 0.6), 9: ("ccccccccc", 0.2)}


class Reader:
    """Reads lines by their widths."""

    def __init__(self, bundle):
        self.bundle, self.widths = bundle, {line_picture("a" * count).shape[1]: count for count in READINGS}

    def prepared(self, image):
        return image

    def predict_prepared(self, images):
        found = [READINGS[self.widths[image.shape[1]]] for image in images]
        return [Prediction(text, 0.5, expected_cer=expected) for text, expected in found]


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A run on transcribed lines; untranscribed ones lie in the folder "new"."""
    rows = [(f"{text}.png", text, split) for split, texts in TEXTS.items() for text in texts]
    for name, text, _ in rows:
        save(tmp_path / "old" / name, line_picture(text))
    table = "file\ttext\tsplit\n" + "".join("\t".join(row) + "\n" for row in rows)
    (tmp_path / "old" / "lines.tsv").write_text(table)
    for count in READINGS:
        save(tmp_path / "new" / f"{count}.png", line_picture("abcabcabc"[:count]))
    args = {"path": str(tmp_path / "old"), "height": 20}
    dataset = LineListDataset(str(tmp_path / "old"), height=20)
    dataset.prepare()
    spec = ExperimentSpec(
        "LineListDataset", "LineModelCtc", "line_reader", dataset_args=args, train_args={"initial_weights": "gone"}
    )
    made = Bundle(tmp_path / "run", spec, dataset.data_spec, "first", {}, dataset.fingerprint, {})
    monkeypatch.setattr(pseudo_label, "bundle_named", lambda name: made)
    monkeypatch.setattr(pseudo_label, "LinePredictor", Reader)
    return made


def label(folder, *arguments):
    return main(["pseudo-label", str(folder / "new"), "--bundle", "run", "--output", str(folder / "out"), *arguments])


def written(folder, name):
    return json.loads((folder / "out" / name).read_text())


def test_lines_are_kept_above_a_confidence_and_all_others_are_named_with_the_reason(bundle, tmp_path, capsys):
    save(tmp_path / "new" / "blank.png", np.full((20, 60), 200, np.uint8))
    save(tmp_path / "new" / os.fsdecode(b"\xff.png"), line_picture("a"))  # JSON cannot hold its name
    for name, text in (("again", "abcab"), ("seen", "abab"), ("secret", "abc"), ("secret too", "cba")):
        save(tmp_path / "new" / f"{name}.png", line_picture(text))
    assert label(tmp_path, "--keep-above", "0.7") == 0
    rows = [
        (row["text"], row["confidence"], row["split"], row["pseudo"], row["reader"])
        for row in written(tmp_path, "lines.json")
    ]
    assert rows == [
        ("aaaaa", 0.9, "train", True, "first"),
        ("ccccccccc", 0.8, "train", True, "first"),
        ("bbbbbb", 0.7, "train", True, "first"),
    ]
    left_out = {row["file"].rpartition("/")[2]: row["reason"] for row in written(tmp_path, "left_out.json")}
    assert left_out == {
        "7.png": "no_text",
        "8.png": "unsure",
        "?.png": "unreadable",
        "again.png": "twice",
        "blank.png": "unreadable",
        "secret too.png": "held_out",
        "secret.png": "held_out",
        "seen.png": "transcribed",
    }
    said = capsys.readouterr().err
    assert "kept 3 lines of 11, confidence 0.700 or more" in said
    assert "left out: 2 held_out, 1 transcribed, 1 twice, 2 unreadable, 1 no_text, 1 unsure" in said


def test_lines_that_an_xml_file_outlines_are_cut_out_and_read(bundle, tmp_path):
    texts = ["ababa", "bcabca", "abcabcabc", "abc"]
    rows = [np.pad(line_picture(text), ((4, 4), (8, 160 - 16 * len(text))), constant_values=255) for text in texts]
    boxes = [(8, 44 * row + 4, 8 + 16 * len(text), 44 * row + 40) for row, text in enumerate(texts)]
    page = np.vstack(rows)
    save(tmp_path / "pages" / "one.png", page)
    lines = "".join(alto_line(row, box, "") for row, box in enumerate(boxes))
    size = f'WIDTH="{page.shape[1]}" HEIGHT="{page.shape[0]}"'
    (tmp_path / "pages" / "one.xml").write_text(alto(lines, "one.png", size=size))
    (tmp_path / "pages" / "two.xml").write_text(alto(lines, "gone.png"))
    how = ["--bundle", "run", "--output", str(tmp_path / "out"), "--coverage"]
    assert main(["pseudo-label", str(tmp_path / "pages"), *how, "0.01"]) == 2
    assert not (tmp_path / "out" / "cut").exists()
    assert main(["pseudo-label", str(tmp_path / "pages"), *how, "1"]) == 0
    assert sorted(row["text"] for row in written(tmp_path, "lines.json")) == ["aaaaa", "bbbbbb", "ccccccccc"]
    left_out = {row["file"].rpartition("/")[2]: row["reason"] for row in written(tmp_path, "left_out.json")}
    assert left_out == {"two.xml": "unreadable", "0-one-4.png": "held_out"}
    spec = ExperimentSpec.parse(written(tmp_path, "spec.json")).override({"train_args.initial_weights": None})
    dataset = assemble(spec).dataset
    dataset.prepare()
    assert len(dataset.split("train")) == len(TEXTS["train"]) + 3


def test_a_folder_of_ones_own_in_the_place_of_cut_lines_is_left_alone_and_so_is_a_spec(bundle, tmp_path, capsys):
    save(tmp_path / "scans" / "page.png", line_picture("abcab"))
    (tmp_path / "scans" / "page.xml").write_text(alto("", "page.png"))
    save(tmp_path / "scans" / "cut" / "mine.png", line_picture("abc"))
    scans = str(tmp_path / "scans")
    assert main(["pseudo-label", scans, "--bundle=reader", "--coverage=0.5", f"--output={scans}"]) == 2
    assert "scans/cut already exists" in capsys.readouterr().err
    assert (tmp_path / "scans" / "cut" / "mine.png").exists()
    (tmp_path / "spec.json").write_text("mine")
    assert label(tmp_path, "--coverage", "1", "--output", str(tmp_path)) == 2
    assert "spec.json already exists and would be overwritten." in capsys.readouterr().err
    assert (tmp_path / "spec.json").read_text() == "mine"


def test_lines_of_a_page_are_found_where_no_file_outlines_them(tmp_path):
    save(tmp_path / "page.png", drawn_page(paragraph(4)))
    reader = LinePredictor("line-reader")
    made, problems = cut_lines(sources_of([str(tmp_path)]), tmp_path / "cut", reader)
    assert [file.name for file in made] == [f"0-page-{number}.png" for number in (1, 2, 3, 4)]
    assert all(read_grey(file).shape[0] < 60 for file in made)
    assert problems == {}
    upside_down = str(save(tmp_path / "turned.png", drawn_page(paragraph(4))[::-1, ::-1]))
    turned, _ = cut_lines(sources_of([upside_down]), tmp_path / "cut", reader)
    first_words = [[reader.predict(file).text.split()[0] for file in files] for files in (made, turned)]
    assert first_words[0] == first_words[1]


def test_a_file_that_is_named_twice_is_read_once(bundle, tmp_path):
    named = [str(tmp_path / "new"), str(tmp_path / "new" / "5.png")]
    how = ["--bundle", "run", "--output", str(tmp_path / "out"), "--coverage", "1"]
    assert main(["pseudo-label", *named, *how]) == 0
    assert sorted(row["text"] for row in written(tmp_path, "lines.json")) == sorted(
        text for text, _ in READINGS.values() if text
    )
    assert [row["reason"] for row in written(tmp_path, "left_out.json")] == ["twice", "no_text"]


def test_the_spec_trains_on_both_and_measures_on_transcribed_lines_alone(bundle, tmp_path):
    assert label(tmp_path, "--coverage", "0.75") == 0
    spec = ExperimentSpec.parse(written(tmp_path, "spec.json"))
    assert spec.train_args["initial_weights"] == str(tmp_path / "run")
    pseudo = {key: value for key, value in spec.dataset_args["parts"][1].items() if key != "dataset_args"}
    assert pseudo == {"dataset": "LineListDataset", "train_only": True}
    dataset = assemble(spec.override({"train_args.initial_weights": None})).dataset
    dataset.prepare()
    assert sorted(dataset.split("train").texts) == sorted([*TEXTS["train"], "aaaaa", "bbbbbb", "ccccccccc"])
    assert [dataset.split(name).texts for name in ("validation", "test")] == [["abc"], ["cba"]]


def test_a_second_round_reads_the_lines_again_and_drops_the_labels_of_the_first(bundle, tmp_path, monkeypatch):
    assert label(tmp_path, "--coverage", "1") == 0
    spec = ExperimentSpec.parse(written(tmp_path, "spec.json")).override({"train_args.initial_weights": None})
    dataset = assemble(spec).dataset
    dataset.prepare()
    second = Bundle(tmp_path / "run2", spec, dataset.data_spec, "second", {}, dataset.fingerprint, {})
    monkeypatch.setattr(pseudo_label, "bundle_named", lambda name: second)
    assert label(tmp_path, "--coverage", "1", "--output", str(tmp_path / "again")) == 0
    spec = json.loads((tmp_path / "again" / "spec.json").read_text())
    paths = [part["dataset_args"]["path"] for part in spec["dataset_args"]["parts"]]
    assert paths == [str(tmp_path / "old"), str(tmp_path / "again" / "lines.json")]
    assert {row["reader"] for row in json.loads((tmp_path / "again" / "lines.json").read_text())} == {"second"}


def test_mistakes_end_in_a_sentence_and_nothing_is_written(bundle, tmp_path, capsys):
    for arguments, words in (
        (["--keep-above", "1.5"], "--keep-above: a number from 0 to 1 is expected. Received: '1.5'"),
        (["--coverage", "nan"], "--coverage: a number from 0 to 1 is expected. Received: 'nan'"),
        (
            ["--keep-above", "0.95"],
            "only 0 of 5 lines can be kept, at least 3 are needed (left out: 1 no_text, 4 unsure); the highest",
        ),
    ):
        assert label(tmp_path, *arguments) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert label(tmp_path, "--coverage", "1") == 0
    assert label(tmp_path, "--coverage", "1") == 2
    assert "holds pseudo-labels already" in capsys.readouterr().err
    table = tmp_path / "old" / "lines.tsv"
    table.write_text(table.read_text().replace("\tabab\t", "\tabba\t"))
    assert label(tmp_path, "--coverage", "1", "--output", str(tmp_path / "other")) == 2
    assert "has changed since it was trained" in capsys.readouterr().err
    table.unlink()
    assert label(tmp_path, "--coverage", "1", "--output", str(tmp_path / "other")) == 2
    assert "are not here" in capsys.readouterr().err
