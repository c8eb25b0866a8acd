"""The lease folder is open to all users: whatever lies in it, nobody gets a device twice and nobody is kept out."""

import contextlib
import json
import os
import shutil
import time

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.tests.waiting import wait_until
from training import cli
from training.devices.allocation import Wish
from training.devices.gpu_manager import GPUManager
from training.devices.lease_records import MOST_BYTES, Record
from training.files import lock_files, processes
from training.tests.devices.forked import NOBODY, Child
from training.tests.devices.lease_stories import holder, holding, lease, numbers, waiting
from training.tests.devices.simulated_nvml import needs_compiler, simulated_machine

pytestmark = needs_compiler
as_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")

GPU = "GPU-00000000"


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with simulated_machine(monkeypatch) as simulated:
        simulated.folder.chmod(0o777)
        yield simulated.with_gpus(1)


@contextlib.contextmanager
def locked(path, content=b""):
    """A file of somebody who has read how leases are made."""
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir()
        path.parent.chmod(0o1777)
    descriptor = lock_files.create(path)
    try:
        assert lock_files.lock(descriptor)
        lock_files.write(descriptor, content)
        yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def record(**changes):
    """A whole record in JSON, with some of its values changed."""
    values = json.loads(Record.of_this_process(Wish(1, {GPU: None}, False, "1 GPU"), "mlp").to_json())
    values |= {"holds": {GPU: None}, "since": time.time()}
    return json.dumps(values | changes).encode()


def shown(capsys, *arguments):
    assert cli.main(["gpus", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


MALFORMED = {
    "nothing": b"",
    "half a line": b'{"format": 1, "pid"',
    "no text": b"\xff\xfe",
    "null": b"null",
    "a list": b"[]",
    "deeply nested": b"[" * 200_000,
    "too large": b" " * (MOST_BYTES + 1),
    "another format": record(format=2),
    "a pid that is text": record(pid="1"),
    "a pid beyond all pids": record(pid=2**70),
    "a pid of a group": record(pid=-1),
    "a start that is a list": record(started=[]),
    "a user that is a number": record(user=7),
    "a time that is text": record(asked="now"),
    "a time without a calendar": record(asked=1e300),
    "no time": record(asked=float("nan")),
    "an endless time": record(since=float("inf")),
    "no wish": record(wish=None),
    "a wish for nothing": record(wish={"count": 0, "candidates": {}, "force": False, "text": ""}),
    "a wish that is a list": record(wish=[1, {}, False, ""]),
    "held devices as a list": record(holds=[GPU]),
    "held memory as text": record(holds={GPU: "all"}),
    "held memory below nothing": record(holds={GPU: -90_000}),
    "held memory beyond numbers": record(holds={GPU: 10**400}),
    "a true holding": record(holds=True),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("suffix", ["lease", "waiting"])
def test_a_malformed_record_keeps_nobody_out(machine, capsys, content, suffix):
    with locked(machine.locks / f"000000000007.{suffix}", content):
        with lease("0") as mine:
            assert numbers(mine) == [0]
        assert "free" in shown(capsys)


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_without_a_lock_is_nothing(machine, capsys, content):
    machine.locks.mkdir()
    (machine.locks / "000000000007.lease").write_bytes(content)
    lease("0").release()
    assert "free" in shown(capsys)
    assert list(machine.locks.glob("*.lease")) == []


@pytest.mark.parametrize("memory", [None, "0.1"])
def test_a_device_held_under_a_damaged_record_counts_as_a_whole(machine, capsys, memory):
    machine.with_gpus(2)
    with holding("0", memory):
        (path,) = machine.locks.glob("*.lease")
        path.write_text("oh no")
        with pytest.raises(DeviceError, match=r"GPU 0 is locked by pid .*, without a lease that can be read"):
            lease("0", "0.1")
        assert "without a lease that can be read" in shown(capsys)
        with lease("any", "0.1") as other:
            assert numbers(other) == [1]


def test_a_shared_device_counts_as_a_whole_once_a_record_of_it_is_deleted(machine):
    with holding("0", "0.3"):
        for path in machine.locks.glob("*.lease"):
            path.unlink()
        with pytest.raises(DeviceError, match=r"GPU 0 is locked by pid .*, without a lease that can be read"):
            lease("0", "0.3")
    with holding("0", "0.3"), lease("0", "0.3"):
        (first, _) = sorted(machine.locks.glob("*.lease"))
        first.unlink()
        with pytest.raises(DeviceError, match=r"GPU 0 is .*, without a lease that can be read"):
            lease("0", "0.3")


def a_pipe(path):
    os.mkfifo(path)


def a_folder(path):
    path.mkdir()


def a_link_without_end(path):
    path.symlink_to("/dev/zero")


def a_link_to_itself(path):
    path.symlink_to(path)


def ten_gigabytes(path):
    with path.open("wb") as file:
        file.truncate(10**10)


ODD_THINGS = [a_pipe, a_folder, a_link_without_end, a_link_to_itself]


@pytest.mark.parametrize("make", [*ODD_THINGS, ten_gigabytes])
@pytest.mark.parametrize("name", ["000000000007.lease", "000000000007.waiting", f"{GPU}.quarantine", "GPU-1.device"])
def test_something_odd_in_the_place_of_a_file_stops_nobody(machine, capsys, make, name):
    machine.locks.mkdir()
    make(machine.locks / name)
    lease("0").release()
    assert "free" in shown(capsys)


def test_ten_locked_gigabytes_are_not_read(machine, capsys):
    with locked(machine.locks / "000000000007.lease"):
        ten_gigabytes(machine.locks / "000000000007.lease")
        lease("0").release()
        assert "free" in shown(capsys)


@pytest.mark.parametrize("make", ODD_THINGS)
def test_a_device_whose_file_is_something_else_is_not_given_out(machine, make):
    machine.with_gpus(2)
    machine.locks.mkdir()
    make(machine.locks / f"{GPU}.device")
    with lease("any") as other:
        assert numbers(other) == [1]
    refusal = rf"GPU 0 is impossible to lock: '.*{GPU}.device' is not a file: another program"
    with pytest.raises(DeviceError, match=refusal):
        lease("0")


@pytest.mark.parametrize("make", ODD_THINGS)
def test_a_mutex_that_is_something_else_is_named_with_its_owner(machine, make):
    machine.locks.mkdir()
    make(machine.locks / "mutex")
    with pytest.raises(DeviceError, match=rf"mutex' is not a file: .*\({processes.user_name()}\)\. Remove it"):
        lease("0")


def test_a_link_in_the_place_of_the_folder_is_refused(machine):
    (machine.folder / "elsewhere").mkdir()
    machine.locks.symlink_to(machine.folder / "elsewhere")
    with pytest.raises(DeviceError, match=f"'{machine.locks}', is a symbolic link"):
        lease("0")
    assert list((machine.folder / "elsewhere").iterdir()) == []


def test_a_folder_from_which_all_may_remove_the_files_of_others_is_refused(machine):
    machine.locks.mkdir()
    machine.locks.chmod(0o777)
    with pytest.raises(DeviceError, match=rf"mode 777\. Let its owner run 'chmod 1777 {machine.locks}'"):
        lease("0")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_quarantine_never_writes_through_a_link(machine, link):
    lease("0").release()
    victim = machine.folder / "thesis.tex"
    victim.write_text("years of work")
    link(victim, machine.locks / f"{GPU}.quarantine")
    with pytest.raises(DeviceError, match="cannot be used by"):
        GPUManager().quarantine(GPU, "a test")
    assert victim.read_text() == "years of work"


@as_root
def test_a_record_that_may_not_be_read_keeps_nobody_out(machine):
    with locked(machine.locks / "000000000007.lease"):
        (machine.locks / "000000000007.lease").chmod(0)
        with Child(holder("0"), NOBODY) as other:
            assert other.hear() == "has [0]"


def test_what_others_wrote_does_not_steer_the_terminal(machine, capsys):
    with locked(machine.locks / "000000000007.waiting", record(label="\x1b[2Jgone", holds=None)):
        assert "\x1b[2J" not in shown(capsys)
        assert [entry.label for entry in waiting()] == ["\N{REPLACEMENT CHARACTER}[2Jgone"]


def test_a_waiting_request_joins_the_queue_again_when_the_folder_was_removed(machine):
    machine.use(0, pid=1)
    with Child(holder("0")) as waiter:
        wait_until(waiting)
        shutil.rmtree(machine.locks)
        wait_until(lambda: [entry.pid for entry in waiting()] == [waiter.pid])
        machine.processes.clear()
        machine.write()
        assert waiter.hear() == "has [0]"


def test_a_folder_that_is_removed_during_a_decision_gives_no_lease(machine, monkeypatch):
    from training.devices.decision import Decision

    kept = Decision.kept

    def removed_meanwhile(self, *arguments):
        found = kept(self, *arguments)
        shutil.rmtree(machine.locks)
        machine.locks.mkdir()
        return found

    monkeypatch.setattr(Decision, "kept", removed_meanwhile)
    with pytest.raises(DeviceError, match=r"no devices within .* GPU 0 is .*removed"):
        lease("0")


def test_requests_after_one_with_the_last_number_of_twelve_digits_are_in_the_queue(machine):
    machine.use(0, pid=1)
    with locked(machine.locks / f"{10**12 - 1}.waiting", b""), Child(holder("0")) as first:
        wait_until(lambda: [entry.pid for entry in waiting()] == [first.pid])
        machine.processes.clear()
        machine.write()
        assert first.hear() == "has [0]"
