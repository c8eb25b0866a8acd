"""The error classes: everything a user can cause is a TextRecognizerError, printed as one message without a traceback.

TextRecognizerError
├── SpecError          the experiment spec is wrong (all problems at once)
├── DataError          a dataset file, download or image is wrong
├── RunError           a run folder is missing, held, or of another version
├── DivergedError      training never reached a finite loss
└── DeviceError        the requested devices do not exist or are not available
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PLACES = "_text_recognizer_places"  # attribute of an error from another process
_MUCH_BYTES = 1 << 24  # with more free space than this, a disk is hardly the full one


class TextRecognizerError(Exception):
    """Base of all errors that a user can cause; says what was wrong, what came, what is allowed, what to do.

    Args:
        common: the message without the name of a file, the same for several files with the same problem.
    """

    exit_code = 2

    def __init__(self, message: str = "", common: str = "") -> None:
        super().__init__(message)
        self.common = common or message


class Problem(str):
    """One sentence about a spec, with the (dotted) key that it is about, if any."""

    __slots__ = ("key",)
    key: str | None

    def __new__(cls, text: str, key: str | None = None) -> "Problem":
        made = super().__new__(cls, text)
        made.key = key
        return made

    def under(self, label: str, group: str) -> "Problem":
        """The same problem of a value under a key of the spec."""
        return Problem(f"{label}: {self}", f"{group}.{self.key}" if self.key else group)


class SpecError(TextRecognizerError):
    """One or several problems in an experiment spec.

    Args:
        problems: one sentence each, in the order of the spec's keys; a plain string has no key.
        source: where the spec came from, if that helps to find it.
    """

    def __init__(self, problems: str | Sequence[str], source: str | None = None) -> None:
        given = [problems] if isinstance(problems, str) else problems
        self.problems = [one if isinstance(one, Problem) else Problem(one) for one in given]
        self.source = source
        if len(self.problems) == 1:
            super().__init__(f"{self.problems[0]}" + (f" ({source})" if source else ""))
        else:
            title = f"{len(self.problems)} problems" + (f" in {source}:" if source else ":")
            super().__init__("\n".join([title, *(f"  - {problem}" for problem in self.problems)]))


class DataError(TextRecognizerError):
    """A dataset is not available, or a file is not what it should be."""


class RunError(TextRecognizerError):
    """A run folder cannot be used as requested."""


class DivergedError(TextRecognizerError):
    """Training ended before any epoch had a finite loss."""

    exit_code = 3


class DeviceError(TextRecognizerError):
    """The requested devices do not exist here, or cannot be leased."""


def reason(error: BaseException, *places: Path) -> str:
    """Why something failed, as part of a sentence.

    Args:
        places: paths that the sentence names, or candidates; if the disk is full, the one with the least free space is
            named, unless it has plenty.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()} text"
    said = (places and getattr(error, "strerror", None)) or str(error).rstrip(".") or type(error).__name__
    if not places or getattr(error, "errno", None) != errno.ENOSPC:
        return said
    room = []
    for place in places:
        with suppress(OSError):  # not accessible to this user
            path = place.absolute()
            folder = next(one for one in (path, *path.parents) if one.is_dir())
            room.append((shutil.disk_usage(folder).free, folder))
    if not room or (len(places) > 1 and min(room)[0] > _MUCH_BYTES):
        return said
    return f"{said} ({min(room)[0]:,} bytes are free in {min(room)[1]})"


def places_of(error: BaseException) -> list[tuple[str, str]]:
    """Where an error passed, outermost first, also in the process that it comes from: module, and line in words."""
    frames = ((frame.f_globals.get("__name__", ""), frame.f_code, line) for frame, line in walk_tb(error.__traceback__))
    here = [(name, f"{code.co_filename}, line {line}, in {code.co_name}") for name, code, line in frames]
    elsewhere: list[tuple[str, str]] = vars(error).get(_PLACES, [])
    return here + elsewhere


def keep_places(error: BaseException) -> None:
    """Lets `places_of` know them in another process, to which no traceback is sent."""
    vars(error)[_PLACES] = places_of(error)


def writing_advice(error: OSError, setting: str) -> str:
    """What to do if a folder, which a setting such as TEXT_RECOGNIZER_DATA names, cannot be written."""
    if error.errno in NO_SPACE:
        return f"Free some space, or set {setting} to a folder on a larger disk."
    if error.errno in _REFUSED:
        return f"Make it writable for this user, or set {setting} to a folder that is."
    return f"Set {setting} to a folder that can be written."


@contextmanager
def system_errors(task: str, advice: str = "", setting: str = "", place: Path | None = None) -> Iterator[None]:
    """Raises a DataError if the system refuses an action, such as "read FILE", with its reason.

    Args:
        advice: what to do.
        setting: for the advice on writing into the folder that this setting names.
        place: what is written; if the disk is full, its free space is named.
    """
    try:
        yield
    except OSError as error:
        why = reason(error, place) if place else error.strerror or error
        advice = writing_advice(error, setting) if setting else advice
        raise DataError(f"cannot {task}: {why}. {advice}".rstrip()) from error
