"""Restarts a script in the environment of tasks/setup.sh if necessary. Imports only the standard library."""

import importlib.util
import os
import sys
from pathlib import Path

_SOME_PACKAGES = ("keras", "optuna", "platformdirs", "pydantic", "wandb")


def enter_own_environment() -> None:
    """Returns if the packages of this project are installed; otherwise restarts there, or says what to do."""
    if all(importlib.util.find_spec(name) is not None for name in _SOME_PACKAGES):
        return
    own = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
    if own.exists() and Path(sys.executable) != own:
        os.execv(own, [str(own), *sys.argv])  # noqa: S606 - no shell is wanted
    sys.exit(
        f"error: {sys.executable} has none of the packages of this project. Run tasks/setup.sh, or activate the "
        f"environment that has them."
    )
