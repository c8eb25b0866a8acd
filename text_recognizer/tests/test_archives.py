"""Archives: members and links that would land elsewhere are refused, damage is named."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from text_recognizer.datasets.remote.archives import extract, members, open_member
from text_recognizer.errors import DataError

SYMBOLIC_LINK = 0o120777 << 16


def zip_of(path: Path, *entries: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, link_to in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = SYMBOLIC_LINK
            archive.writestr(info, link_to)
        for name, content in entries:
            archive.writestr(name, content)
    return path


def tar_of(path: Path, *entries: tuple[str, bytes | str, bytes]) -> Path:
    """Entries are (name, content or target of a link, type)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, kind in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
    return path


def refused(path: Path, tmp_path: Path) -> str:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        extract(path, tmp_path / "into")
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("ending", [".zip", ".tgz"])
def test_an_archive_is_unpacked_with_its_folders_and_inner_links(tmp_path: Path, ending: str) -> None:
    if ending == ".zip":
        path = zip_of(tmp_path / "a.zip", ("in/x.txt", b"one"), ("y.txt", b"two"), links=(("in/link", "../y.txt"),))
    else:
        path = tar_of(
            tmp_path / "a.tgz",
            ("in/x.txt", b"one", tarfile.REGTYPE),
            ("y.txt", b"two", tarfile.REGTYPE),
            ("in/link", "../y.txt", tarfile.SYMTYPE),
            ("in/hard", "y.txt", tarfile.LNKTYPE),
        )
    folder = extract(path, tmp_path / "into")
    assert (folder / "in" / "x.txt").read_bytes() == b"one"
    assert (folder / "in" / "link").read_bytes() == b"two"
    assert not list(tmp_path.glob(".into*"))


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "in/../../out.txt", "..\\out.txt", "C:\\out.txt", "C:out"])
def test_a_member_that_would_land_outside_is_refused(tmp_path: Path, name: str) -> None:
    assert "would land outside its folder" in refused(zip_of(tmp_path / "a.zip", (name, b"")), tmp_path)
    tar = tar_of(tmp_path / "a.tar.gz", (name, b"", tarfile.REGTYPE))
    assert "would land outside its folder" in refused(tar, tmp_path)
    with pytest.raises(DataError):
        members(tar)


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    for target in ("../../out", "/etc/passwd"):
        path = zip_of(tmp_path / "a.zip", links=(("in/link", target),))
        assert f"is a link out of its folder (to '{target}')" in refused(path, tmp_path)
        path = tar_of(tmp_path / "a.tgz", ("in/link", target, tarfile.SYMTYPE))
        assert "is a link out of its folder" in refused(path, tmp_path)
        path = tar_of(tmp_path / "b.tgz", ("in/hard", target, tarfile.LNKTYPE))
        assert "is a link out of its folder" in refused(path, tmp_path)


def test_a_member_behind_a_link_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", ("here/x.txt", b""), links=(("here", "."),))
    assert "lies behind a link" in refused(path, tmp_path)
    path = tar_of(tmp_path / "a.tgz", ("here", ".", tarfile.SYMTYPE), ("here/x", b"", tarfile.REGTYPE))
    assert "lies behind a link" in refused(path, tmp_path)


def test_two_links_that_lead_outside_together_are_refused(tmp_path: Path) -> None:
    # 'b/..' reads as the folder itself, but b is the folder 'deep/..', so it is its parent.
    path = zip_of(tmp_path / "a.zip", ("deep/x", b""), links=(("c", "b/.."), ("b", ".")))
    assert "is a link out of its folder" in refused(path, tmp_path)
    path = tar_of(tmp_path / "a.tgz", ("c", "b/..", tarfile.SYMTYPE), ("b", ".", tarfile.SYMTYPE))
    assert "is a link out of its folder" in refused(path, tmp_path)


def test_a_member_that_replaces_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "a.zip", ("y", b"old"), ("x", b"new"), links=(("x", "y"),))
    assert "lies behind a link" in refused(path, tmp_path)


def test_a_device_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar.gz", ("null", b"", tarfile.CHRTYPE))
    assert "is a device or a pipe" in refused(path, tmp_path)


@pytest.mark.parametrize("name", ["a.zip", "a.tgz", "a.tar", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4 nonsense", b"\x1f\x8b nonsense", b"<html>", bytes(2000)])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    if name.startswith("a.t") and content == bytes(2000):
        assert members(path) == []  # two blocks of zeros are an empty tar
        return
    with pytest.raises(DataError, match=str(path)):
        members(path)


def test_a_cut_or_changed_archive_is_named(tmp_path: Path) -> None:
    content = bytes(range(256)) * 300
    for path in (
        zip_of(tmp_path / "a.zip", ("x", content)),
        tar_of(tmp_path / "a.tgz", ("x", content, tarfile.REGTYPE)),
    ):
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], whole[:100] + b"?????" + whole[105:]):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="damaged"), open_member(path, "x") as file:
                file.read()


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (
        zip_of(tmp_path / "a.zip", ("x", b"")),
        tar_of(tmp_path / "a.tgz", ("x", b"", tarfile.REGTYPE), ("f", b"", tarfile.DIRTYPE)),
    ):
        with pytest.raises(DataError, match="has no member 'y'"), open_member(path, "y"):
            pass
    with pytest.raises(DataError, match="member 'f' is not a file"), open_member(path, "f"):
        pass


def test_a_mistake_of_the_reader_is_not_called_damage(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", ("x", b"text"))
    with pytest.raises(ValueError, match="ours"), open_member(path, "x"):
        raise ValueError("ours")
