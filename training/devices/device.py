"""What a process can be given, and its state at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """One thing that a process can be given: a whole GPU, or one MIG instance of a GPU in MIG mode.

    Args:
        uuid: "GPU-…" or "MIG-…", as CUDA_VISIBLE_DEVICES takes it.
        gpu_index: number of the physical GPU, as nvidia-smi counts.
        memory_mib: what programs can use; None where NVML does not say.
        parent: the UUID of the GPU that a MIG instance is part of.
    """

    uuid: str
    name: str
    gpu_index: int
    memory_mib: int | None
    parent: str | None = None


@dataclass(frozen=True)
class DeviceProcess:
    """A process with a compute context on a device; its number is the one that NVML gives."""

    pid: int
    memory_mib: int | None


@dataclass(frozen=True)
class Reading:
    """The state of a device at one moment.

    Args:
        processes: those that compute on it; None where NVML cannot tell, for the reason in cannot_tell.
        never_tells: the reason is a lasting one: asking again is no use.
        fault: why the device must not be used, in words; None for a healthy one.
        identified: False when it cannot be said which device, or in what form, is at fault; it may come back.
        compute_mode: "default", "exclusive process" or "prohibited" (nvidia-smi -c).
    """

    device: Device
    used_mib: int | None
    utilisation_percent: int | None
    processes: tuple[DeviceProcess, ...] | None
    cannot_tell: str | None = None
    never_tells: bool = False
    fault: str | None = None
    identified: bool = True
    compute_mode: str = "default"
