"""Command: one subcommand of text-recognizer."""

import argparse
from abc import ABC, abstractmethod


class Command(ABC):
    """The first line of a subclass's docstring is what `--help` says of it."""

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the arguments, and sets `run`: a function of the parsed arguments that returns the exit code.

        Heavy libraries are imported by what `run` names, so that a help text does not wait for them.
        """
