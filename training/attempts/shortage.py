"""Too little memory or disk: the many ways in which libraries say so, and one way to say it."""

from text_recognizer.errors import RunError

# For those who start runs: the same run can work elsewhere, or with less beside it.
EXIT_OUT_OF_MEMORY = 12  # ENOMEM

_TYPES = ("ResourceExhaustedError", "OutOfMemoryError")
_FULL_DISK_WORDS = ("No space left on device", "Disk quota exceeded")
_WORDS = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY", "std::bad_alloc", "OOM when allocating", "MemoryError")


class OutOfMemoryError(RunError):
    """A run needs more memory than it can get."""

    exit_code = EXIT_OUT_OF_MEMORY


def out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """The error for the user, if this one came from too little memory."""
    if isinstance(error, OutOfMemoryError):
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if not (isinstance(error, MemoryError) or kinds.intersection(_TYPES) or names_a_shortage(str(error))):
        return None
    # TensorFlow appends the graph around the operation.
    what = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
    return OutOfMemoryError(
        f"out of memory: {type(error).__name__}{': ' + what if what else ''}. Lower train_args.batch_size or the "
        f"network's size, run less beside it (--jobs), or use a device with more memory."
    )


def names_a_full_disk(text: str) -> bool:
    """Whether the system's or a library's words mean that a disk is full."""
    return any(words in text for words in _FULL_DISK_WORDS)


def names_a_shortage(text: str) -> bool:
    """Whether a library's words mean that it got no memory."""
    return any(words in text for words in _WORDS)
