"""Status: who holds what, who waits, and what the devices are doing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.devices.allocation import Wish
from training.devices.device import Device
from training.devices.devices import Nvml
from training.devices.lease_folder import LeaseFolder
from training.devices.lease_records import DamagedEntry, Entry, Record
from training.devices.queue import described_process
from training.devices.requests import visible_devices
from training.devices.verdicts import judge


@dataclass(frozen=True)
class Holder:
    """A lease on a device, or a request in the queue (then since is when it came).

    Args:
        memory_mib: how much of the device; None for all of it.
    """

    pid: int
    user: str
    process: str
    label: str
    since: float
    wanted: str
    memory_mib: int | None = None


@dataclass(frozen=True)
class DeviceStatus:
    """A device as the manager sees it.

    Args:
        index: as --gpu takes it; None when CUDA_VISIBLE_DEVICES hides it.
        obstacle: why no whole-device request could have it, recorded leases aside.
    """

    device: Device
    index: int | None
    used_mib: int | None
    utilisation_percent: int | None
    holders: list[Holder]
    obstacle: str | None


@dataclass(frozen=True)
class Status:
    """All that ``text-recognizer gpus`` shows.

    Args:
        absence: why there are no devices.
        stale_files: requests of ended processes; harmless.
        foreign_files: files in the folder that are not its own; ignored.
        damaged: locked files that are no leases or requests of this version.
    """

    folder: Path
    devices: list[DeviceStatus]
    waiting: list[Holder]
    absence: str | None
    stale_files: list[Path]
    foreign_files: list[Path]
    damaged: list[DamagedEntry]


def read_status(folder: LeaseFolder, nvml: Nvml) -> Status:
    """Looks at the devices and at the folder."""
    readings = nvml.readings()
    if not readings:
        return Status(folder.path, [], [], nvml.absence, [], [], [])
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [device.uuid for device in visible_devices([reading.device for reading in readings], setting)]
    with folder.decision() as decision:
        leases, quarantined = decision.leases(), decision.quarantined()
        kept = decision.kept([reading.device.uuid for reading in readings], leases)
        waiting = [_holder(entry.record) for entry in decision.waiting()]
        stale, foreign, damaged = decision.stale_files(), decision.foreign_files(), decision.damaged()
    devices = []
    for reading in readings:
        uuid = reading.device.uuid
        on_it = [entry for entry in leases if uuid in (entry.record.holds or {})]
        whole = Wish(1, {uuid: None}, False, "")
        devices.append(
            DeviceStatus(
                reading.device,
                visible.index(uuid) if uuid in visible else None,
                reading.used_mib,
                reading.utilisation_percent,
                _holders(on_it, uuid),
                kept.get(uuid) or judge(reading, on_it, quarantined.get(uuid)).obstacle(whole),
            )
        )
    return Status(folder.path, devices, waiting, None, stale, foreign, damaged)


def _holders(leases: Sequence[Entry], uuid: str) -> list[Holder]:
    return [_holder(entry.record, (entry.record.holds or {})[uuid]) for entry in leases]


def _holder(record: Record, memory_mib: int | None = None) -> Holder:
    since = record.asked if record.since is None else record.since
    process = described_process(record)
    return Holder(record.pid, record.user, process, record.label, since, record.wish.text, memory_mib)
