"""The command `text-recognizer datasets add`: what is written into a registry, and what is left as it was."""

import tomllib
from pathlib import Path

import pytest

from text_recognizer.datasets.remote.metadata import load_registry, read_registry
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.file_server import FileServer, sha256
from training.tests.commands.datasets_command import CONTENT, REGISTRY, run


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
    table = read_registry(registry)["mine"]
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
    assert read_registry(registry)["second"].files[0].filename == "letters.zip"
    assert list(read_registry(folder / "metadata.toml")) == ["letters"]
    assert list(load_registry()) == ["letters", "first", "second", "third"]


def test_add_with_a_login_keeps_the_place_on_this_machine_to_itself(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.tgz").write_bytes(CONTENT)
    assert run("add", "iam", str(tmp_path / "lines.tgz"), "--login", "Register at https://a.example/.") == 0
    (file,) = read_registry(registry)["iam"].files
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
    assert list(read_registry(registry)) == ["letters"]
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
