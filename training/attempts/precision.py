"""Precision: the dtype that a training computes in, chosen by what its device is fast at."""

from pathlib import Path

from text_recognizer.errors import SpecError

_CPU_INFO = Path("/proc/cpuinfo")


def choose_precision(asked: str, begun: str | None = None) -> tuple[str, str | None]:
    """What a training computes in ("off", "bfloat16" or "float16"), and a warning where that is not what was asked for.

    Args:
        asked: train_args.mixed_precision.
        begun: what the training computed in so far: it stays, so that a resumed run ends with an undisturbed one's
            numbers. "auto" is that of a checkpoint of before there was a choice: float32.
    Raises:
        SpecError: float16 where no GPU would make it faster.
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
    if all(map(_gpu_is_fast, gpus)) if gpus else _cpu_is_fast():
        return "bfloat16", None
    device = "a GPU of compute capability below 8.0" if gpus else "a processor without AMX"
    warning = f"train_args.mixed_precision 'bfloat16' is slower than float32 on {device}; float32 is used instead"
    return "off", None if asked == "auto" else warning


def dtype_policy(precision: str) -> str:
    """Keras' name of a precision."""
    return "float32" if precision == "off" else f"mixed_{precision}"


def _gpu_is_fast(gpu: object) -> bool:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(gpu)
    return tuple(details.get("compute_capability", (0, 0))) >= (8, 0)  # tensor cores since Ampere know bfloat16


def _cpu_is_fast() -> bool:
    """Whether the processor has AMX. AVX512-BF16 alone made steps 1.5 to 1.6 times slower, not faster."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    return any("amx_bf16" in line.split() for line in lines if line.startswith("flags"))
