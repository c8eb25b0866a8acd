"""Status: holders, queue and state of the devices."""

import os
from dataclasses import dataclass
from pathlib import Path

from training.devices import quarantine
from training.devices.allocation import Wish
from training.devices.device import Device, Nvml
from training.devices.lease_folder import LeaseFolder
from training.devices.lease_records import Holder
from training.devices.requests import visible_devices
from training.devices.verdicts import judge


@dataclass(frozen=True)
class DeviceStatus:
    """A device: its index for --gpu, None if hidden; obstacle to whole-device requests, apart from leases."""

    device: Device
    index: int | None
    used_mib: int | None
    utilisation_percent: int | None
    holders: list[Holder]
    obstacle: str | None


@dataclass(frozen=True)
class Status:
    """The content of ``text-recognizer gpus``; `absence`: why there are no devices."""

    folder: Path
    devices: list[DeviceStatus]
    waiting: list[Holder]
    absence: str | None


def read_status(folder: LeaseFolder, nvml: Nvml) -> Status:
    """Reads the state of the devices and of the folder."""
    readings = nvml.readings()
    if not readings:
        return Status(folder.path, [], [], nvml.absence)
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [device.uuid for device in visible_devices([reading.device for reading in readings], setting)]
    with folder.decision() as decision:
        leases, quarantined = decision.leases(), quarantine.quarantined(decision.path)
        kept = decision.kept([reading.device.uuid for reading in readings], leases)
        waiting = [Holder.of(entry.record) for entry in decision.waiting()]
    devices = []
    for reading in readings:
        uuid = reading.device.uuid
        on_it = [entry for entry in leases if uuid in entry.holds]
        whole = Wish(1, {uuid: None}, False, "")
        devices.append(
            DeviceStatus(
                reading.device,
                visible.index(uuid) if uuid in visible else None,
                reading.used_mib,
                reading.utilisation_percent,
                [Holder.of(entry.record, entry.holds[uuid]) for entry in on_it],
                kept.get(uuid) or judge(reading, on_it, quarantined.get(uuid)).obstacle(whole),
            )
        )
    return Status(folder.path, devices, waiting, None)
