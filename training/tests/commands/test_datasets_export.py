"""The command `text-recognizer datasets export`: forms of lines and characters that are read again."""

import json
from pathlib import Path

import pytest
from PIL import Image

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.gnt_files import stroke, write_writers
from training.tests.commands.datasets_command import run


def test_lines_are_written_for_other_tools_and_read_again(registry: Path, tmp_path: Path) -> None:
    arguments = json.dumps({"num_texts": 30, "height": 24})
    dotted = "--dataset_args.num_texts=30", "--dataset_args.height=24"
    rendered = RenderedLinesDataset(num_texts=30, height=24)
    assert run("export", "RenderedLinesDataset", str(tmp_path / "a.hdf5"), "--dataset_args", arguments) == 0
    assert run("export", "RenderedLinesDataset", str(tmp_path / "a"), *dotted, "--as", "maps") == 0
    for dataset in (
        rendered,
        Hdf5LinesDataset(str(tmp_path / "a.hdf5"), height=24),
        LineListDataset(str(tmp_path / "a"), height=24),
    ):
        dataset.prepare()
        assert sorted(dataset.split("test").texts) == sorted(rendered.split("test").texts)


def test_characters_are_written_in_numbered_folders_and_read_again(registry: Path, tmp_path: Path) -> None:
    few = "--dataset_args.subsample_fraction=0.1"
    assert run("export", "DigitsDataset", str(tmp_path / "a"), few, "--as", "numbered_folders") == 0
    assert (tmp_path / "a" / "train" / "00007").is_dir()
    digits, again = DigitsDataset(subsample_fraction=0.1), ImageFolderDataset(str(tmp_path / "a"), side=8)
    digits.prepare()
    again.prepare()
    assert again.classes == digits.data_spec.classes
    assert sorted(again.split("test").texts) == sorted(digits.split("test").texts)


def test_characters_are_written_as_gnt_files_and_read_again(registry: Path, tmp_path: Path) -> None:
    few = "--dataset_args.subsample_fraction=0.1"
    assert run("export", "DigitsDataset", str(tmp_path / "a"), few, "--as", "gnt") == 0
    gnt, digits = HwdbDataset(str(tmp_path / "a" / "train"), str(tmp_path / "a" / "test")), DigitsDataset(0.1)
    digits.prepare()
    gnt.prepare()
    assert sorted(gnt.split("test").texts) == sorted(digits.split("test").texts)
    assert gnt.sizes()["train"] + gnt.sizes()["validation"] == digits.sizes()["train"] + digits.sizes()["validation"]


def test_each_writer_has_a_gnt_file(registry: Path, tmp_path: Path) -> None:
    path = f"--dataset_args.path={write_writers(tmp_path / 'gnt', range(1, 5), '甲乙')}"
    assert run("export", "HwdbDataset", str(tmp_path / "b"), path, "--as", "gnt") == 0
    written = sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").glob("*/*"))
    assert written == ["test/1004-c.gnt", "train/1001-c.gnt", "train/1002-c.gnt", "train/1003-c.gnt"]


@pytest.mark.parametrize("is_there", [False, True])
def test_an_export_that_fails_leaves_nothing_in_the_way_of_the_next(is_there, registry, tmp_path) -> None:
    for place, name in enumerate(("ab", "c")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(stroke(10 * place + number)).save(tmp_path / "pictures" / name / f"{number}.png")
    if is_there:
        (tmp_path / "new").mkdir()
    for _ in range(2):
        path = f"--dataset_args.path={tmp_path / 'pictures'}"
        with pytest.raises(DataError, match="two bytes in GB 18030, not 'ab'"):
            run("export", "ImageFolderDataset", str(tmp_path / "new"), path, "--as", "gnt")
        assert (tmp_path / "new").exists() == is_there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("DigitsDataset", "new"), "--as hdf5 writes datasets of lines; 'DigitsDataset' shows characters"),
        (("RenderedLinesDataset", "there"), "already exists"),
        (("RenderedLinesDataset", "new", "--dataset_args", '{"num_text": 3}'), "no argument 'num_text'"),
        (("RenderedLinesDataset", "new", "--dataset_args", "{"), "is not JSON"),
        (("RenderedLinesDataset", "new", "--dataset_args.num_text=3"), "no argument 'num_text'"),
        (("RenderedLinesDataset", "new", "--dataset_args.height"), "unknown argument '--dataset_args.height'"),
        (("RenderedLinesDataset", "new", "--network=mlp"), "unknown argument '--network=mlp'"),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments, message, registry, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("mine")
    with pytest.raises((DataError, SpecError), match=message):
        run("export", *arguments)
    assert Path("there").read_text() == "mine"
