"""Queries to NVML. The only file that uses pynvml; imported only where GPUs may be queried."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pynvml

from text_recognizer.errors import DeviceError, reason
from training.devices.device import Device, Reading

MIB = 1024 * 1024
_UNSUPPORTED = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
_COMPUTE_MODES = {
    pynvml.NVML_COMPUTEMODE_PROHIBITED: "prohibited",
    pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive process",
    pynvml.NVML_COMPUTEMODE_EXCLUSIVE_THREAD: "exclusive process",
}

Value = TypeVar("Value")


def open_driver() -> str | None:
    """Initialises NVML; returns why it is unavailable, or None. Raises DeviceError: it does not fit the driver."""
    absent = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "there is no libnvidia-ml.so.1",
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
    }
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value not in absent:
            raise _driver_trouble(error) from None
        return absent[error.value]
    return None


def _driver_trouble(error: Exception) -> DeviceError:
    updated = getattr(error, "value", None) == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    remedy = "The driver was updated: restart the machine" if updated else "See what nvidia-smi says"
    return DeviceError(f"NVML does not work: {reason(error)}. {remedy}, or run on the CPU with --gpu=none.")


def readings() -> list[Reading]:
    """The state of all devices of this machine; a GPU in MIG mode is replaced by its instances."""
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise _driver_trouble(error) from None
    return [reading for index in range(count) for reading in _readings_of_gpu(index)]


def _readings_of_gpu(index: int) -> Iterator[Reading]:
    device = Device(f"GPU-unidentified-{index}", "unidentified GPU", index, None)
    unknown, named = "NVML cannot open it", False
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid, name = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
        device = Device(uuid, name, index, None)
        unknown, named = "NVML does not tell whether it is divided into MIG instances", True
        instances = _mig_instances(handle)
    except pynvml.NVMLError as error:
        fault = _fault_of(error)
        yield Reading(device, fault=fault or f"{unknown}: {error}", identified=named and fault is not None)
        return
    if instances is None:
        yield _read(Device(uuid, name, index, _memory_mib(handle)), handle, handle)
        return
    for instance in instances:
        try:
            instance_uuid, instance_name = pynvml.nvmlDeviceGetUUID(instance), pynvml.nvmlDeviceGetName(instance)
        except pynvml.NVMLError:
            continue  # destroyed since it was listed
        yield _read(Device(instance_uuid, instance_name, index, _memory_mib(instance), uuid), instance, handle)


def _mig_instances(handle: Any) -> list[Any] | None:
    """Handles of a GPU's MIG instances; None if MIG is off or unsupported."""
    try:
        mode, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError as error:
        if error.value in _UNSUPPORTED:
            return None
        raise
    if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
        return None
    found = []
    for slot in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot))
        except pynvml.NVMLError:
            continue  # an empty slot
    return found


def _memory(handle: Any) -> Any:
    """Memory information without the memory reserved by the driver, if NVML distinguishes it."""
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError as error:
        if error.value not in (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH):
            raise
    return pynvml.nvmlDeviceGetMemoryInfo(handle)


def _memory_mib(handle: Any) -> int | None:
    try:
        memory = _memory(handle)
    except pynvml.NVMLError:
        return None
    return int(memory.total - getattr(memory, "reserved", 0)) // MIB


def _read(device: Device, handle: Any, gpu_handle: Any) -> Reading:
    """The state of a device, from NVML's handles of it and of its GPU; unknown values are None."""
    faults: list[str] = []

    def ask(question: Callable[[Any], Value], handle: Any) -> Value | None:
        """The result, or None if NVML has none; also records a fault of the GPU."""
        try:
            return question(handle)
        except pynvml.NVMLError as error:
            faults.extend(filter(None, [_fault_of(error)]))
            return None

    memory = ask(_memory, handle)
    rates = ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    mode = _COMPUTE_MODES.get(ask(pynvml.nvmlDeviceGetComputeMode, gpu_handle), "default")
    faults.extend(fault for check in _HEALTH_CHECKS if (fault := ask(check, gpu_handle)))
    processes, cannot_tell, never_tells = _processes(handle, faults)
    return Reading(
        device,
        used_mib=None if memory is None else int(memory.used) // MIB,
        utilisation_percent=None if rates is None else int(rates.gpu),
        processes=processes,
        cannot_tell=cannot_tell,
        never_tells=never_tells,
        fault=faults[0] if faults else None,
        compute_mode=mode,
    )


def _processes(handle: Any, faults: list[str]) -> tuple[dict[int, int | None] | None, str | None, bool]:
    try:
        listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        try:
            listed = listed + pynvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)
        except pynvml.NVMLError as error:
            if error.value not in _UNSUPPORTED:  # no MPS on this GPU, so no processes of it
                raise
    except pynvml.NVMLError as error:
        fault = _fault_of(error)
        faults.extend([fault] if fault else [])
        lasting = error.value in (*_UNSUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION)
        return None, f"NVML does not list its processes ({error})", lasting
    used = {process.pid: process.usedGpuMemory for process in listed}
    return {pid: None if size is None else int(size) // MIB for pid, size in used.items()}, None, False


def _fault_of(error: Exception) -> str | None:
    """What an NVML error means for the hardware; None if it says nothing about it."""
    return {
        pynvml.NVML_ERROR_GPU_IS_LOST: "it fell off the bus (GPU is lost)",
        pynvml.NVML_ERROR_RESET_REQUIRED: "it needs a reset",
        pynvml.NVML_ERROR_IRQ_ISSUE: "its interrupts do not arrive",
        pynvml.NVML_ERROR_INSUFFICIENT_POWER: "its power cables are not attached properly",
    }.get(getattr(error, "value", None))


def _row_remapping(handle: Any) -> str | None:
    _, _, pending, failed = pynvml.nvmlDeviceGetRemappedRows(handle)
    if failed:
        return "remapping a broken memory row failed"
    return "a broken memory row waits for remapping (reset the GPU)" if pending else None


def _retired_pages(handle: Any) -> str | None:
    pending = pynvml.nvmlDeviceGetRetiredPagesPendingStatus(handle)
    return "broken memory pages wait for retirement (restart the machine)" if pending else None


def _uncorrected_errors(handle: Any) -> str | None:
    errors = pynvml.nvmlDeviceGetTotalEccErrors(
        handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    )
    return f"{errors} uncorrectable memory (ECC) errors since the driver was loaded" if errors else None


# Reasons with a remedy come first.
_HEALTH_CHECKS = (_row_remapping, _retired_pages, _uncorrected_errors)
