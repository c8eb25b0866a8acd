"""Archives of IAM: where they lie, what is fetched, what is asked for."""

import shutil
import tarfile
import zipfile

import pytest

from text_recognizer.datasets.lines.iam import IamDataset, IamLinesDataset
from text_recognizer.datasets.pages.iam_paragraphs import IamParagraphsDataset
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.file_server import sha256, write_registry
from text_recognizer.tests.datasets.iam_files import (
    AS_IT_IS,
    FORMS,
    TASK,
    box,
    fsdl_archive,
    members,
    prepared,
    texts,
)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("registry", ["", "[mine]\nurl = 'file:///x'\nfilename = 'x'\n"])
def test_archives_are_unpacked_where_they_lie(iam, tmp_path, monkeypatch, registry):
    if registry:  # of the user, who put the files there by hand
        (tmp_path / "metadata.toml").write_text(registry)
        monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    # In the official archives the folders ascii, xml and lines themselves are missing.
    raw = tmp_path / "data" / "raw" / "iam"
    raw.mkdir(parents=True)
    for name in ("ascii", "xml", "lines"):
        with tarfile.open(raw / f"{name}.tgz", "w:gz") as archive:
            for path in sorted((iam / name).iterdir()):
                archive.add(path, path.name)
    with zipfile.ZipFile(raw / f"{TASK}.zip", "w") as archive:
        for path in (iam / TASK).iterdir():
            archive.write(path, f"{TASK}/{path.name}")
    dataset = IamDataset(**AS_IT_IS)
    dataset.prepare()
    assert members(dataset) == members(prepared(iam))
    assert dataset.fingerprint == prepared(iam).fingerprint
    assert IamDataset(**AS_IT_IS).is_prepared()


def test_the_archive_of_the_full_stack_recogniser_is_fetched_and_read_as_it_is(tmp_path, monkeypatch):
    # Its registry is one file for each dataset.
    content = fsdl_archive()
    (tmp_path / "iamdb.zip").write_bytes(content)
    metadata = tmp_path / "registry" / "iam" / "metadata.toml"
    metadata.parent.mkdir(parents=True)
    url = (tmp_path / "iamdb.zip").as_uri()
    metadata.write_text(f"url = '{url}'\nfilename = 'iamdb.zip'\nsha256 = '{sha256(content)}'\n")
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "registry"))
    dataset = IamDataset(height=15)
    assert not dataset.is_prepared()
    dataset.prepare()
    assert IamDataset(height=15).is_prepared()
    assert (dataset.texts, dataset.images, dataset.iam_split) == ("xml", "forms", "writers")
    assert sorted(texts(dataset).values()) == sorted(text for _, lines in FORMS.values() for _, _, text in lines)
    assert set(dataset.pool.widths.tolist()) == {box(index)[2] // 2 for index in range(3)}
    lines = IamLinesDataset()
    lines.prepare()
    assert sum(lines.sizes().values()) == 9
    paragraphs = IamParagraphsDataset(side=32, margin=20)
    assert not paragraphs.is_prepared()
    paragraphs.prepare()
    assert paragraphs.sizes() == {"train": 3, "validation": 1, "test": 1}
    assert IamParagraphsDataset(side=32, margin=20).is_prepared()


def test_the_packed_forms_are_found_where_their_table_was_fetched_by_name(tmp_path, monkeypatch):
    (tmp_path / "iamdb.zip").write_bytes(fsdl_archive())
    entry = {"filename": "iamdb.zip", "url": (tmp_path / "iamdb.zip").as_uri()}
    registry = write_registry(tmp_path / "metadata.toml", {"iamdb": [entry]})
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(registry))
    named = IamParagraphsDataset(source="iamdb", side=32)
    named.prepare()
    assert IamParagraphsDataset(side=32).is_prepared()
    assert IamParagraphsDataset(side=32).store_path == named.store_path


def test_without_files_the_registry_says_which_where_to_register_and_where_to_put_them(tmp_path):
    with pytest.raises(DataError) as caught:
        IamDataset().prepare()
    message = str(caught.value)
    assert "'ascii.tgz', 'xml.tgz', 'lines.tgz', 'formsA-D.tgz', 'formsE-H.tgz', 'formsI-Z.tgz' need a reg" in message
    assert "need a registration: https://fki.tic.heia-fr.ch/databases/iam-handwriting-database" in message
    assert f"Put it at {tmp_path}/data/raw/iam/lines.tgz" in message


def test_the_lists_of_the_task_are_fetched_and_a_changed_archive_is_refused(iam, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / f"{TASK}.zip", "w") as archive:
        for path in (iam / TASK).iterdir():
            archive.write(path, f"{TASK}/{path.name}")
    raw = tmp_path / "data" / "raw" / "iam"
    shutil.copytree(iam / "lines", raw / "lines")
    with tarfile.open(raw / "ascii.tgz", "w:gz") as packed:
        packed.add(iam / "ascii" / "lines.txt", "lines.txt")
    files = [
        {"filename": "ascii.tgz", "login": "Register."},
        {"filename": f"{TASK}.zip", "url": (tmp_path / f"{TASK}.zip").as_uri()},
    ]
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(write_registry(tmp_path / "metadata.toml", {"iam": files})))
    dataset = IamDataset(**AS_IT_IS)
    dataset.prepare()
    assert members(dataset) == members(prepared(iam))
    assert (raw / "SHA256SUMS").read_text().count("\n") == 2
    shutil.rmtree(raw / "ascii")
    (raw / "ascii.tgz").write_bytes(b"another")
    with pytest.raises(DataError, match=f"the one there has sha256 {sha256(b'another')}, expected "):
        IamDataset().prepare()
