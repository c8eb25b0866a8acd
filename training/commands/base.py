"""Command: one subcommand of text-recognizer."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

A_BUNDLE = "a bundle or run: folder, id, start of an id, or last; or the name of a model"


class Command(ABC):
    """The first line of a subclass's docstring is its description in `--help`."""

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the arguments, and sets `run`: a function of the parsed arguments that returns the exit code.

        Heavy libraries are imported by what `run` names, so that a help text does not wait for them.
        """


def add_action(actions: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:  # noqa: A002
    """A subcommand of a command; `actions` is what `add_subparsers` returns."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help)
    parser.set_defaults(run=run)
    return parser
