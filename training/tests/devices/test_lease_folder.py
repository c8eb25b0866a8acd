import os

import pytest

from text_recognizer.errors import DeviceError
from text_recognizer.settings import REPOSITORY
from training.devices.gpu_manager import GPUManager
from training.devices.lease_folder import lock_folder
from training.files import processes
from training.tests.devices.forked import NOBODY, Child
from training.tests.devices.lease_stories import holder, lease
from training.tests.devices.simulated_nvml import (
    needs_compiler,
    simulated_machine,
)

pytestmark = needs_compiler
as_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def machine(monkeypatch):
    with simulated_machine(monkeypatch) as simulated:
        yield simulated


def test_the_folder_is_one_for_all_users(machine):
    machine.with_gpus(1)
    old_umask = os.umask(0o077)
    try:
        lease().release()
    finally:
        os.umask(old_umask)
    assert machine.locks.stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in machine.locks.iterdir()} == {0o644}


@as_root
@pytest.mark.parametrize(("first", "second"), [(None, NOBODY), (NOBODY, None), (NOBODY, NOBODY - 1)])
def test_two_users_share_a_machine(machine, first, second):
    machine.folder.chmod(0o777)
    machine.with_gpus(2)
    with Child(holder("0"), first) as one, Child(holder("1"), second) as two:
        assert (one.hear(), two.hear()) == ("has [0]", "has [1]")
        with Child(lambda line: lease("0", timeout_s=0.1), second) as refused:
            assert f"GPU 0 is held by pid {one.pid} ({processes.user_name(first)}" in refused.hear()
        one.kill()
        with Child(holder("0"), second) as heir:
            assert heir.hear() == "has [0]"


def test_another_users_files_are_never_opened_to_create_them(machine, monkeypatch):
    machine.with_gpus(1)
    lease().release()
    real_open = os.open

    def protected(path, flags, *mode, **where):
        # Linux with fs.protected_regular refuses this in a sticky folder when the file is another user's.
        if flags & os.O_CREAT and os.path.exists(path):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", protected)
    lease().release()


@as_root
def test_a_quarantine_can_be_cleared_by_another_user(machine):
    machine.with_gpus(1)
    GPUManager().quarantine("GPU-00000000", "a test")

    def story(line):
        GPUManager().clear_quarantine("GPU-00000000")
        line.tell("cleared")

    with Child(story, NOBODY) as other:
        assert other.hear() == "cleared"
    lease().release()


@as_root
def test_a_folder_that_may_not_be_written_is_an_error_with_a_remedy(machine):
    machine.with_gpus(1)
    machine.locks.mkdir(mode=0o755)
    with Child(lambda line: lease(), NOBODY) as other:
        message = other.hear()
    assert message.startswith(f"DeviceError: the folder of the GPU leases, '{machine.locks}', cannot be used by ")
    assert f"It belongs to root, mode 755. Let its owner run 'chmod 1777 {machine.locks}', or set TEXT_REC" in message


def test_a_file_in_the_place_of_the_folder_is_an_error(machine):
    machine.with_gpus(1)
    machine.locks.write_text("")
    with pytest.raises(DeviceError, match="cannot be used by .*Not a directory"):
        lease()


def test_something_else_in_the_place_of_a_lock_file_is_an_error(machine):
    machine.with_gpus(1)
    machine.locks.mkdir()
    os.mkfifo(machine.locks / "mutex")
    with pytest.raises(DeviceError, match="mutex' is not a file: another program put it there"):
        lease()


def test_a_stale_file_means_nothing_and_goes(machine):
    machine.with_gpus(1)
    machine.locks.mkdir()
    stale = machine.locks / "000000000007.lease"
    stale.write_text("half a li")
    with lease("0") as held:
        assert held.environ["TEXT_RECOGNIZER_LEASE"].endswith("000000000008.lease")
    assert not stale.exists()


def test_a_device_stays_its_holders_when_the_record_is_deleted(machine):
    machine.with_gpus(1)
    with lease():
        for path in machine.locks.glob("*.lease"):
            path.unlink()
        with pytest.raises(
            DeviceError, match=rf"GPU 0 is locked by pid {os.getpid()} .*, without a lease that can be read"
        ):
            lease()


def test_everybody_meets_in_the_same_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TEXT_RECOGNIZER_LOCKS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert str(lock_folder()) in ("/run/lock/text-recognizer", "/tmp/text-recognizer-locks")
    monkeypatch.setenv("TEXT_RECOGNIZER_LOCKS", "~/locks")
    assert lock_folder() == (REPOSITORY.home() / "locks")
