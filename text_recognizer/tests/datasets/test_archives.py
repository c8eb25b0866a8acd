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
def test_an_archive_is_unpacked_with_its_folders(tmp_path: Path, ending: str) -> None:
    contents = {"in/x.txt": b"one", "y.txt": b"two"}
    if ending == ".zip":
        path = zip_of(tmp_path / "a.zip", *contents.items())
    else:
        path = tar_of(tmp_path / "a.tgz", *((name, content, tarfile.REGTYPE) for name, content in contents.items()))
    folder = extract(path, tmp_path / "into")
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    assert not list(tmp_path.glob(".into*"))


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "in/../../out.txt", "..\\out.txt", "C:\\out.txt", "C:out"])
def test_a_member_that_would_land_outside_is_refused(tmp_path: Path, name: str) -> None:
    assert "would land outside its folder" in refused(zip_of(tmp_path / "a.zip", (name, b"")), tmp_path)
    tar = tar_of(tmp_path / "a.tar.gz", (name, b"", tarfile.REGTYPE))
    assert "would land outside its folder" in refused(tar, tmp_path)
    with pytest.raises(DataError):
        members(tar)


@pytest.mark.parametrize("target", ["../../out", "/etc/passwd", "y.txt", ".", "in/link", "", "a\0b", "n" * 2000])
def test_a_link_is_refused_wherever_it_leads(tmp_path: Path, target: str) -> None:
    expected = "member 'in/link' is a link: unpack the archive by hand; nothing was unpacked"
    path = zip_of(tmp_path / "a.zip", ("y.txt", b"two"), links=(("in/link", target),))
    assert expected in refused(path, tmp_path)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        assert expected in refused(tar_of(tmp_path / "a.tgz", ("in/link", target, kind)), tmp_path)


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
