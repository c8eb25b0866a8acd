"""Sets up TensorFlow for a training: import, memory limit of the lease, precision."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

from text_recognizer.errors import SpecError
from text_recognizer.keras_import import importing_keras
from training.devices.gpu_manager import MEMORY_VARIABLE

# Memory of a CUDA context and the kernels besides TensorFlow's pool (an estimate), and a minimum for the pool.
_CONTEXT_MIB, _SMALLEST_POOL_MIB = 500, 256

_CPU_INFO = Path("/proc/cpuinfo")


def start_tensorflow(quietly: AbstractContextManager[None]) -> None:
    """Imports TensorFlow, hiding its start-up notes in `quietly`, and limits memory to the lease on each device."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with quietly:
        with importing_keras():
            import tensorflow as tf

        shares = os.environ.get(MEMORY_VARIABLE, "").split(",")
        # A hard limit: memory growth would let one run take the memory leased by another.
        gpus = tf.config.list_physical_devices("GPU") if any(shares) else []
        for device, share_mib in zip(gpus, shares, strict=False):
            if share_mib:
                limit_mib = max(_SMALLEST_POOL_MIB, int(share_mib) - _CONTEXT_MIB)
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=limit_mib)
                tf.config.set_logical_device_configuration(device, [limit])


def choose_precision(asked: str, begun: str | None = None) -> tuple[str, str | None]:
    """The precision of a training ("off", "bfloat16" or "float16"), and a warning if it is not the requested one.

    Args:
        asked: train_args.mixed_precision.
        begun: precision of the training so far: it stays, so that a resumed run has the same results as an undisturbed
            one. "auto" is that of a checkpoint from before there was a choice: float32.
    Raises:
        SpecError: float16 without a GPU to speed it up.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if asked == "float16" and not gpus:
        raise SpecError(
            "train_args.mixed_precision 'float16' needs a GPU; on a CPU it is many times slower than float32. "
            "Use 'auto' or 'off'."
        )
    if begun is not None:
        return "off" if begun == "auto" else begun, None
    if asked not in ("auto", "bfloat16"):
        return asked, None
    if not gpus:
        # Only on request and with AMX; even then most of our networks train slower with it.
        if asked == "bfloat16" and not _has_amx():
            return "off", _slower_on("a processor without AMX")
        return "bfloat16" if asked == "bfloat16" else "off", None
    details = map(tf.config.experimental.get_device_details, gpus)
    if min(tuple(one.get("compute_capability", (0, 0))) for one in details) >= (8, 0):
        return "bfloat16", None  # supported by tensor cores since Ampere
    return "off", None if asked == "auto" else _slower_on("a GPU of compute capability below 8.0")


def _slower_on(device: str) -> str:
    return f"train_args.mixed_precision 'bfloat16' is slower than float32 on {device}; float32 is used instead"


def _has_amx() -> bool:
    """Whether the processor has AMX. AVX512-BF16 alone made steps 1.5 to 1.6 times slower, not faster."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    return any("amx_bf16" in line.split() for line in lines if line.startswith("flags"))
