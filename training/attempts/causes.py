"""Why an attempt failed: classifies errors and the last lines of a log, and makes messages for the user.

TensorFlow and its C++ libraries raise one type for many problems, or abort; only the text distinguishes them. Only this
module reads it.
"""

import errno
import os
import re
from pathlib import Path

from text_recognizer.errors import NO_SPACE, DivergedError, RunError, SpecError, TextRecognizerError
from training.attempts.peers import PeerLostError
from training.files.safe_files import cannot_write
from training.runs.causes import Cause

# For programs that start runs: the run may succeed elsewhere, or with fewer runs beside it.
EXIT_OUT_OF_MEMORY = 12  # ENOMEM

_MEMORY_TYPES = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
_NO_MEMORY = re.compile("RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY|std::bad_alloc|OOM when allocating|MemoryError")
_FULL_DISK = re.compile("No space left on device|Disk quota exceeded")
# The device is broken, not the program. On the CPU of a machine with GPUs, TensorFlow notes a cuInit without a device.
_BROKEN_DEVICE = re.compile(
    r"CUDA_ERROR_(?:ECC_UNCORRECTABLE|NOT_PERMITTED|LAUNCH_FAILED|HARDWARE_STACK_ERROR|SYSTEM_DRIVER_MISMATCH)"
    r"|(?<!cuInit: )CUDA_ERROR_NO_DEVICE|fallen off the bus|GPU is lost|uncorrectable ECC",
    re.IGNORECASE,
)
_XLA = re.compile("tf2xla conversion failed|unsupported operations when trying to compile")
_XLA_REASONS = ("No registered", "deterministic", "not supported", "unsupported", "must be a compile-time constant")


class OutOfMemoryError(RunError):
    """A run needs more memory than is available."""

    exit_code = EXIT_OUT_OF_MEMORY


def cause_of(error: BaseException) -> Cause:
    """The cause for a run that ended with this error."""
    if isinstance(error, KeyboardInterrupt):
        return Cause.INTERRUPTED
    if isinstance(error, DivergedError):
        return Cause.DIVERGED
    if isinstance(error, PeerLostError):
        return Cause.PREEMPTED
    # The cause too: one of our errors may be raised from a system error.
    numbers = {getattr(one, "errno", None) for one in (error, error.__cause__)}
    if numbers & {*NO_SPACE}:
        return Cause.FULL_DISK
    if (told := cause_in(str(error))) is not None:
        return told
    if out_of_memory(error) is not None:
        return Cause.OUT_OF_MEMORY
    is_refusal = isinstance(error, TextRecognizerError) and error.exit_code == TextRecognizerError.exit_code
    return Cause.REFUSED if is_refusal else Cause.CRASHED


def cause_in(text: str) -> Cause | None:
    """A full disk or a broken device, if a library's text says so."""
    if _FULL_DISK.search(text):
        return Cause.FULL_DISK
    return Cause.BROKEN_DEVICE if says_broken_device(text) else None


def says_broken_device(text: str) -> bool:
    """Whether a library's text says that a GPU failed."""
    return _BROKEN_DEVICE.search(text) is not None


def says_out_of_memory(text: str) -> bool:
    """Whether a library's text says that it ran out of memory."""
    return _NO_MEMORY.search(text) is not None


def out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """The error for the user, if this one is due to insufficient memory."""
    if isinstance(error, OutOfMemoryError):
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}  # by name: TensorFlow may not be imported
    if not (kinds & _MEMORY_TYPES or says_out_of_memory(str(error))):
        return None
    # TensorFlow appends the graph of the operation.
    what = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
    return OutOfMemoryError(
        f"out of memory: {type(error).__name__}{': ' + what if what else ''}. Lower train_args.batch_size or the "
        f"network's size, run less beside it (--jobs), or use a device with more memory."
    )


def full_disk(error: BaseException, folder: Path) -> RunError | None:
    """The error for the user, if a library could not write into a folder because the disk is full."""
    if isinstance(error, TextRecognizerError) or cause_of(error) is not Cause.FULL_DISK:
        return None
    return cannot_write(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "resume the run")


def refused_by_xla(error: BaseException) -> SpecError | None:
    """The error for the user, if XLA cannot compile a training step."""
    if not _XLA.search(str(error)):
        return None
    # The graph of the operation is before and after.
    lines = [line.strip() for line in str(error).splitlines()]
    reason = next((line for sign in _XLA_REASONS for line in lines if sign in line), "see the run's log.txt")[:300]
    way_out = "Leave train_args.jit_compile at false"
    if "determinis" in reason:
        way_out += ", or set train_args.deterministic to false"
    return SpecError(f"train_args.jit_compile: XLA cannot compile this training step: {reason} {way_out}.")
