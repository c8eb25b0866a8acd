"""The processes of an executor: the zygote, and runs as copies of it or as fresh interpreters."""

import atexit
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from training.executors.zygote.order import Order

# Those that the zygote handles; a run's process starts with the usual handlers.
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)


def fork_trial(order: Order, lifeline: int, not_to_keep: Sequence[int]) -> int:
    """Forks a run's process, which inherits the descriptors of its lease, but closes `not_to_keep`."""
    # A signal that comes before the child has its own handlers must not be lost in the zygote's.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _become_trial(order, lifeline, not_to_keep)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return pid


def _become_trial(order: Order, lifeline: int, not_to_keep: Sequence[int]) -> NoReturn:
    try:
        from training.executors.zygote.trial import live  # there already: preload() imported it

        os.setsid()
        atexit._clear()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for descriptor in not_to_keep:
            os.close(descriptor)
        live(order, lifeline)
    finally:
        os._exit(1)  # whatever happens, never back into the zygote's loop


def execute_trial(order: Order, descriptors: Sequence[int], lifeline: int) -> int:
    """Starts a run in a fresh interpreter, with the files of its lease open."""
    with tempfile.TemporaryFile() as text:
        text.write(json.dumps(asdict(order)).encode())
        text.seek(0)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        # Not subprocess: it would reap the process behind our back when the next one is started.
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "training.executors.zygote.trial", order.run_folder, str(lifeline)],
            {**order.environ, "PYTHONPATH": python_path()},
            file_actions=[(os.POSIX_SPAWN_DUP2, text.fileno(), 0)],
            setsid=True,
            setsigdef=[signal.SIGINT, *SIGNALS],
        )


def zygote_command(options: dict[str, Any]) -> list[str]:
    """The command line of a zygote."""
    return [sys.executable, "-P", "-m", "training.executors.zygote.zygote", json.dumps(options)]


def python_path() -> str:
    """For PYTHONPATH: what this process can import, another can."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
