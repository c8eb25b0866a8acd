"""The command `text-recognizer datasets`: list, fetch, verify, add."""

import json
from pathlib import Path

import pytest
from PIL import Image

from text_recognizer.datasets.characters.mnist import MnistDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.character_files import idx_files, part
from text_recognizer.tests.datasets.file_server import FileServer, file_entry, sha256, write_registry
from training.tests.commands.datasets_command import CONTENT, run

# list


def test_list_shows_tables_with_their_state_and_classes_with_their_meaning(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]
    assert ["second", "Old", "", "1", "unknown", "not fetched"] in rows
    assert ["third", "", "", "1", "unknown", "needs login"] in rows
    assert ["DigitsDataset", "1,797 real digits of 8 x 8 pixels, split 60 : 20 : 20 by default."] in rows


def test_list_as_json(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [table["name"] for table in found["remote"]] == ["first", "second", "third"]
    assert found["remote"][1]["files"][0]["urls"] == ["https://a.example/2.zip", "https://b.example/2.zip"]
    (emnist,) = [described for described in found["datasets"] if described["name"] == "EmnistDataset"]
    assert {"name": "balance", "type": "bool", "default": False} in emnist["arguments"]


# fetch


def test_fetch_prints_the_paths_of_the_files(
    registry: Path, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_registry(registry, {"letters": [file_entry("letters.zip", CONTENT, server.url("/letters.zip"))]})
    assert run("fetch", "letters") == 0
    path = tmp_path / "data" / "raw" / "letters" / "letters.zip"
    captured = capsys.readouterr()
    assert captured.out == f"{path}\n"
    assert captured.err == "fetching letters.zip (8.0 kB) from 127.0.0.1\n"
    assert path.read_bytes() == CONTENT


def test_fetch_of_an_unknown_table_fetches_nothing_at_all(registry: Path, server: FileServer) -> None:
    write_registry(registry, {"letters": [file_entry("letters.zip", CONTENT, server.url("/letters.zip"))]})
    with pytest.raises(DataError, match="has no table 'leters'. Did you mean 'letters'"):
        run("fetch", "letters", "leters")
    assert server.requests == []


# verify


@pytest.fixture
def prepared(registry: Path, server: FileServer) -> MnistDataset:
    files = idx_files(part([0, 1, 2] * 5), part([1]))
    server.files = {f"/{name}": content for name, content in files.items()}
    entries = [file_entry(name, content, server.url(f"/{name}")) for name, content in files.items()]
    write_registry(registry, {"mine": entries, "other": [file_entry("x", CONTENT, server.url("/x"))]})
    dataset = MnistDataset(source="mine")
    dataset.prepare()
    return dataset


def test_verify_reads_what_is_there_and_finds_nothing(
    prepared: MnistDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify") == 0
    assert run("verify", "mine") == 0
    assert run("verify", "MnistDataset") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == second == "4 files and 2 stores read, 0 problems"
    assert third == "0 files and 2 stores read, 0 problems"


def test_verify_names_a_changed_file_and_a_changed_store(
    prepared: MnistDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "data" / "raw" / "mine" / "train-labels-idx1-ubyte.gz"
    content = raw.read_bytes()
    raw.write_bytes(content[:-1] + b"?")
    stored = Path(prepared.store_path) / "train.labels.npy"
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    assert run("verify") == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert str(raw) in errors[0]
    assert sha256(content) in errors[0]
    assert errors[1] == f"{stored} has changed since it was written: remove {stored.parent}, and it is made again"


def test_verify_names_a_missing_file_and_a_store_without_description(
    prepared: MnistDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "raw" / "mine" / "train-labels-idx1-ubyte.gz").unlink()
    (Path(prepared.store_path) / "meta.json").write_text("{")
    assert run("verify") == 1
    errors = capsys.readouterr().err
    assert "train-labels-idx1-ubyte.gz is missing: fetch mine" in errors
    assert "meta.json cannot be read" in errors
    assert run("verify", "--json") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"files": 4, "stores": 2, "problems": errors.splitlines()}
    assert not printed.err


def test_verify_of_a_table_by_name_says_that_it_was_never_fetched(
    prepared: MnistDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "other") == 1
    assert "raw/other/x is missing: fetch other" in capsys.readouterr().err


def test_verify_of_an_unknown_name_is_refused(prepared: MnistDataset) -> None:
    with pytest.raises(DataError, match="there is no table, dataset class or store called 'mien'. Did you mean 'mine'"):
        run("verify", "mien")


# show


def test_show_writes_a_picture_of_samples(
    digits_prepared: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "digits.png"
    assert run("show", "DigitsDataset", "--count", "3", "--split", "test", "--output", str(path)) == 0
    shown = "test samples of DigitsDataset (1,079 train, 359 validation, 359 test; 10 classes)"
    assert capsys.readouterr().out == f"{path}: {shown}\n"
    with Image.open(path) as picture:
        assert picture.size[0] > 3 * 56
    assert run("show", "DigitsDataset", "--output", str(path), "--json") == 0
    sizes = {"train": 1079, "validation": 359, "test": 359}
    facts = {"dataset": "DigitsDataset", "output": str(path), "split": "train", "sizes": sizes, "classes": 10}
    assert json.loads(capsys.readouterr().out) == facts
    with pytest.raises(SpecError, match=f"argument --output: there is no folder {tmp_path}/nowhere"):
        run("show", "DigitsDataset", "--output", str(tmp_path / "nowhere" / "digits.png"))
    for output in ("digits.xyz", "digits.psd", "digits"):
        with pytest.raises(SpecError, match=rf"an image file is expected, like samples\.png\. Received: '{output}'"):
            run("show", "DigitsDataset", "--output", output)
    with pytest.raises(SpecError, match="unknown dataset 'DigitDataset'"):
        run("show", "DigitDataset")


# update


@pytest.mark.parametrize("table", ["[letters]\n", "[letters]\n[[letters.files]]\n", ""])
def test_update_writes_the_hash_of_a_changed_file_and_changes_nothing_else(
    registry: Path, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The last is one dataset alone, which is named after its folder.
    name = "letters" if table else tmp_path.name
    text = table + '# Ours.\nurl   = "file:///letters.zip"\nfilename = "letters.zip" # zip\nsha256 = "HASH"\n'
    registry.write_text(text.replace("HASH", "0f" * 32), encoding="utf-8")
    with pytest.raises(DataError, match=f"none of the files of '{name}' is in "):
        run("update", name)
    raw = tmp_path / "data" / "raw" / name / "letters.zip"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(CONTENT)
    assert run("update", name) == 0
    assert capsys.readouterr().out == f"{raw}\n"
    assert registry.read_text(encoding="utf-8") == text.replace("HASH", sha256(CONTENT))


def test_without_a_command_the_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert "text-recognizer datasets add my-letters https://" in capsys.readouterr().out
