"""Imports of the zygote before it forks, and whether it may fork afterwards.

A forked process inherits the memory of its parent, but only the thread that forked. TensorFlow's eager context and CUDA
use threads and the kernel driver: a process that has them cannot be forked safely. Even building a Keras layer creates
an eager context.
"""

import gc
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from evaluation.pages import compile_templates
from text_recognizer.experiment import assemble
from text_recognizer.keras_import import importing_keras
from text_recognizer.registry import BUILT_IN
from text_recognizer.spec import ExperimentSpec
from training.runs.environment import checkouts, own_modules, package_versions

# Modules that every run imports. Importing them has no side effects.
_LIBRARIES = (
    "tensorflow",
    "keras",
    "filelock",
    "h5py",
    "jinja2",
    "pydantic.dataclasses",
    "PIL.Image",
    "resource",
    "scipy.optimize",
)
_OURS = (
    "training.attempts.train_and_evaluate",
    "training.attempts.attempt",
    "training.executors.zygote.trial",
    "evaluation.evaluate",
)

_ANY_SPEC = {"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}

# jemalloc's thread supports forks: the library restarts it in the child.
_HARMLESS_THREADS = ("jemalloc_bg_thd",)
# A module whose import takes longer is probably blocked.
_LONGEST_IMPORT_S = 120
_FINE = "fine"


def preload(modules: Iterable[str]) -> list[str]:
    """Imports what runs need, and a user's modules if that is harmless; returns notes on the others."""
    built_in = {target.partition(":")[0] for table in BUILT_IN.values() for target in table.values()}
    with importing_keras():
        for name in (*_LIBRARIES, *_OURS, *built_in):
            importlib.import_module(name)
    _warm_up()
    notes = []
    for name in modules:
        obstacle = _tried_in_a_child(name)
        if obstacle is None:
            importlib.import_module(name)
            own_modules([name])  # as it was imported, even if its file changes
        else:
            notes.append(f"every run imports {name} for itself, since {obstacle}")
    # Without a collection before: it takes half a second, and finds a thousand small objects.
    gc.freeze()  # children's garbage collectors ignore existing objects, so their memory stays shared
    return notes


def obstacle_to_forking() -> str | None:
    """Why this process must not fork runs; None if it may.

    What is unknown counts as an obstacle.
    """
    if "tensorflow" in sys.modules and (context := _eager_context()) is not None:
        return context
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return "the CUDA driver loaded" if any("/libcuda.so" in line for line in file) else _threads()


def _warm_up() -> None:
    """Fills caches that are the same for all runs."""
    import PIL.Image

    assemble(ExperimentSpec.parse(_ANY_SPEC))
    PIL.Image.preinit()
    compile_templates()
    package_versions()
    checkouts()  # of the code as imported just now, which the runs execute


def _tried_in_a_child(module: str) -> str | None:
    """Why a module should not be imported here, tested by importing it in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _try(module, writing)
    os.close(writing)
    answer = os.read(reading, 1 << 12).decode(errors="replace")
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return f"importing it takes longer than {_LONGEST_IMPORT_S} s"
    if os.WIFSIGNALED(status):
        return f"importing it ends the process with {signal.Signals(os.WTERMSIG(status)).name}"
    return answer.removeprefix(_FINE) or None


def _try(module: str, answer: int) -> None:
    try:
        signal.alarm(_LONGEST_IMPORT_S)
        importlib.import_module(module)
        obstacle = obstacle_to_forking()
        text = _FINE if obstacle is None else f"importing it leaves {obstacle}"
    except BaseException as error:  # noqa: BLE001 - a user's module may do anything
        traceback.print_exc()
        text = f"importing it fails ({type(error).__name__}: {error})"
    os.write(answer, text.encode())
    os._exit(0)


def _eager_context() -> str | None:
    from tensorflow.python.eager import context

    try:
        started = context.context()._context_handle is not None
    except AttributeError:
        return "a TensorFlow that does not tell whether its eager context exists"
    return "an eager context of TensorFlow (an operation was executed, or a layer built)" if started else None


def _threads() -> str | None:
    """Other threads than the calling one, after a fork has ended those of fork-aware libraries."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    names: list[str] = []
    for _ in range(20):  # ending threads need a moment
        names = [name for name in _thread_names() if name not in _HARMLESS_THREADS]
        if not names:
            return None
        time.sleep(0.005)
    return f"{'another thread' if len(names) == 1 else f'{len(names)} other threads'} running ({', '.join(names[:3])})"


def _thread_names() -> list[str]:
    names = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            name = (thread / "comm").read_text().strip()
        except OSError:
            continue
        if int(thread.name) != os.getpid():
            names.append(name)
    return names
