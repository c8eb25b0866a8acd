"""Requests of --gpu and --gpu-memory, checked against the existing devices."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from text_recognizer.errors import DeviceError
from text_recognizer.wording import counted, received
from training.devices.allocation import Wish
from training.devices.device import Device

GPU_FORMS = "none, -1 (any one), 2x (any two), 1 (that one), 0,2 (those), or a UUID (GPU-… or MIG-…)"
MEMORY_FORMS = "an amount like 6GiB or 6000MiB, or a share of the device like 0.5"

_DIGITS = "0123456789"
_UNITS_MIB = {"mib": 1.0, "gib": 1024.0, "mb": 1e6 / 2**20, "gb": 1e9 / 2**20}
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(mib|gib|mb|gb)", re.IGNORECASE)
_SHARE = re.compile(r"0?\.[0-9]{1,9}|1\.0{0,9}")
_DEVICE = re.compile(r"[0-9]{1,6}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,120}")


@dataclass(frozen=True)
class DeviceRequest:
    """Devices to lease.

    Args:
        count: number of devices; 0 for the CPU.
        wanted: devices by index or UUID (or its beginning); None for any.
        memory_mib: share each device, with this much memory; None for the whole device.
        memory_share: the same as a share of each device's memory, above 0 and at most 1.
        force: also use devices that are used by programs without a lease, or for which NVML cannot tell.
    """

    count: int
    wanted: tuple[str, ...] | None = None
    memory_mib: int | None = None
    memory_share: float | None = None
    force: bool = False

    @classmethod
    def parse(cls, gpu: str, memory: str | None = None, force: bool = False) -> "DeviceRequest":
        """Parses --gpu, --gpu-memory, --gpu-force. Raises DeviceError: invalid, or memory without a GPU."""
        request = replace(_parsed_gpu(gpu), force=force)
        if memory is None:
            return request
        if request.count == 0:
            raise DeviceError(f"--gpu-memory shares a GPU, but --gpu={gpu} asks for none. Leave out one of the two.")
        memory_mib, share = _parsed_memory(memory)
        return replace(request, memory_mib=memory_mib, memory_share=share)

    @property
    def shares(self) -> bool:
        """Whether others may use the rest of the devices."""
        return self.memory_mib is not None or self.memory_share is not None

    @property
    def text(self) -> str:
        """The request in words: "2 GPUs", "6,144 MiB of GPU 1"."""
        if self.count == 0:
            return "the CPU"
        if self.wanted is not None:
            named = " and ".join(name if name[0] not in _DIGITS else f"GPU {name}" for name in self.wanted)
        else:
            named = counted(self.count, "GPU")
        if self.memory_mib is not None:
            return f"{self.memory_mib:,} MiB of {named}"
        return f"{self.memory_share:g} of {named}" if self.memory_share is not None else named


def visible_devices(devices: Sequence[Device], setting: str | None) -> list[Device]:
    """The devices that CUDA would show a program, in its order: position 0 is its GPU 0.

    Numbers are those of nvidia-smi. A GPU in MIG mode stands for all of its instances.

    Args:
        setting: CUDA_VISIBLE_DEVICES; None if it is not set.
    Source: CUDA C++ Programming Guide, CUDA environment variables: what follows an invalid entry is not visible.
    """
    if setting is None:
        return list(devices)
    shown: list[Device] = []
    for entry in setting.split(","):
        meant = _meant_by(entry.strip(), devices)
        if not meant:
            break
        shown += [device for device in meant if device not in shown]
    return shown


def resolve(request: DeviceRequest, devices: Sequence[Device], visible: Sequence[Device]) -> Wish:
    """Resolves a request to existing devices. Raises DeviceError: the visible ones can never satisfy it.

    Args:
        devices: all of this machine, at least one.
        visible: those available to the caller, in the caller's order.
    """
    exists = _what_exists(devices, visible)
    candidates = list(visible)
    if request.wanted is not None:
        candidates = [_named(name, devices, visible, exists) for name in request.wanted]
        if twice := [device.uuid for device in candidates if candidates.count(device) > 1]:
            raise DeviceError(f"--gpu names {twice[0]} twice. {exists}")
    if request.count > 1:
        whole = [device for device in candidates if device.parent is None]
        if len(whole) < len(candidates) and len(whole) < request.count:
            why = "a CUDA program can use one MIG instance at a time, so that several devices must be whole GPUs"
            raise DeviceError(f"{request.text}: {why}. {exists}")
        candidates = whole
    if len(candidates) < request.count:
        choice = f"{counted(len(candidates), 'device')} to choose from"
        raise DeviceError(f"{request.text}: not that many are available: {choice}. {exists}")
    amounts: dict[str, int | None] = {}
    for device in candidates:
        available, amount = device.memory_mib or 0, request.memory_mib
        if request.memory_share is not None:
            amount = max(1, int(request.memory_share * available))
        if amount is None or amount <= available:
            amounts[device.uuid] = amount
    if len(amounts) < request.count:
        raise DeviceError(f"{request.text}: no device, or too few devices, have that much memory. {exists}")
    return Wish(request.count, amounts, request.force, request.text)


def _parsed_gpu(gpu: str) -> DeviceRequest:
    text = gpu.strip()
    if text.lower() in ("none", "cpu"):
        return DeviceRequest(0)
    if text.lower() in ("-1", "any"):
        return DeviceRequest(1)
    if re.fullmatch(r"[1-9][0-9]{0,5}x", text, re.IGNORECASE):
        return DeviceRequest(int(text[:-1]))
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    written = [name.strip() for name in bare.split(",")]
    if not all(_DEVICE.fullmatch(name) for name in written):
        raise DeviceError(f"--gpu must be {GPU_FORMS}. {received(gpu)}")
    names = tuple(str(int(name)) if name[0] in _DIGITS else name for name in written)
    if len(set(names)) < len(names):
        raise DeviceError(f"--gpu names a device twice. {received(gpu)}")
    return DeviceRequest(len(names), names)


def _parsed_memory(memory: str) -> tuple[int | None, float | None]:
    text = memory.strip()
    if found := _AMOUNT.fullmatch(text):
        amount_mib = float(found[1]) * _UNITS_MIB[found[2].lower()]
        if amount_mib >= 1:
            return int(amount_mib), None
    elif _SHARE.fullmatch(text) and float(text) > 0:
        return None, float(text)
    raise DeviceError(f"--gpu-memory must be {MEMORY_FORMS}. {received(memory)}")


def _meant_by(entry: str, devices: Sequence[Device]) -> list[Device]:
    if re.fullmatch(r"[0-9]{1,6}", entry):
        return [device for device in devices if device.gpu_index == int(entry)]
    if not entry.startswith(("GPU-", "MIG-")):
        return []
    exact = [device for device in devices if entry in (device.uuid, device.parent)]
    if exact:
        return exact
    meant = [device for device in devices if device.uuid.startswith(entry) or (device.parent or "").startswith(entry)]
    named = {device.gpu_index if entry.startswith("GPU-") else device.uuid for device in meant}
    return meant if len(named) == 1 else []


def _named(name: str, devices: Sequence[Device], visible: Sequence[Device], exists: str) -> Device:
    if name[0] in _DIGITS:
        if int(name) < len(visible):
            return visible[int(name)]
        raise DeviceError(f"there is no GPU {name}. {exists}")
    meant = [device for device in devices if device.uuid == name] or [
        device for device in devices if device.uuid.startswith(name)
    ]
    if len(meant) == 1:
        if meant[0] in visible:
            return meant[0]
        raise DeviceError(f"{meant[0].uuid} is hidden by CUDA_VISIBLE_DEVICES. {exists}")
    if meant:
        raise DeviceError(f"'{name}' is the beginning of {counted(len(meant), 'UUID')}: give more of it. {exists}")
    if any((device.parent or "").startswith(name) for device in devices):
        raise DeviceError(f"{name} is divided into MIG instances: name one of these. {exists}")
    raise DeviceError(f"there is no device {name}. {exists}")


def _what_exists(devices: Sequence[Device], visible: Sequence[Device]) -> str:
    listed = "; ".join(
        f"{index}: {device.name}, {'memory unknown' if device.memory_mib is None else f'{device.memory_mib:,} MiB'}, "
        f"{device.uuid}"
        for index, device in enumerate(visible)
    )
    hidden = len(devices) - len(visible)
    shown = f"Devices here: {listed}." if listed else "No device can be used."
    return shown + (f" CUDA_VISIBLE_DEVICES hides {hidden} more." if hidden else "")
