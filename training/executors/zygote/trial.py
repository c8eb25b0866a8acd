"""The process of a run, forked by the zygote or a fresh interpreter.

`python -m training.executors.zygote.trial RUN_FOLDER LIFELINE ERROR_FILE` is the latter; it reads its order from
standard input.
"""

import atexit
import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from training.attempts.attempt import attempt
from training.attempts.causes import cause_of
from training.executors.zygote.endings import blaming
from training.executors.zygote.order import Order
from training.runs.run import Run
from training.terminal.command_line import guarded, say

# Out-of-memory score adjustment (in thousandths of memory), so that the kernel kills the run that takes too much rather
# than the zygote, which is larger than a small run, or the driver.
_OOM_SCORE = 500


def live(order: Order, lifeline: int, error_file: int) -> NoReturn:
    """Executes a run, printing into its log, and exits.

    Args:
        lifeline: a pipe that stays open while the zygote lives.
        error_file: gets the error that ends the run, for the driver.
    """
    code = 1
    try:
        code = guarded(lambda: _execute_or_tell(order, lifeline, error_file))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        _exit(code)


def _execute_or_tell(order: Order, lifeline: int, error_file: int) -> int:
    try:
        return _execute(order, lifeline)
    except Exception as error:
        told = {"message": f"{type(error).__name__}: {error}", "cause": cause_of(error)}
        os.write(error_file, json.dumps(told).encode())
        raise


def _execute(order: Order, lifeline: int) -> int:
    run = Run.open(Path(order.run_folder))
    _print_into(run.folder / "log.txt")
    _watch(lifeline, order.grace_s)
    os.chdir(order.folder)
    lease = order.as_lease()
    os.environ.clear()
    os.environ.update({**order.environ, **lease.environ})
    sys.argv = order.argv
    if order.cores:
        os.sched_setaffinity(0, order.cores)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    with blaming(lease.devices):
        return attempt(run, lease, order.trackers, stop_request_stands=True, **order.launch)


def _print_into(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()  # a crash in a C library leaves a traceback in the log


def _watch(lifeline: int, grace_s: float) -> None:
    """Ends this process when its zygote has died, at a checkpoint if it reaches one in time."""
    if select.select([lifeline], [], [], 0)[0]:  # it has already died: the run must stay free for the next driver
        raise SystemExit(128 + signal.SIGTERM)

    def watch() -> None:
        os.read(lifeline, 1)  # nothing is ever written: this returns when the last writing end is closed
        say("the process that started this run is gone: stopping at the next checkpoint")
        signal.alarm(int(grace_s) + 2)  # the default action ends the process, even if this thread never runs again
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _exit(code: int) -> NoReturn:
    """Exits without tearing down TensorFlow, which takes time and frees nothing that the kernel would not free."""
    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)


def main() -> NoReturn:
    lifeline, error_file = map(int, sys.argv[2:])
    order = Order(**json.load(sys.stdin))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    live(order, lifeline, error_file)


if __name__ == "__main__":
    main()
