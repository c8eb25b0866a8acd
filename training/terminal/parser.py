"""Command-line parsers with our error messages: what was wrong, what is allowed, what was probably meant."""

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from text_recognizer.errors import SpecError
from text_recognizer.spec import override_json, parse_json, parse_value
from text_recognizer.wording import did_you_mean, received

Number = TypeVar("Number", int, float)

_A_BUNDLE = {"bundle", "run"}  # a run gives its bundle, so each of the names is tried for the other
_DATASET_ARGS = "dataset_args"
_ONE_OF_THEM = f"--{_DATASET_ARGS}."


class Parser(argparse.ArgumentParser):
    """Raises SpecError instead of exiting; no abbreviations.

    A default `hint_if_surplus` of a command makes its hint for a value too many.

    Args:
        hint: appended to the message for an unknown argument.
        keys: meanings of names that are not options.
    """

    def __init__(self, hint: str = "", keys: Mapping[str, str] = MappingProxyType({}), **settings: Any) -> None:
        self._hint = f"{hint} ".lstrip()
        self._keys = {f"--{name}": f"--{key}" for name, key in keys.items()}
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **settings})
        self.set_defaults(parser=self)  # the parser of the action that was given

    @property
    def actions(self) -> list[str]:
        """The names of its subcommands."""
        return [name for one in self._actions if isinstance(one, argparse._SubParsersAction) for name in one.choices]

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """The arguments. Raises SpecError: one is unknown, missing or not allowed."""
        found, unknown = self.parse_known_args(args, namespace)
        if hasattr(found, _DATASET_ARGS):
            parts = [token.partition("=") for token in unknown if token.startswith(_ONE_OF_THEM) and "=" in token]
            values = {key.removeprefix("--"): parse_value(value) for key, _, value in parts}
            found.dataset_args = override_json({_DATASET_ARGS: found.dataset_args}, values)[_DATASET_ARGS]
            unknown = [token for token in unknown if token.partition("=") not in parts]
        if unknown:
            # Compared without dashes, which make any two options similar.
            known = {one.lstrip("-"): self._keys.get(one, one) for one in (*_options(found.parser), *self._keys)}
            name = re.split("[=.]", unknown[0])[0]
            is_elsewhere = name in _options(self)
            hint = " Another action has it." if is_elsewhere else did_you_mean(name.lstrip("-"), known, known)
            if not name.startswith("-") and hasattr(found, "hint_if_surplus"):
                hint = found.hint_if_surplus(unknown[0])
            raise SpecError(f"unknown argument '{unknown[0]}'.{hint} {self._hint}See {found.parser.prog} --help.")
        return found

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        given = sys.argv[1:] if args is None else [*args]
        for token in _before_rest(self, given):
            name = re.split("[=.]", token)[0]
            if name in _named(self) and name not in _options(self):
                self.error(f"unknown argument '{token}'. Give its value alone, without {name}")
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message.rstrip('.')}. See {self.prog} --help.")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # An empty path would be the working folder. Subcommands check their own.
        if "" in arg_strings and not isinstance(action, argparse._SubParsersAction):
            name = "/".join(action.option_strings) or action.metavar or action.dest
            self.error(f"{name} is empty; perhaps a variable is not set")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        name = action.metavar or "/".join(action.option_strings) or action.dest
        raise SpecError(
            f"{self.prog}: unknown {name} '{value}'.{did_you_mean(str(value), choices)} "
            f"Expected one of: {', '.join(choices)}."
        )


def number(kind: type[Number], least: Number, most: Number = 1_000_000_000) -> Callable[[str], Number]:
    """A type of arguments, int or float in a range; raises an ArgumentTypeError for other values."""

    def parse(text: str) -> Number:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"a {what} from {least} to {most:,} is expected. {received(text)}")

    return parse


POSITIVE, PORT = number(int, 1), number(int, 0, 65535)  # 0 for any free port


def add_dataset_args(parser: argparse.ArgumentParser) -> None:
    """--dataset_args, a JSON object, and --dataset_args.KEY=VALUE; parsed by a Parser into `dataset_args`."""
    parser.add_argument(
        f"--{_DATASET_ARGS}",
        default={},
        type=lambda text: parse_json(text, f"--{_DATASET_ARGS}"),
        metavar="JSON",
        help=f"as in a spec; also --{_DATASET_ARGS}.KEY=VALUE",
    )


def _before_rest(parser: argparse.ArgumentParser, given: Sequence[str]) -> Iterator[str]:
    """The arguments of the parser itself: all before `--`; if it passes others on, only options at the start."""
    passes_on = any(action.nargs == argparse.REMAINDER for action in parser._actions)
    return takewhile(lambda word: word != "--" and (word.startswith("-") or not passes_on), given)


def _named(parser: argparse.ArgumentParser) -> set[str]:
    """The names of arguments that are given alone, as the options that they are mistaken for."""
    alone = [action for action in parser._actions if not action.option_strings]
    words = {word for action in alone for word in (action.dest, *str(action.metavar or "").lower().split("|"))}
    return {f"--{word}" for word in (words | _A_BUNDLE if words & _A_BUNDLE else words)}


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)
