"""Commands from Python: keyword arguments become the command line's, and the command runs in a separate process.

A separate process, because TensorFlow keeps its GPU memory until its process ends, and a run must end the same way
however it was started. What is printed appears as it is printed, in a terminal and in a notebook.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean, received


def flags_of(parser: argparse.ArgumentParser, given: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as the flags of the same names.

    Args:
        given: None and False leave a flag out, True gives it, a list gives it several times; what is no text is JSON.
    Raises:
        SpecError: there is no such flag.
    """
    actions: dict[str, argparse.Action] = {}
    for action in parser._actions:
        if action.option_strings:
            actions.setdefault(action.dest, action)  # --nowandb is another way to say --wandb disabled
    flags: list[str] = []
    for name, value in given.items():
        if name not in actions:
            raise SpecError(
                f"there is no argument '{name}'.{did_you_mean(name, actions)} There are: {', '.join(sorted(actions))}."
            )
        flag = next(option for option in actions[name].option_strings if option.startswith("--"))
        takes_value = actions[name].nargs != 0
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None or one is False:
                continue
            if not takes_value and one is not True:
                raise SpecError(f"{name} is given by True. {received(one)}")
            flags.append(f"{flag}={text_of(one)}" if takes_value else flag)
    return flags


def text_of(value: Any) -> str:
    """A value as the command line takes it: texts and paths as they are, everything else as JSON."""
    return str(value) if isinstance(value, (str, os.PathLike)) else json.dumps(value)


def run_command(module: str, arguments: Sequence[str], show: bool) -> tuple[int, str]:
    """Runs `python -m MODULE ARGUMENTS` to its end; its exit code, and what it last printed to standard error.

    An interrupt is passed on, so that the command can write a checkpoint; a second one kills it.

    Args:
        show: print what the command prints.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=None if show and _is_the_terminal(sys.stdout) else subprocess.PIPE,
        stderr=subprocess.PIPE if not show else (None if _is_the_terminal(sys.stderr) else subprocess.STDOUT),
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,  # Ctrl-C reaches it once: by us
    )
    try:
        return _followed(process, show)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            _followed(process, show)
        except KeyboardInterrupt:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def _followed(process: "subprocess.Popen[str]", show: bool) -> tuple[int, str]:
    if show and process.stdout is not None:
        last = ""
        with process.stdout:
            for line in process.stdout:
                sys.stdout.write(line)
                last = line
        return process.wait(), last
    _, errors = process.communicate()
    return process.returncode, errors or ""


def _is_the_terminal(stream: Any) -> bool:
    """Whether what a child prints appears where `stream` is printed: not in a notebook, nor while output is caught."""
    try:
        return stream.fileno() in (1, 2) and os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
