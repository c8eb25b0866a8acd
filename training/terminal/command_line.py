"""Common parts of all commands: error messages, exit codes, overrides of a spec."""

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_recognizer.errors import NO_SPACE, SpecError, TextRecognizerError, places_of, reason
from text_recognizer.registry import outside_packages
from text_recognizer.settings import data_folder, user_folder
from text_recognizer.spec import parse_json, parse_value, typed_fields
from text_recognizer.wording import shortened

if TYPE_CHECKING:
    from text_recognizer.yaml_source import YamlSource

EXIT_INTERRUPTED = 130
EXIT_UNEXPECTED = 1  # for an exception that is not a user's mistake
# If set, a traceback is also printed for errors of the system.
TRACEBACK = "TEXT_RECOGNIZER_TRACEBACK"
# Set by a program whose command must not outlive it: it stops at the end of its standard input.
ENDS_WITH_INPUT = "TEXT_RECOGNIZER_ENDS_WITH_INPUT"
# Set by a program that wants to know why its command failed: the file into which it writes the message of its error.
ERROR_FILE = "TEXT_RECOGNIZER_ERROR_FILE"
# Errors of the system that would occur again; anything else may be worth a retry.
_LASTING = (
    *(*NO_SPACE, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
)


def guarded(command: Callable[[], int]) -> int:
    """Runs a command; returns its exit code.

    A user's mistake becomes a message and exit code 2, and so do errors of the system: a full disk, an unwritable
    folder, a text in another encoding. A bug, ours or in an external part, becomes a traceback and exit code 1.
    """
    if os.environ.pop(ENDS_WITH_INPUT, None):
        threading.Thread(target=_stop_after_input, daemon=True).start()
    fail = partial(_fail, os.environ.pop(ERROR_FILE, os.devnull))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed by the caller: a file of ours would get its number, and our output
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115 - until the program ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not support every character of our texts
            stream.reconfigure(errors="backslashreplace")
    try:
        return command()
    except TextRecognizerError as error:
        return fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has exited; Python must not report this again when it closes the streams.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (OSError, UnicodeError) as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        lasting = isinstance(error, UnicodeError) or error.errno in _LASTING
        message = f"{_refusal(error)} ({TRACEBACK}=1 shows where in the program.)"
        return fail(message, TextRecognizerError.exit_code if lasting else 1)
    except Exception as error:  # noqa: BLE001 - the last resort
        traceback.print_exc()
        return fail(_whose_bug(error), EXIT_UNEXPECTED)


def _fail(error_file: str, message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    with contextlib.suppress(OSError):
        Path(error_file).write_text(message, encoding="utf-8", errors="backslashreplace")
    return code


def _stop_after_input() -> None:
    while os.read(0, 1 << 12):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _whose_bug(error: Exception) -> str:
    """Whose bug a traceback shows: the user's, if it leads through their code."""
    if where := _in_own_code(error):
        return f"{where}{shortened(' '.join(reason(error).split()))}. The traceback says more."
    return "this is a bug in Text Recognizer; please report it with the lines above."


def _in_own_code(error: Exception) -> str:
    """The beginning of a message: the last line of the user's code in a traceback; "" if there is none."""
    for module, place in reversed(places_of(error)):
        if module.partition(".")[0] in outside_packages:
            return f"{type(error).__name__} in your own code: {place}, or in what it calls: "
    return ""


def _refusal(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        said = f"{reason(error)}."
        if isinstance(error, UnicodeDecodeError):
            said = f"a text is not {error.encoding}: {error.reason} at byte {error.start}. Save it as UTF-8."
        return _in_own_code(error) + said
    advice = " Free some space and do the same again." if error.errno in NO_SPACE else ""
    if error.strerror and error.filename is not None:
        return f"{error.filename}: {reason(error, Path(str(error.filename)))}.{advice}"
    return f"{reason(error, *_places())}.{advice}"


def _places() -> Iterator[Path]:
    """Where commands write."""
    for place in (partial(user_folder, "TEXT_RECOGNIZER_RUNS", Path.cwd), data_folder, tempfile.gettempdir):
        with contextlib.suppress(OSError, SpecError):  # the working folder was removed, or the home folder is unknown
            yield Path(place())
    if (output := Path("/dev/stdout")).is_file():
        yield output.resolve()


def say(text: str) -> None:
    """Prints a line for the user, separate from the results on standard output."""
    print(text, file=sys.stderr, flush=True)


def split_overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Splits overrides of a spec from the other arguments of a command line.

    Supported forms, for any key of a spec and any dotted key below one: --a.b=v, --a.b v, --a.b (true), a.b=v, ++a.b=v.

    Returns:
        the other arguments, and the overrides by dotted key.
    """
    rest: list[str] = []
    overrides: dict[str, Any] = {}
    waiting = list(argv)
    while waiting:
        token = waiting.pop(0)
        key, has_value, value = token.partition("=")
        name = key.lstrip("-+")
        dashed = key.startswith("--")
        if not (dashed or has_value) or name.split(".")[0] not in typed_fields():
            rest.append(token)
        elif has_value:
            overrides[name] = parse_value(value)
        elif waiting and not waiting[0].startswith("--"):
            overrides[name] = parse_value(waiting.pop(0))
        else:
            overrides[name] = True
    return rest, overrides


def read_overrides(path: str) -> dict[str, Any]:
    """Reads overrides of a spec from a JSON or YAML file, by (dotted) key. Raises SpecError: it has other content."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot read the overrides '{path}': {reason(error, Path(path))}.") from None
    if Path(path).suffix == ".json":
        return parse_json(text, path)
    from text_recognizer.yaml_source import YamlSource

    document = YamlSource(text, path)
    if not isinstance(document.data, dict) or not all(isinstance(key, str) for key in document.data):
        raise SpecError(f"the overrides '{path}' must be an object of values by (dotted) key.")
    return {key: _with_numbers(item, document, (key,)) for key, item in document.data.items()}


def _with_numbers(value: Any, document: "YamlSource", path: tuple[Any, ...]) -> Any:
    """A value of a YAML file, with 1e-4 read as a number as everywhere else; warns of other traps of YAML 1.1."""
    if isinstance(value, dict):
        return {key: _with_numbers(item, document, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item, document, (*path, index)) for index, item in enumerate(value)]
    traps = document.traps(path)  # none in quotes
    if traps and isinstance(value, str) and isinstance(number := parse_value(value), (int, float)):
        return number
    for trap in traps:
        say(f"warning: {trap}")
    return value
