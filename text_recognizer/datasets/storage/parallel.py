"""Parallel work in processes, in order and with progress."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

from text_recognizer.errors import DataError, keep_places
from text_recognizer.wording import counted

Task = TypeVar("Task")
Result = TypeVar("Result")

LINE_EVERY_S = 10.0  # interval of progress lines if there is no terminal
_LOOK_FOR_PARENT_S = 1.0


def in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], processes: int | None = None
) -> Iterator[Result]:
    """Maps a function over tasks in several processes, in order. Raises DataError: a worker was killed.

    The workers are new processes that import only what the tasks need: forking a process that runs TensorFlow can hang,
    and the standard pools run the caller's script again unless it is guarded.

    Args:
        processes: 1 works in this process; None uses one per available core.
    """
    if processes == 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    import joblib  # type: ignore[import-untyped]
    from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]
    from joblib.externals.loky.process_executor import TerminatedWorkerError  # type: ignore[import-untyped]

    # If a later step fails, its error is reported; cancelled work need not be.
    unused = r"\d+ tasks (which were still being processed|have been successfully executed)"
    warnings.filterwarnings("ignore", unused, UserWarning)
    processes = min(processes or joblib.cpu_count(), len(tasks))
    how = {"initializer": _end_with, "initargs": (os.getpid(),)}
    workers = joblib.Parallel(processes, return_as="generator", max_nbytes=None, **how)
    try:
        yield from workers(joblib.delayed(_with_places)(function, task) for task in tasks)
    except TerminatedWorkerError as error:
        raise DataError(
            f"a process that prepared the data was killed, perhaps for lack of memory ({processes} were running). "
            f"Set LOKY_MAX_CPU_COUNT=1 in the environment to use one process."
        ) from error
    finally:
        with suppress(Exception):  # errors of the remaining workers must not hide the cause
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _with_places(function: Callable[[Task], Result], task: Task) -> Result:
    try:
        return function(task)
    except Exception as error:
        keep_places(error)
        raise


def _end_with(parent: int) -> None:
    """Ends a worker when its parent has died: it would wait forever to deliver its result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def progress(label: str, total: int, noun: str, verb: str = "preparing") -> Iterator[Callable[[int], None]]:
    """Shows progress on standard error: a bar on a terminal, otherwise lines; yields a function to count work."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        text = f"{label}: {verb} {counted(total, noun)}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        yield _lines(label, total, noun, console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{label}: {noun}s", total=total)
        yield lambda done: bar.advance(task, done)


def _lines(label: str, total: int, noun: str, console: Any) -> Callable[[int], None]:
    """A function that counts work and prints the progress, with the remaining time, every ten seconds."""
    began = last_line = time.monotonic()
    done = 0

    def count(more: int) -> None:
        nonlocal done, last_line
        done += more
        now = time.monotonic()
        if 0 < done < total and now - last_line >= LINE_EVERY_S:
            last_line = now
            left = timedelta(seconds=round((now - began) / done * (total - done)))
            text = f"{label}: {done:,} of {counted(total, noun)}, {left} left"
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    return count
