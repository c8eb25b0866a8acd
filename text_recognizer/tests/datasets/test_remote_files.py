"""Fetching: what a disk or another process can do to it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from text_recognizer.datasets.remote.fetch import fetch, state, verify
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.datasets.file_server import Fault, FileServer, file_entry, sha256, write_registry
from text_recognizer.tests.datasets.letters import (
    CONTENT,
    FETCH,
    error_of_fetch,
    fetch_elsewhere,
    fetch_letters,
    register,
    serving_letters,  # noqa: F401
)
from text_recognizer.tests.waiting import PATIENCE_S


def test_a_file_that_was_damaged_on_disk_is_found_by_verify_and_fetched_again(server: FileServer) -> None:
    path = fetch_letters()
    assert verify(find_table("letters")) == []
    path.write_bytes(b"?" + CONTENT[1:])
    (problem,) = verify(find_table("letters"))
    assert str(path) in problem
    assert sha256(CONTENT) in problem
    assert fetch_letters().read_bytes() == CONTENT


def test_what_is_there_already_needs_no_server(server: FileServer, tmp_path: Path) -> None:
    fetch_letters()
    register(tmp_path, "http://127.0.0.1:9/x.bin")
    assert fetch_letters().read_bytes() == CONTENT


def test_the_state_of_a_table(server: FileServer, tmp_path: Path) -> None:
    entry = file_entry("x.bin", CONTENT, server.url("/x.bin"))
    missing = file_entry("y.bin", CONTENT, server.url("/y.bin"))
    asked = file_entry("z.bin", CONTENT, login="Register at https://a.example/.")
    assert state(find_table("letters")) == "not fetched"
    fetch_letters()
    assert state(find_table("letters")) == "fetched"
    write_registry(tmp_path / "metadata.toml", {"letters": [entry, missing]})
    assert state(find_table("letters")) == "partly fetched"
    write_registry(tmp_path / "metadata.toml", {"letters": [entry, missing, asked]})
    assert state(find_table("letters")) == "needs login"


def test_a_file_that_needs_a_login_says_where_to_register_and_where_to_put_it(
    server: FileServer, tmp_path: Path
) -> None:
    asked = file_entry("z.bin", CONTENT, server.url("/z.bin"), login="Register at https://a.example/.")
    entry = file_entry("x.bin", CONTENT, server.url("/x.bin"))
    write_registry(tmp_path / "metadata.toml", {"letters": [entry, asked]})
    place = tmp_path / "data" / "raw" / "letters" / "z.bin"
    message = error_of_fetch()
    assert "'z.bin' needs a registration: Register at https://a.example/." in message
    assert f"Put it at {place}" in message
    assert server.requests == []

    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(len(CONTENT)))
    assert f"the one there has sha256 {sha256(bytes(len(CONTENT)))}, expected {sha256(CONTENT)}" in error_of_fetch()
    place.write_bytes(CONTENT)
    assert fetch(find_table("letters"))["z.bin"] == place


def test_a_hash_that_nobody_published_is_recorded_at_the_first_fetch(server: FileServer, tmp_path: Path) -> None:
    asked = {"filename": "z.bin", "login": "Register."}
    entry = {"filename": "x.bin", "url": server.url("/x.bin")}
    write_registry(tmp_path / "metadata.toml", {"letters": [entry, asked]})
    folder = tmp_path / "data" / "raw" / "letters"
    folder.mkdir(parents=True)
    (folder / "z.bin").write_bytes(b"z")
    fetch_letters()
    assert (folder / "SHA256SUMS").read_text() == f"{sha256(CONTENT)}  x.bin\n{sha256(b'z')}  z.bin\n"
    assert verify(find_table("letters")) == []
    (folder / "x.bin").unlink()
    server.files["/x.bin"] = b"another"
    message = error_of_fetch()
    assert (
        f"sha256 is {sha256(b'another')}, {folder / 'SHA256SUMS'} says {sha256(CONTENT)} (download removed)" in message
    )
    (folder / "z.bin").write_bytes(b"another")
    assert f"expected {sha256(b'z')} of {folder / 'SHA256SUMS'}" in error_of_fetch()
    assert f"{folder / 'SHA256SUMS'} says {sha256(b'z')}" in verify(find_table("letters"))[1]


def test_a_disk_with_too_little_room_is_noticed_before_the_download(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, server.url("/x.bin"), size_bytes=10**18)
    message = error_of_fetch()
    assert f"{tmp_path}/data/raw/letters has " in message
    assert "1,000,000,000,000,000,000 are still to be fetched" in message
    assert "TEXT_RECOGNIZER_DATA" in message
    assert server.requests == []


def test_a_data_folder_that_cannot_be_made_is_named(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("a file, not a folder")
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "occupied" / "data"))
    message = error_of_fetch()
    assert f"cannot write to {tmp_path / 'occupied' / 'data'}" in message
    assert "TEXT_RECOGNIZER_DATA" in message


def in_a_namespace(setup: str) -> tuple[str, ...]:
    """A command in front of which runs `setup` as root of a mount namespace of its own."""
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{setup} && exec "$@"', "sh")
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this machine allows no mounts in a namespace")
    return command


def test_a_read_only_data_folder_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    command = in_a_namespace(
        f"mount --bind {tmp_path}/data {tmp_path}/data && mount -o remount,bind,ro {tmp_path}/data"
    )
    _, errors = fetch_elsewhere(command=command).communicate()
    assert "DataError: cannot write to " in errors
    assert f"{tmp_path}/data/raw" in errors
    assert "Read-only file system" in errors
    assert "Traceback" not in errors


def test_a_read_only_data_folder_that_has_the_files_will_do(server: FileServer, tmp_path: Path) -> None:
    path = fetch_letters()
    command = in_a_namespace(
        f"mount --bind {tmp_path}/data {tmp_path}/data && mount -o remount,bind,ro {tmp_path}/data"
    )
    output, _ = fetch_elsewhere(command=command).communicate()
    assert output.strip() == str(path)


def test_a_disk_that_fills_up_is_named_and_nothing_gets_the_name(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, server.url("/x.bin"), size_bytes=None)
    (tmp_path / "data").mkdir()
    command = in_a_namespace(f"mount -t tmpfs -o size=1m tmpfs {tmp_path}/data")
    listing = "\nfinally:\n    from pathlib import Path; print(*sorted(p.name for p in Path(sys.argv[1]).iterdir()))"
    process = subprocess.Popen(
        [*command, sys.executable, "-c", FETCH + listing, str(tmp_path / "data" / "raw" / "letters")],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    output, errors = process.communicate()
    assert f"DataError: cannot write to {tmp_path}/data/raw/letters: No space left on device" in errors
    assert "TEXT_RECOGNIZER_DATA" in errors
    assert output.split() == ["x.bin.part", "x.bin.part.json"]  # to go on with when there is room


def test_a_limit_on_the_size_of_files_is_named(server: FileServer, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
    _, errors = fetch_elsewhere(limit + FETCH).communicate()
    assert f"DataError: cannot write to {tmp_path}/data/raw/letters: File too large" in errors
    assert not (tmp_path / "data" / "raw" / "letters" / "x.bin").exists()


# Several processes


def test_of_eight_processes_one_fetches_and_seven_wait(server: FileServer) -> None:
    go = threading.Event()
    server.faults["/x.bin"].append(Fault(hold=go))
    processes = [fetch_elsewhere() for _ in range(8)]
    try:
        first_lines = [process.stderr.readline().split()[0] for process in processes if process.stderr]
        assert sorted(first_lines) == ["fetching"] + ["waiting"] * 7
    finally:
        go.set()
        outputs = [process.communicate() for process in processes]
    assert len({output for output, _ in outputs}) == 1
    assert all(process.returncode == 0 for process in processes)
    assert server.count("/x.bin") == 1


def test_the_lock_of_a_killed_process_holds_nobody_up(server: FileServer) -> None:
    server.faults["/x.bin"].append(Fault(hold=threading.Event()))
    process = fetch_elsewhere()
    assert process.stderr
    assert process.stderr.readline().startswith("fetching x.bin (3.1 MB) from 127.0.0.1")
    assert server.holding.wait(PATIENCE_S)
    process.kill()
    process.communicate()
    assert fetch_letters().read_bytes() == CONTENT
