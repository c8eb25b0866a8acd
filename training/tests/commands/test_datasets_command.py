"""The command `text-recognizer datasets`: list, fetch, verify, add."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.characters.mnist import MnistDataset
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset
from text_recognizer.datasets.remote.metadata import load_registry
from text_recognizer.errors import DataError, SpecError
from text_recognizer.tests.datasets.character_files import idx_files, part
from text_recognizer.tests.datasets.file_server import FileServer, file_entry, sha256, write_registry
from text_recognizer.tests.datasets.gnt_files import write_writers
from training.commands.datasets import Datasets
from training.terminal.parser import Parser

CONTENT = b"letters " * 1000
REGISTRY = """\
# Our registry.

[first]   # a remark
url = "https://a.example/1.zip"
filename   =   "1.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

# About the second.
[second]
title = "Old"

[[second.files]]
urls = ["https://a.example/2.zip",   # the first
        "https://b.example/2.zip"]
filename = "2.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

# About the third.
[third]
filename = "3.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
login = "Register."
# The end.
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = tmp_path / "metadata.toml"
    path.write_text(REGISTRY, encoding="utf-8")
    return path


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/letters.zip": CONTENT}) as running:
        yield running


def run(*arguments: str) -> int:
    parser = Parser()
    Datasets().configure(parser)
    args = parser.parse_args(arguments)
    return int(args.run(args))


# list


def test_list_shows_tables_with_their_state_and_classes_with_their_arguments(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]
    assert ["second", "Old", "", "1", "unknown", "not fetched"] in rows
    assert ["third", "", "", "1", "unknown", "needs login"] in rows
    assert "validation_fraction: float > 0 and < 1 = 0.25" in shown


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
    with pytest.raises(DataError, match=f"cannot write the picture {tmp_path}/nowhere/digits.png: No such file"):
        run("show", "DigitsDataset", "--output", str(tmp_path / "nowhere" / "digits.png"))
    for output in ("digits.xyz", "digits.psd", "digits"):
        with pytest.raises(
            SpecError, match=rf"--output must be a picture file, like samples\.png\. Received: '{output}'"
        ):
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


# add


def test_add_writes_a_table_after_the_others_and_changes_nothing_else(
    registry: Path, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("add", "letters", server.url("/letters.zip"), "--title", "My letters", "--licence", "CC0") == 0
    text = registry.read_text(encoding="utf-8")
    assert text.startswith(REGISTRY)
    assert tomllib.loads(text)["letters"] == {
        "title": "My letters",
        "licence": "CC0",
        "files": [
            {
                "url": server.url("/letters.zip"),
                "filename": "letters.zip",
                "sha256": sha256(CONTENT),
                "size_bytes": len(CONTENT),
            }
        ],
    }
    assert text[len(REGISTRY) :].startswith('\n[letters]\ntitle = "My letters"\nlicence = "CC0"\n\n[[letters.files]]\n')
    assert sha256(CONTENT) in capsys.readouterr().out

    server.files.clear()
    assert run("fetch", "letters") == 0  # it is there already
    assert sorted(path.name for path in (tmp_path / "data" / "raw").iterdir() if path.is_dir()) == ["letters"]


def test_add_of_files_on_this_machine_writes_their_address(registry: Path, tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        (tmp_path / name).write_bytes(name.encode())
    assert run("add", "mine", str(tmp_path / "a.gz"), str(tmp_path / "b.gz"), "--homepage", "https://a.example/") == 0
    table = load_registry(registry)["mine"]
    assert [file.urls for file in table.files] == [((tmp_path / name).as_uri(),) for name in ("a.gz", "b.gz")]
    assert [file.sha256 for file in table.files] == [sha256(b"a.gz"), sha256(b"b.gz")]
    assert table.homepage == "https://a.example/"


def test_add_finds_the_file_of_the_table_among_several(
    registry: Path, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "registries"
    folder.mkdir()
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", f"{folder}:{registry}")
    assert run("add", "second", server.url("/letters.zip"), "--replace") == 0
    assert run("add", "letters", server.url("/letters.zip")) == 0
    assert load_registry(registry)["second"].files[0].filename == "letters.zip"
    assert list(load_registry(folder / "metadata.toml")) == ["letters"]
    assert list(load_registry()) == ["letters", "first", "second", "third"]


def test_add_with_a_login_keeps_the_place_on_this_machine_to_itself(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.tgz").write_bytes(CONTENT)
    assert run("add", "iam", str(tmp_path / "lines.tgz"), "--login", "Register at https://a.example/.") == 0
    (file,) = load_registry(registry)["iam"].files
    assert file.urls == ()
    assert file.login == "Register at https://a.example/."
    assert run("fetch", "iam") == 0


def test_add_does_not_overwrite_a_table_unless_asked(registry: Path, server: FileServer) -> None:
    with pytest.raises(DataError, match="has a table 'second' already. --replace puts"):
        run("add", "second", server.url("/letters.zip"))
    assert server.requests == []
    assert registry.read_text(encoding="utf-8") == REGISTRY


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_replacing_a_table_keeps_its_place_and_all_comments_around_it(
    registry: Path, server: FileServer, name: str
) -> None:
    assert run("add", name, server.url("/letters.zip"), "--replace", "--title", "New") == 0
    text = registry.read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    assert list(tables) == ["first", "second", "third"]
    assert tables[name]["title"] == "New"
    assert tables[name]["files"][0]["sha256"] == sha256(CONTENT)
    for comment, below in (("# About the second.", "[second]"), ("# About the third.", "[third]")):
        assert f"{comment}\n{below}" in text
    assert text.startswith("# Our registry.\n")
    assert text.endswith("# The end.\n")


def test_add_makes_a_registry_where_there_is_none(registry: Path, server: FileServer) -> None:
    registry.unlink()
    assert run("add", "letters", server.url("/letters.zip")) == 0
    assert list(load_registry(registry)) == ["letters"]
    assert registry.read_text(encoding="utf-8").startswith("[[letters.files]]\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x/y", "URL"], "a table's name may hold only letters"),
        (["letters", "URL", "URL"], "two files have the filename 'letters.zip'"),
        (["letters", "SERVER/"], "filename must be a name without folders"),
        (["letters", "SERVER/none.zip"], "cannot fetch SERVER/none.zip: 404 Not Found"),
        (["letters", "ftp://a.example/x.zip"], "url must begin with one of https://"),
        (["letters", "https://[a.example/x.zip"], "url cannot be read (Invalid IPv6 URL)"),
        (["letters", "/nowhere/x.zip"], "cannot read /nowhere/x.zip: No such file or directory"),
        (["letters", "URL", "--sha256", "0f" * 32], f"sha256 is {sha256(CONTENT)}, --sha256 says {'0f' * 32}"),
        (["letters", "URL", "--sha256", "0f" * 32, "--sha256", "0f" * 32], "one sha256 for each of 1 files"),
    ],
)
def test_add_that_fails_leaves_the_registry_and_the_data_folder_as_they_were(
    registry: Path, server: FileServer, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    places = {"URL": server.url("/letters.zip"), "SERVER": server.address}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    with pytest.raises(DataError) as caught:
        run("add", *arguments)
    assert expected.replace("SERVER", server.address) in str(caught.value)
    assert registry.read_text(encoding="utf-8") == REGISTRY
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file() or path.name == "letters"] == []


def test_add_to_an_older_file_of_one_dataset_is_refused(registry: Path, server: FileServer) -> None:
    text = f'url = "https://a.example/m.zip"\nfilename = "m.zip"\nsha256 = "{"0f" * 32}"\n'
    registry.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="describes one dataset with keys at top level"):
        run("add", "letters", server.url("/letters.zip"))
    assert registry.read_text(encoding="utf-8") == text


def test_without_a_command_the_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert "text-recognizer datasets add my-letters https://" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("DigitsDataset", "new"), "--as hdf5 writes datasets of lines; 'DigitsDataset' shows characters"),
        (("RenderedLinesDataset", "there"), "is there already"),
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


def test_a_password_in_an_address_is_used_and_written_nowhere(
    registry: Path, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["/letters.zip"] = CONTENT
    address = server.url("/letters.zip").replace("http://", "http://me:secret@")
    assert run("add", "letters", address) == 0
    assert load_registry()["letters"].files[0].urls == (server.url("/letters.zip"),)
    with pytest.raises(DataError, match="names? no host|begin with") as refused:
        run("add", "other", "ftp://me:secret@a.example/x.zip")
    assert "secret" not in registry.read_text() + "".join(capsys.readouterr()) + str(refused.value)
