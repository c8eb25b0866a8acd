"""The console commands; Ctrl-C ends them without a traceback even during imports."""

import functools
import importlib

_INTERRUPTED = 130  # as in training.terminal.command_line, which is slow to import


def _entered(module: str) -> int:
    try:
        code: int = importlib.import_module(f"training.{module}").main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


prepare_experiments, run_experiment, run_sweep, text_recognizer = (
    functools.partial(_entered, name) for name in ("prepare_experiments", "run_experiment", "run_sweep", "cli")
)
