"""Command: one subcommand of text-recognizer."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from text_recognizer.wording import shell_word

A_BUNDLE = "a bundle or run: folder, id, start of an id, or last; or the name of a model"


class Command(ABC):
    """The first line of a subclass's docstring is its description in `--help`."""

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the arguments, and sets `run`: a function from parsed arguments to the exit code.

        Import heavy libraries only inside that function, so that help texts do not wait for them.
        """


def other_runs(folder: str) -> str:
    """The hint of a list command for a FOLDER."""
    return f" Set TEXT_RECOGNIZER_RUNS={shell_word(folder)} to list those of another folder."


def add_action(actions: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:  # noqa: A002
    """Adds a subcommand to a command; `actions` is the result of `add_subparsers`."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help)
    parser.set_defaults(run=run)
    return parser
