"""Fetching: what a server or a mirror can do to it."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from text_recognizer.datasets.remote import download
from text_recognizer.datasets.remote.fetch import raw_folder
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.tests.datasets.file_server import Fault, FileServer, file_entry, sha256, write_registry
from text_recognizer.tests.datasets.letters import (
    CONTENT,
    error_of_fetch,
    fetch_elsewhere,
    fetch_letters,
    register,
    serving_letters,  # noqa: F401
)
from text_recognizer.tests.waiting import wait_until

HALF = len(CONTENT) // 2


def left_over() -> list[str]:
    return sorted(path.name for path in raw_folder(find_table("letters")).iterdir())


def test_a_file_is_fetched_once_and_readable_by_everyone(server: FileServer) -> None:
    path = fetch_letters()
    assert path.read_bytes() == CONTENT
    assert fetch_letters() == path
    assert server.count("/x.bin") == 1
    assert left_over() == ["x.bin"]
    assert path.stat().st_mode & 0o444 == 0o444


def test_a_connection_that_drops_is_resumed_where_it_stopped(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(drop_after_bytes=HALF))
    assert fetch_letters().read_bytes() == CONTENT
    first, second = server.requests
    assert "Range" not in first.headers
    assert second.headers["Range"] == f"bytes={HALF}-"
    assert second.headers["If-Range"].startswith('"')


def test_a_download_whose_process_was_killed_is_resumed_by_the_next(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(drop_after_bytes=HALF, hold=threading.Event()))
    process = fetch_elsewhere()
    part = raw_folder(find_table("letters")) / "x.bin.part"
    wait_until(lambda: part.exists() and part.stat().st_size == HALF)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (part.parent / "x.bin").exists()
    assert fetch_letters().read_bytes() == CONTENT
    assert server.requests[-1].headers["Range"] == f"bytes={HALF}-"
    assert left_over() == ["x.bin"]


def test_a_file_that_changed_between_two_halves_is_fetched_from_its_beginning(server: FileServer) -> None:
    other = bytes(reversed(CONTENT))
    server.faults["/x.bin"].append(Fault(drop_after_bytes=HALF))
    server.faults["/x.bin"].append(Fault(status=404))
    error_of_fetch()
    server.files["/x.bin"] = other
    write_registry(
        Path(os.environ["TEXT_RECOGNIZER_METADATA"]),
        {"letters": [file_entry("x.bin", other, server.url("/x.bin"))]},
    )
    assert fetch_letters().read_bytes() == other
    assert server.requests[-1].headers["Range"] == f"bytes={HALF}-"  # If-Range made the server send all of it


def test_halves_of_two_versions_are_noticed_where_a_server_names_no_versions(server: FileServer) -> None:
    server.validators = False
    part = raw_folder(find_table("letters")) / "x.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * HALF)
    part.with_name("x.bin.part.json").write_text(json.dumps({"url": server.url("/x.bin"), "validator": None}))
    assert fetch_letters().read_bytes() == CONTENT
    assert [request.headers.get("Range") for request in server.requests] == [f"bytes={HALF}-", None]


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer) -> None:
    part = raw_folder(find_table("letters")) / "x.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"?")
    part.with_name("x.bin.part.json").write_text(json.dumps({"url": server.url("/x.bin"), "validator": None}))
    assert fetch_letters().read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_not_sent_again(server: FileServer) -> None:
    part = raw_folder(find_table("letters")) / "x.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    part.with_name("x.bin.part.json").write_text(json.dumps({"url": server.url("/x.bin"), "validator": None}))
    assert fetch_letters().read_bytes() == CONTENT
    assert [request.headers.get("Range") for request in server.requests] == [f"bytes={len(CONTENT)}-"]


def test_a_server_without_ranges_sends_everything_again(server: FileServer) -> None:
    server.ranges = False
    server.faults["/x.bin"].append(Fault(drop_after_bytes=HALF))
    assert fetch_letters().read_bytes() == CONTENT


def test_a_line_that_drops_often_but_moves_on_is_not_given_up(server: FileServer) -> None:
    content = CONTENT * 8
    server.files["/x.bin"] = content
    register(Path(os.environ["TEXT_RECOGNIZER_METADATA"]).parent, server.url("/x.bin"), content=content)
    server.faults["/x.bin"].extend(Fault(drop_after_bytes=2_500_000) for _ in range(9))
    assert fetch_letters().read_bytes() == content
    assert server.count("/x.bin") == 10 > 1 + download.RETRIES


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server: FileServer, status: int) -> None:
    server.faults["/x.bin"].extend([Fault(status=status), Fault(status=status, headers={"Retry-After": "0"})])
    assert fetch_letters().read_bytes() == CONTENT
    assert server.count("/x.bin") == 3


def test_a_server_that_stays_busy_is_given_up_with_what_it_said(server: FileServer) -> None:
    server.faults["/x.bin"].extend(Fault(status=503) for _ in range(9))
    assert "503 Service Unavailable (tried 4 times)" in error_of_fetch()
    assert server.count("/x.bin") == 1 + download.RETRIES


def test_a_server_that_asks_for_an_hour_is_given_up_at_once(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(status=429, headers={"Retry-After": "3600"}))
    assert "it asks to wait 3600 s" in error_of_fetch()
    assert server.count("/x.bin") == 1


@pytest.mark.parametrize("asked", ["garbage", "1e5", "9" * 5000, "Sat, 01 Jan 99999999999 00:00:00 GMT"])
def test_a_server_that_asks_for_a_time_that_is_none_is_asked_again(server: FileServer, asked: str) -> None:
    server.faults["/x.bin"].append(Fault(status=429, headers={"Retry-After": asked}))
    assert fetch_letters().read_bytes() == CONTENT
    assert server.count("/x.bin") == 2


def test_a_redirection_to_an_address_that_is_no_text_is_an_error_in_words(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(status=302, headers={"Location": "/\xff"}))
    assert "its answer cannot be read: 'utf-8' codec" in error_of_fetch()


@pytest.mark.parametrize(
    "note", ["[" * 100_000, '{"url": "ADDRESS", "validator": ["x"]}', '{"url": "ADDRESS", "validator": "é"}']
)
def test_a_download_whose_note_is_damaged_begins_again(server: FileServer, tmp_path: Path, note: str) -> None:
    (tmp_path / "whole.part").write_bytes(CONTENT[:1000])
    (tmp_path / "whole.part.json").write_text(note.replace("ADDRESS", server.url("/x.bin")))
    download.Download(tmp_path / "whole").run(server.url("/x.bin"))
    assert (tmp_path / "whole").read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_twice(server: FileServer) -> None:
    server.files.clear()
    message = error_of_fetch()
    assert f"cannot fetch 'x.bin' of letters from {server.url('/x.bin')}: 404 Not Found. Run again" in message
    assert server.count("/x.bin") == 1


def test_a_file_of_another_hash_is_named_where_the_right_one_cannot_be_had(server: FileServer, tmp_path: Path) -> None:
    fetch_letters().write_bytes(b"of another source")
    server.files.clear()
    message = error_of_fetch()
    assert f"x.bin has sha256 {sha256(b'of another source')}, expected {sha256(CONTENT)} of " in message
    assert message.endswith("If it is right: text-recognizer datasets update letters")


def test_an_address_that_does_not_speak_https_is_given_up_at_once(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, server.url("/x.bin").replace("http:", "https:"))
    message = error_of_fetch()
    assert "no secure connection: " in message
    assert "tried" not in message


def test_a_redirection_is_followed_to_the_half_that_is_missing(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, server.url("/old.bin"))
    server.faults["/old.bin"].extend(Fault(status=302, headers={"Location": "/x.bin"}) for _ in range(2))
    server.faults["/x.bin"].append(Fault(drop_after_bytes=HALF))
    assert fetch_letters().read_bytes() == CONTENT
    assert server.requests[-1].headers["Range"] == f"bytes={HALF}-"


def test_a_file_labelled_as_compressed_arrives_as_it_is(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(headers={"Content-Encoding": "gzip"}))
    assert fetch_letters().read_bytes() == CONTENT


# What an address gives


def test_the_wrong_content_gets_no_name_and_both_hashes_are_said(server: FileServer, tmp_path: Path) -> None:
    wrong = bytes(len(CONTENT))
    server.files["/x.bin"] = wrong
    message = error_of_fetch()
    assert f"sha256 is {sha256(wrong)}, {tmp_path}/metadata.toml says {sha256(CONTENT)} (download removed)" in message
    assert "Run again; if it repeats, the source has changed" in message
    assert left_over() == []


def test_a_file_of_another_size_is_refused_before_it_is_sent(server: FileServer) -> None:
    server.files["/x.bin"] = CONTENT + b"?"
    assert "it offers 3,145,729 bytes, expected 3,145,728" in error_of_fetch()
    assert left_over() == []


def test_a_web_page_instead_of_a_file_is_called_one(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, server.url("/x.bin"), size_bytes=None)
    server.files["/x.bin"] = b"<!DOCTYPE html><title>Please log in</title>"
    assert "it is a web page, perhaps one to log in" in error_of_fetch()


def test_mirrors_are_tried_in_their_order(server: FileServer, tmp_path: Path) -> None:
    server.files["/wrong.bin"] = bytes(len(CONTENT))
    urls = [server.url(path) for path in ("/missing.bin", "/wrong.bin", "/x.bin", "/never.bin")]
    register(tmp_path, *urls)
    assert fetch_letters().read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/missing.bin", "/wrong.bin", "/x.bin"]


def test_when_all_mirrors_fail_each_says_why_and_passwords_stay_unsaid(server: FileServer, tmp_path: Path) -> None:
    server.files["/wrong.bin"] = bytes(len(CONTENT))
    with_password = server.url("/missing.bin").replace("http://", "http://me:secret@")
    closed = "http://127.0.0.1:9/x.bin"
    register(tmp_path, with_password, server.url("/wrong.bin"), closed, (tmp_path / "none").as_uri())
    message = error_of_fetch()
    assert f"{server.url('/missing.bin')}: 404 Not Found" in message
    assert f"{server.url('/wrong.bin')}: sha256 is {sha256(bytes(len(CONTENT)))}" in message
    assert f"{closed}: " in message
    assert "Connection refused (tried 4 times)" in message
    assert f"cannot read {tmp_path / 'none'}: No such file or directory" in message
    assert "secret" not in message


def test_a_file_address_is_copied(server: FileServer, tmp_path: Path) -> None:
    original = tmp_path / "with blank" / "x.bin"
    original.parent.mkdir()
    original.write_bytes(CONTENT)
    register(tmp_path, original.as_uri())
    assert fetch_letters().read_bytes() == CONTENT
    assert original.exists()
