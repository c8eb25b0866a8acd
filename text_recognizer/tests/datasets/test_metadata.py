"""The registry of remote datasets: layouts that are read, mistakes that are named."""

import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.datasets.remote.metadata import (
    RemoteFile,
    find_table,
    load_registry,
    parse_registry,
    read_registry,
)
from text_recognizer.errors import DataError
from text_recognizer.settings import REPOSITORY

HASH = "0f" * 32


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "emnist" / "metadata.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def problems_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(DataError) as caught:
        read_registry(written(tmp_path, text))
    return str(caught.value)


def test_the_registry_of_the_project_is_right_and_lists_the_sources_of_its_datasets() -> None:
    tables = read_registry(REPOSITORY / "metadata" / "metadata.toml")
    assert {"mnist", "emnist"} <= set(tables)
    assert [file.filename for file in tables["emnist"].files] == ["matlab.zip"]
    assert tables["mnist"].size_bytes == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert all(table.title and table.licence and table.citation and table.homepage for table in tables.values())


def test_a_table_with_several_files_mirrors_and_a_login(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [letters]
        title = "Letters"
        licence = "CC0"

        [[letters.files]]
        urls = ["https://a.example/x.gz", "s3://bucket/x.gz"]
        filename = "x.gz"
        sha256 = "{HASH.upper()}"
        size_bytes = 12

        [[letters.files]]
        filename = "y.gz"
        sha256 = "{HASH}"
        login = "Register at https://a.example/."
        """,
    )
    table = read_registry(path)["letters"]
    assert table.files == (
        RemoteFile("x.gz", ("https://a.example/x.gz", "s3://bucket/x.gz"), HASH, 12),
        RemoteFile("y.gz", (), HASH, None, "Register at https://a.example/."),
    )
    assert (table.title, table.licence, table.size_bytes) == ("Letters", "CC0", None)


def test_a_table_of_the_older_three_keys(tmp_path: Path) -> None:
    path = written(tmp_path, f'[iam]\nurl = "http://a.example/iam.zip"\nfilename = "iam.zip"\nsha256 = "{HASH}"\n')
    assert read_registry(path)["iam"].files == (RemoteFile("iam.zip", ("http://a.example/iam.zip",), HASH),)


def test_an_older_file_with_the_three_keys_at_top_level_is_named_after_its_folder(tmp_path: Path) -> None:
    path = written(tmp_path, f'filename = "m.zip"\nsha256 = "{HASH}"\nurl = "https://a.example/m.zip"\n')
    assert list(read_registry(path)) == ["emnist"]


def older_registry(folder: Path, name: str) -> Path:
    """The metadata.toml of one dataset, as the Full Stack Deep Learning recogniser has it."""
    (folder / name).mkdir(parents=True)
    text = f"url = 'https://a.example/{name}.zip'\nfilename = '{name}.zip'\nsha256 = '{HASH}'\n"
    (folder / name / "metadata.toml").write_text(text, encoding="utf-8")
    return folder / name / "metadata.toml"


def test_several_registry_files_and_folders_of_them_are_one_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "data" / "raw"
    names = ["emnist", "fsdl_handwriting", "iam"]
    files = [older_registry(raw, name) for name in names]
    other = older_registry(tmp_path / "other", "mine")
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", os.pathsep.join([str(raw), str(other), str(files[0])]))
    assert {name: table.metadata for name, table in load_registry().items()} == dict(
        zip([*names, "mine"], [*files, other], strict=True)
    )
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", f"{raw}/*/metadata.toml")
    assert list(load_registry()) == names
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", os.pathsep.join([str(raw), str(other)]))
    with pytest.raises(DataError, match=rf"{raw}/emnist/metadata\.toml, .*, {other} has no table 'iem'"):
        find_table("iem")


def test_two_tables_of_one_name_are_refused_with_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [older_registry(tmp_path / place, "iam") for place in ("here", "there")]
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", os.pathsep.join(map(str, files)))
    with pytest.raises(DataError, match=f"two tables are called 'iam': one in {files[0]}, one in {files[1]}"):
        load_registry()


def test_a_folder_without_a_registry_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"there is no metadata\.toml in {tmp_path}"):
        load_registry()


def test_an_unknown_table_is_answered_with_the_nearest_and_all_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, f'[mnist]\nurl = "file:///m"\nfilename = "m"\nsha256 = "{HASH}"\n')
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(path))
    with pytest.raises(DataError, match=r"no table 'mnits'\. Did you mean 'mnist'\? It has: mnist\."):
        find_table("mnits")


def test_every_mistake_is_named_with_file_table_and_key(tmp_path: Path) -> None:
    text = problems_of(
        tmp_path,
        f"""
        [a]
        license = "CC0"
        [[a.files]]
        url = "ftp://a.example/x"
        filename = "../x"
        sha256 = "abc"
        size_bytes = 1.5
        [[a.files]]
        filename = "y"
        sha256 = "{HASH}"
        [b]
        files = []
        """,
    )
    assert "emnist/metadata.toml:\n  - [a] has no argument" in text
    assert "[a] has no argument 'license'. Did you mean 'licence'?" in text
    assert "[a] file 1: url must begin with one of https://, http://, s3://, file://. Received: 'ftp://a." in text
    assert "[a] file 1: filename must be a name without folders" in text
    assert "[a] file 1: sha256 must be 64 hexadecimal digits. Received: 'abc'." in text
    assert "[a] file 1: size_bytes must be a whole number. Received: 1.5." in text
    assert "[a] file 2: url is required" in text
    assert "[b]: files must be one or several tables" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a]\nurl = 3\n", "urls.0 must be text. Received: 3."),
        ("[a]\nurl = 'https:///x'\n", "url names no host"),
        ("[a]\nurl = 'https://h:nine/x'\n", "url cannot be read"),
        ("[a]\nurl = 's3://bucket'\n", "url must be s3://bucket/key"),
        ("[a]\nurl = 'file://x/y'\n", "url must be file:///absolute/path"),
        ("[a]\nurl = 'https://h/x'\nurls = []\n", "either url or urls"),
        ("[a]\nurls = 'https://h/x'\n", "urls must be a list"),
        ("[a]\ntitle = ' '\n", "title must be text that is not empty"),
        ("[a]\nurl = 'https://h/x'\n", "[a] needs the argument 'filename'."),
        ("[a]\nfilename = 'x'\n", "url is required"),
        ("[a]\nsize_bytes = true\n", "size_bytes must be a whole number"),
        ("a = 1\n", "[a]: must be a table with files. Received: 1."),
        ("['a b']\n", "a table's name may hold only"),
        ("[a]\nb\n", "is not valid TOML: Expected '=' after a key in a key/value pair (at line 2, column 2)."),
        (
            f"[a]\nfiles = [{{filename='x', sha256='{HASH}', login='l'}}, {{filename='x'}}]",
            "two files have the filename",
        ),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problems_of(tmp_path, text)


def test_a_registry_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the registry .*nowhere\.toml.*TEXT_RECOGNIZER_METADATA"):
        read_registry(tmp_path / "nowhere.toml")
    path = tmp_path / "latin1.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(DataError, match=r"is not UTF-8 text: .* at byte 5"):
        read_registry(path)


KEYS = ["url", "urls", "filename", "sha256", "size_bytes", "login", "title", "files", "other"]
VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-9, 9), st.floats(allow_nan=True), st.sampled_from(["", "x", HASH, "s3://b/k"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b c", *KEYS]), VALUES, max_size=4))
def test_any_registry_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        tables = parse_registry(tomlkit.dumps(document), Path("x/metadata.toml"))
    except DataError as error:
        assert str(error).startswith("x/metadata.toml:")
    else:
        assert all(file.sha256 == HASH for table in tables.values() for file in table.files)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a{' . a' * 100_000} = 1", "joins more than 64 names by dots"),
        ("#" * 1_000_001, "has 1,000,001 characters"),
        (f"a = {'[' * 100_000}", "is nested too deeply"),
        (f"a = {'9' * 5_000}", "is not valid TOML"),
        ('[t]\nurl = "ftp://me:secret@a.example/x"\n', "Received: 'ftp://a.example/x'"),
    ],
)
def test_a_registry_that_would_take_for_ever_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_registry(text, tmp_path / "metadata.toml")
