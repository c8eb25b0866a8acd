"""The cause of a run's failure, from the error that ended it."""

import errno

from text_recognizer.errors import DivergedError, TextRecognizerError
from training.attempts.shortage import names_a_full_disk, out_of_memory
from training.runs.causes import Cause


def cause_of(error: BaseException) -> Cause:
    """What status.json says of a run that this error ended."""
    if isinstance(error, KeyboardInterrupt):
        return Cause.INTERRUPTED
    if isinstance(error, DivergedError):
        return Cause.DIVERGED
    if _is_full_disk(error):
        return Cause.FULL_DISK
    if out_of_memory(error) is not None:
        return Cause.OUT_OF_MEMORY
    is_refusal = isinstance(error, TextRecognizerError) and error.exit_code == TextRecognizerError.exit_code
    return Cause.REFUSED if is_refusal else Cause.CRASHED


def _is_full_disk(error: BaseException) -> bool:
    """Also where one of our errors was raised from the system's, or a C library has it in its words only."""
    numbers = [getattr(one, "errno", None) for one in (error, error.__cause__)]
    return not {errno.ENOSPC, errno.EDQUOT}.isdisjoint(numbers) or names_a_full_disk(str(error))
