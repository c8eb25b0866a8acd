"""What comes from elsewhere: archives, and the answers of servers."""

import contextlib
import functools
import io
import socket
import tarfile
import threading
import time
import zipfile
from pathlib import Path

from text_recognizer.datasets.characters.files import read_character_files
from text_recognizer.datasets.remote import archives
from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets import character_files
from training.tests.fuzzing.base import Target, as_json, only
from training.tests.fuzzing.mutators import Files


def zips() -> list[Files]:
    members = {"a/lines.txt": b"x" * 200, "b.txt": b"", "a/c/d.bin": bytes(range(256))}
    one = character_files.part([0, 1])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("a/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "lines.txt")
        archive.writestr("a/lines.txt", b"y" * 999)
    archives = (character_files.zip_bytes(members), character_files.zip_bytes(character_files.idx_files(one, one)))
    return [{"files.zip": content} for content in (*archives, file.getvalue())]


def tars() -> list[Files]:
    def made(mode: str) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
            plain, links = tarfile.REGTYPE, [("a/c", tarfile.SYMTYPE, "b"), ("a/d", tarfile.LNKTYPE, "a/b")]
            for name, kind, link in [("a", tarfile.DIRTYPE, ""), ("a/b", plain, ""), ("l" * 120, plain, ""), *links]:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.size = kind, link, 600 if kind == plain else 0
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        return file.getvalue()

    return [{f"files.tar{ending}": made(f"w:{ending[1:]}")} for ending in ("", ".gz", ".xz")]


def answers() -> list[Files]:
    body = b"x" * 70
    lines = {
        200: b'ETag: "v1"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 70',
        206: b"Content-Range: bytes 10-69/70\r\nContent-Length: 60",
        416: b"Content-Range: bytes */10\r\nContent-Length: 0",
        429: b"Retry-After: 3\r\nContent-Length: 0",
        503: b"Retry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0",
        302: b"Location: /other\r\nContent-Length: 0",
    }
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    answered = [b"HTTP/1.1 %d Said\r\n%s\r\n\r\n%s" % (code, head, body) for code, head in lines.items()] + [chunked]
    note = as_json({"url": "the address", "validator": '"v1"'})
    return [{"answer.http": content, "part.json": note, "part": b"y" * 10} for content in answered]


def _archive(folder: Path) -> None:
    path = only(folder, "files.*")
    for member in archives.members(path):
        if member.kind == "file":
            with contextlib.suppress(DataError), archives.open_member(path, member.name) as file:
                while file.read(1 << 20):
                    pass
    with contextlib.suppress(DataError):
        read_character_files({path.name: path})
    archives.extract(path, folder / "unpacked")


class _Answering:
    """A web server whose only answer is a file."""

    def __init__(self) -> None:
        self.content = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/file"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(self.content)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65_536)


_server = functools.cache(_Answering)


def _answer(folder: Path) -> None:
    time.sleep = lambda _: None
    server = _server()
    server.content = (folder / "answer.http").read_bytes() if (folder / "answer.http").exists() else b""
    if (folder / "part").exists():
        (folder / "part").rename(folder / "whole.part")
    if (folder / "part.json").exists():
        note = (folder / "part.json").read_bytes().replace(b"the address", server.url.encode())
        (folder / "whole.part.json").write_bytes(note)
    try:
        Download(folder / "whole", size_bytes=70).run(server.url)
    except DownloadError as error:
        raise DataError(str(error)) from None


TARGETS = (
    Target("zip", zips, _archive),
    Target("tar", tars, _archive),
    Target("http", answers, _answer, share=0.5),
)
