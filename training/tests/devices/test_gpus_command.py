import contextlib
import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from text_recognizer.settings import REPOSITORY
from text_recognizer.tests.waiting import PATIENCE_S
from training import cli
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.tests.devices.forked import Child
from training.tests.devices.simulated_nvml import Gpu, MigInstance, needs_compiler, simulated_machine

pytestmark = needs_compiler


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with simulated_machine(monkeypatch) as simulated:
        yield simulated


def lease(gpu, memory=None, label=""):
    return GPUManager().lease(DeviceRequest.parse(gpu, memory), 0, label=label)


def printed(capsys, *arguments):
    """What the command prints, with every run of blanks as one: the table breaks lines as the terminal is wide."""
    assert cli.main(["gpus", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_devices_are_shown_with_their_holders(machine, capsys):
    machine.with_gpus(3, memory_mib=10_000, used_mib=1_234, load=56)
    machine.use(2, pid=1)
    with lease("0", label="mlp [7]"), lease("1", "4000MiB"):
        text = printed(capsys)
    assert "0 Simulated GPU 1,234 / 10,000 56 % held by pid" in text
    assert "for 'mlp [7]' GPU-00000000" in text
    assert "shared (4,000 MiB) by pid" in text
    assert "used without a lease by pid 1 (" in text


def test_a_free_device_is_free(machine, capsys):
    machine.with_gpus(1)
    assert printed(capsys).endswith("0 Simulated GPU 0 / 81,920 0 % free GPU-00000000")


def test_the_waiting_are_shown_in_their_order(machine, capsys):
    machine.with_gpus(1)

    def story(line):
        GPUManager().lease(DeviceRequest.parse("any"), on_wait=line.tell, label="lstm-3")

    with lease("0"), Child(story) as child:
        child.hear()
        text = printed(capsys)
    assert f"Waiting, oldest first: 1. pid {child.pid} (" in text
    assert " has waited since " in text
    assert " for 1 GPU for 'lstm-3'" in text


def test_a_leftover_file_changes_nothing_and_goes_and_a_foreign_one_stays(machine, capsys):
    machine.with_gpus(1)
    lease("0").release()
    (machine.locks / "notes.txt").touch()
    (machine.locks / "000000000009.lease").touch()
    assert printed(capsys).endswith("free GPU-00000000")
    assert not (machine.locks / "000000000009.lease").exists()
    assert (machine.locks / "notes.txt").exists()


def test_hidden_devices_have_no_number(machine, capsys, monkeypatch):
    machine.with_gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    text = printed(capsys)
    assert "hidden Simulated GPU 0 / 81,920 0 % free GPU-00000000 0 Simulated GPU" in text


def test_a_quarantine_is_shown_and_cleared(machine, capsys):
    machine.with_gpus(1)
    GPUManager().quarantine("GPU-00000000", "CUDA_ERROR_ECC_UNCORRECTABLE")
    assert "in quarantine: CUDA_ERROR_ECC_UNCORRECTABLE" in printed(capsys)
    assert printed(capsys, "--clear-quarantine=GPU-00000000") == "GPU-00000000 is no longer in quarantine."
    assert printed(capsys).endswith("free GPU-00000000")
    assert cli.main(["gpus", "--clear-quarantine=GPU-00000000"]) == 2
    assert "error: GPU-00000000 is not in quarantine. In quarantine: none." in capsys.readouterr().err


def test_a_machine_without_gpus_is_no_error(machine, capsys):
    assert printed(capsys) == "No GPU on this machine: NVML counts 0 GPUs. Runs use the CPU."


def test_json_holds_everything(machine, capsys):
    machine.gpus = [Gpu("GPU-divided", mig=1)]
    machine.instances = [MigInstance("GPU-divided", "MIG-1", memory_mib=9_856, used_mib=12)]
    machine.write()
    with lease("0", label="mlp-7"):
        shown = json.loads(printed(capsys, "--json"))
    holder = shown["devices"][0]["holders"][0]
    assert (holder["pid"], holder["label"], holder["memory_mib"]) == (os.getpid(), "mlp-7", None)
    del shown["devices"][0]["holders"]
    assert shown == {
        "lock_folder": str(machine.locks),
        "absence": None,
        "devices": [
            {
                "uuid": "MIG-1",
                "name": "Simulated GPU MIG 1g.10gb",
                "gpu_index": 0,
                "memory_mib": 9_856,
                "parent": "GPU-divided",
                "index": 0,
                "used_mib": 12,
                "utilisation_percent": None,
                "obstacle": None,
            }
        ],
        "waiting": [],
    }


def test_watching_ends_with_ctrl_c(machine):
    machine.with_gpus(1)
    command = [sys.executable, "-m", "training.cli", "gpus", "--watch=0.1"]
    master, slave = pty.openpty()
    # Loaded as on a machine with GPUs, by its name.
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | machine.environ, stdout=slave) as process:
        os.close(slave)
        seen = b""
        while seen.count(b"GPU-00000000") < 3:
            seen += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the end of a terminal that nobody has open any more
            while os.read(master, 4096):
                pass
        assert process.wait(PATIENCE_S) == 0
    os.close(master)


def test_an_interval_to_watch_is_checked(machine, capsys):
    assert cli.main(["gpus", "--watch=0"]) == 2
    assert "a number from 0.1 to 3,600 is expected" in capsys.readouterr().err
