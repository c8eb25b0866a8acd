"""Archives: members and links that would land elsewhere are refused, damage is named."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
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


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", links=(("a", "b"), ("b", "a")))
    assert "is a link out of its folder, or in a circle" in refused(path, tmp_path)
    path = tar_of(tmp_path / "a.tgz", ("a", "a", tarfile.SYMTYPE), ("b", "a", tarfile.LNKTYPE))
    assert "member 'b' is a link out of its folder, or in a circle" in refused(path, tmp_path)


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


def repacked(path: Path, other: Path, compress: Callable[[bytes], bytes]) -> Path:
    other.write_bytes(compress(gzip.decompress(path.read_bytes())))
    return other


def test_a_cut_or_changed_archive_is_named(tmp_path: Path) -> None:
    content = bytes(range(256)) * 300
    for path in (
        zip_of(tmp_path / "a.zip", ("x", content)),
        tar_of(tmp_path / "a.tgz", ("x", content, tarfile.REGTYPE)),
        repacked(tar_of(tmp_path / "b.tgz", ("x", content, tarfile.REGTYPE)), tmp_path / "a.tar.bz2", bz2.compress),
        repacked(tar_of(tmp_path / "b.tgz", ("x", content, tarfile.REGTYPE)), tmp_path / "a.tar.xz", lzma.compress),
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


def changed(path: Path, *changes: tuple[int, bytes]) -> Path:
    """A zip archive of one member with other bytes in the entry of its directory and in its local header."""
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    for at, value in changes:  # places as in the directory; a local header lacks its third word
        content[directory + at : directory + at + len(value)] = value
        content[at - 2 : at - 2 + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (((8, b"\1"),), "member 'x' is encrypted; unpack it by hand"),
        (((10, b"\x63"),), "member 'x' is packed by method 99; unpack it by hand"),
        (((10, b"\x0e"),), "member 'x' is packed by method 14; unpack it by hand"),
    ],
)
def test_members_that_are_not_to_be_unpacked_here_are_named(
    tmp_path: Path, changes: tuple[tuple[int, bytes], ...], expected: str
) -> None:
    path = changed(zip_of(tmp_path / "a.zip", ("x", b"text")), *changes)
    assert expected in refused(path, tmp_path)
    with pytest.raises(DataError, match=expected), open_member(path, "x"):
        pass


def tar_of_pax(path: Path, headers: dict[str, str], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x")
        info.type, info.pax_headers = kind, headers
        archive.addfile(info)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "has no name that a file can have"),
        ("./", "has no name that a file can have"),
        ("a\0b", "has no name that a file can have"),
        ("n" * 256, "has too long a name"),
        ("a/" * 32 + "a", "has too long a name"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    assert expected in refused(tar_of_pax(tmp_path / "a.tgz", {"path": name}), tmp_path)
    if len(name) > 3:
        assert expected in refused(zip_of(tmp_path / "a.zip", (name, b"")), tmp_path)


def test_a_member_of_a_zip_without_a_name_is_refused(tmp_path: Path) -> None:
    path = changed(zip_of(tmp_path / "a.zip", ("x", b"")), (28, b"\0\0\1\0"))  # its one letter is an extra field
    assert "member '' has no name that a file can have" in refused(path, tmp_path)


@pytest.mark.parametrize("target", ["", "a\0b", "n" * 256])
def test_a_link_to_what_no_file_can_be_called_is_refused(tmp_path: Path, target: str) -> None:
    path = tar_of_pax(tmp_path / "a.tgz", {"linkpath": target}, tarfile.SYMTYPE)
    assert "member 'x' is a link whose target has" in refused(path, tmp_path)
    path = zip_of(tmp_path / "a.zip", links=(("x", target),))
    assert "member 'x' is a link whose target has" in refused(path, tmp_path)


def test_a_link_in_a_zip_is_not_read_when_it_is_as_long_as_a_file(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", links=(("x", "n" * 2000),))
    assert "member 'x' is a link with a name of 2,000 bytes" in refused(path, tmp_path)


def test_members_in_each_others_way_are_named(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", ("x", b""), ("x/y", b""))
    assert "member 'x/y' cannot be read: " in refused(path, tmp_path)
    path = tar_of(tmp_path / "a.tgz", ("x", b"", tarfile.REGTYPE), ("x/y", b"", tarfile.REGTYPE))
    assert "member 'x/y' cannot be read: " in refused(path, tmp_path)


def test_an_archive_is_refused_by_the_sizes_it_announces(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", ("x", bytes(70_000_000)))
    assert "unpacks to 70,000,000 bytes, more than 100 times the" in refused(path, tmp_path)
    path = tar_of(tmp_path / "a.tgz", ("x", bytes(70_000_000), tarfile.REGTYPE))
    assert "unpacks to 70,000,000 bytes, more than 100 times the" in refused(path, tmp_path)
    with pytest.raises(DataError, match="unpacks to 70,000,000 bytes"), open_member(path, "x"):
        pass


def test_a_header_of_many_megabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.xz"
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 60_000_000
    path.write_bytes(lzma.compress(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(60_000_512), preset=0))
    assert "the header of a member has more than a million bytes" in refused(path, tmp_path)


def test_more_members_than_an_archive_of_its_size_has_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x").tobuf()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(header * 10_001 + bytes(1024)))
    assert "has more than 10,000 members" in refused(tmp_path / "a.tgz", tmp_path)


def test_of_two_members_with_one_name_the_last_is_read(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tgz", ("x", b"old", tarfile.REGTYPE), ("x", b"new", tarfile.REGTYPE))
    assert (extract(path, tmp_path / "into") / "x").read_bytes() == b"new"
    with open_member(path, "x") as file:
        assert file.read() == b"new"
