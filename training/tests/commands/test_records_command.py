"""The command `text-recognizer records`: write, read, check, relabel."""

import json
from typing import Any

import pytest
from PIL import Image

from text_recognizer.errors import DataError, SpecError
from training.commands.records import Records
from training.terminal.parser import Parser

FEW = '{"subsample_fraction": 0.03}'


def run(*arguments: object) -> int:
    parser = Parser()
    Records().configure(parser)
    args = parser.parse_args([str(one) for one in arguments])
    return int(args.run(args))


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    assert run("write", "DigitsDataset", tmp_path / "digits", "--dataset_args", FEW, "--encoding", "raw") == 0
    return tmp_path / "digits"


def test_write_says_what_it_wrote_and_goes_on_where_it_was(digits, capsys):
    assert run("write", "DigitsDataset", digits, "--dataset_args", FEW, "--encoding", "raw") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{digits}: 10 labels, 3 shards kept"


def test_read_lists_records_and_extracts_them(digits, tmp_path, capsys):
    capsys.readouterr()
    assert run("read", digits, "--limit", 2) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["record", "split", "label", "text", "pixels", "name"]
    assert len(rows) == 2
    assert run("read", digits, "--output", tmp_path / "three", "--limit", 3) == 0
    assert len(list((tmp_path / "three").rglob("*.png"))) == 3
    capsys.readouterr()
    assert run("read", digits, "--output", tmp_path / "out") == 0
    assert (tmp_path / "out" / "images.csv").is_file()


def test_check_draws_a_sheet_and_ends_in_1_where_something_is_wrong(digits, tmp_path, capsys):
    assert run("check", digits, "--output", tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 100
    (digits / "train-00000-of-00001").write_bytes(b"nothing")
    capsys.readouterr()
    assert run("check", digits) == 1
    assert "train-00000-of-00001@0: the file is cut short: 7 bytes skipped" in capsys.readouterr().out
    assert run("read", digits, "--output", tmp_path / "out") == 1
    assert "1 record left out." in capsys.readouterr().err


def test_every_table_of_records_is_had_as_json(digits, tmp_path, capsys):
    def told(*arguments: object) -> Any:
        capsys.readouterr()
        run(*arguments, "--json")
        return json.loads(capsys.readouterr().out)

    made = told("write", "DigitsDataset", digits, "--dataset_args", FEW, "--encoding", "raw")
    records = {split: one["records"] for split, one in made["splits"].items()}
    assert (made["labels"], made["kept"]) == (10, 3)
    checked = told("check", digits)
    assert {split: one["records"] for split, one in checked["splits"].items()} == records
    assert (sum(checked["characters"].values()), checked["problems"]) == (sum(records.values()), [])
    [row] = told("read", digits, "--limit", 1)
    assert (row["width"], row["height"], row["label"]) == (8, 8, [int(row["text"])])
    assert told("read", digits, "--output", tmp_path / "out")["pictures"] == sum(records.values())


def test_relabel_writes_new_records(digits, tmp_path, capsys):
    (tmp_path / "reversed.json").write_text(json.dumps(list("9876543210")))
    assert run("relabel", digits, tmp_path / "new", "--labels", tmp_path / "reversed.json") == 0
    capsys.readouterr()
    assert run("check", tmp_path / "new") == 0
    assert run("read", tmp_path / "new", "--limit", 1) == 0
    cells = capsys.readouterr().out.splitlines()[-1].split()
    assert int(cells[2]) + int(cells[3].strip("'")) == 9


def test_records_that_lack_shards_are_neither_relabelled_nor_extracted(digits, tmp_path):
    few = ("--dataset_args", FEW, "--encoding", "raw", "--shard-size", 10)
    assert run("write", "DigitsDataset", tmp_path / "many", *few) == 0
    shards = sorted((tmp_path / "many").glob("train-*"))
    shards[1].unlink()
    for command in (("relabel", tmp_path / "many", tmp_path / "new"), ("read", tmp_path / "many", "--output", "out")):
        with pytest.raises(DataError, match=f"1 shard missing: {shards[1].name}. To read a single shard, give its own"):
            run(*command)
    assert not (tmp_path / "new").exists()
    assert run("relabel", shards[0], tmp_path / "new") == 0


def test_a_mistake_is_refused_in_a_sentence(digits, tmp_path):
    with pytest.raises(SpecError, match="shows no characters or lines"):
        run("write", "IamParagraphsDataset", tmp_path / "new")
    with pytest.raises(SpecError, match="raw pixels need keys"):
        run("write", "DigitsDataset", tmp_path / "new", "--form", "inception", "--encoding", "raw")
    with pytest.raises(DataError, match="there are no records at"):
        run("check", tmp_path / "nowhere")
    with pytest.raises(DataError, match="Name its key with --keys"):
        run("read", write_foreign(tmp_path))
    for command in (("read", "--limit", 1), ("check",)):
        with pytest.raises(DataError, match=r"@0 has no image under encoded. .* Keys: encoding, "):
            run(command[0], digits, "--form", "inception", *command[1:])


def test_check_refuses_a_picture_or_a_font_that_cannot_be_before_it_reads_anything(tmp_path):
    for name, said in (
        ("x.zzz", "an image file is expected, like samples.png. Received: 'x.zzz'"),
        ("no/x.png", "no folder no"),
    ):
        with pytest.raises(SpecError, match=f"argument --output: .*{said}"):
            run("check", tmp_path / "not read", "--output", name)
    with pytest.raises(DataError, match="none"):
        run("check", tmp_path / "not read", "--font", "none")


def write_foreign(folder):
    from text_recognizer.datasets.formats.tfrecord import encode_example, write_record

    path = folder / "foreign.tfrecord"
    with open(path, "wb") as file:
        write_record(file, encode_example({"image/encoded": [b"x"]}))
    return path
