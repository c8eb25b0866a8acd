"""Devices, the runs that hold them, and the queue."""

from dataclasses import asdict
from typing import Any

from training.devices.status import DeviceStatus, Status


def as_json(status: Status) -> dict[str, Any]:
    """The status as --json prints it."""
    return {
        "lock_folder": str(status.folder),
        "absence": status.absence,
        "devices": [(facts := asdict(device)).pop("device") | facts for device in status.devices],
        "waiting": [asdict(holder) for holder in status.waiting],
    }


def state_of(status: DeviceStatus) -> str:
    """The holders of a device, and why it is unavailable."""
    lines = [holder.text for holder in status.holders]
    return "\n".join([*lines, status.obstacle] if status.obstacle else lines) or "free"
