"""The console commands. Until theirs is imported, Ctrl-C ends them without a traceback, too."""

import importlib

_INTERRUPTED = 130  # as training.terminal.command_line has it, which takes a while to import


def prepare_experiments() -> int:
    return _entered("training.prepare_experiments")


def run_experiment() -> int:
    return _entered("training.run_experiment")


def run_sweep() -> int:
    return _entered("training.run_sweep")


def text_recognizer() -> int:
    return _entered("training.cli")


def _entered(module: str) -> int:
    try:
        code: int = importlib.import_module(module).main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code
