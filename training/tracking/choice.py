"""Which trackers mirror a run: names with arguments, as on the command line: "wandb:online", "tensorboard"."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from text_recognizer.arguments import arguments_of, check_arguments
from text_recognizer.errors import SpecError
from text_recognizer.registry import names, resolve
from text_recognizer.spec import parse_value
from training.tracking.base import Tracker
from training.tracking.wandb.mode import MODES, wandb_mode

WANDB = "wandb"


@dataclass(frozen=True)
class TrackerChoice:
    """One tracker and its arguments, checked.

    Args:
        name: a registered one, or "package.module:Class".
        arguments: of its constructor.
    """

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> "TrackerChoice":
        """From NAME, NAME:VALUE (of the first argument), or NAME:KEY=VALUE,KEY=VALUE.

        Raises:
            SpecError: there is no such tracker, or it has no such argument.
        """
        parts = text.split(":")
        length = 1 if parts[0] in names("tracker") or len(parts) == 1 else 2
        name, rest = ":".join(parts[:length]), ":".join(parts[length:])
        target = resolve("tracker", name)
        given = dict(_argument(target, word) for word in rest.split(",") if word)
        _, problems = check_arguments(f"tracker '{name}'", target, given)
        if problems:
            raise SpecError(problems)
        return cls(name, given)

    @property
    def folder_name(self) -> str:
        """Of what it keeps in a run folder."""
        return self.name.rpartition(":")[2].lower()

    def __str__(self) -> str:
        words = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}:{words}" if words else self.name

    def make(self) -> Tracker:
        """
        Raises:
            SpecError: an argument is wrong.
        """
        target = resolve("tracker", self.name)
        arguments, problems = check_arguments(f"tracker '{self.name}'", target, self.arguments)
        if problems:
            raise SpecError(problems)
        tracker: Tracker = target(**arguments)
        return tracker


def _argument(target: Callable[..., Any], word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if equals:
        return name, parse_value(value)
    first = next(iter(arguments_of(target)), None)
    if first is None:
        raise SpecError(f"{target.__name__} takes no arguments. Received: {word!r}.")
    return first, parse_value(name)


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """--track, and its shorthands for W&B."""
    parser.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="NAME[:ARGS]",
        help="mirror to a tracker besides W&B, like tensorboard; may be given several times",
    )
    parser.add_argument(
        "--wandb", choices=MODES, default=None, help="mirror to W&B (default: WANDB_MODE, else offline)"
    )
    parser.add_argument(
        "--nowandb", action="store_const", dest="wandb", const="disabled", help="same as --wandb disabled"
    )


def chosen_trackers(
    track: Sequence[str], wandb: str | None, say: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """The trackers that a command line asks for; W&B's, unless it is disabled, first.

    Args:
        track: texts of --track. "wandb:online" there is the same as --wandb online.
        wandb: of --wandb.
    Raises:
        SpecError: one of them is wrong, or given twice.
    """
    choices = [TrackerChoice.parse(text) for text in track]
    twice = next((one.name for one in choices if [other.name for other in choices].count(one.name) > 1), None)
    if twice is not None:
        raise SpecError(f"--track {twice} is given twice; a run is mirrored to each tracker once.")
    for choice in choices:
        if choice.name == WANDB and wandb is not None:
            raise SpecError(f"--track {choice} and --wandb {wandb} say the same; give one of them.")
    asked = next((str(one.arguments.get("mode", "offline")) for one in choices if one.name == WANDB), wandb)
    mode = wandb_mode(asked, say)
    others = tuple(str(one) for one in choices if one.name != WANDB)
    return others if mode == "disabled" else (f"{WANDB}:mode={mode}", *others)


def wandb_mode_of(trackers: Sequence[str]) -> str:
    """Of chosen trackers: "online", "offline", or "disabled" where W&B is not among them."""
    choices = [TrackerChoice.parse(text) for text in trackers]
    return next((str(one.arguments["mode"]) for one in choices if one.name == WANDB), "disabled")
