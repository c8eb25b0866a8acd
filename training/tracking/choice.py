"""The trackers of a run: names with arguments, as on the command line: "wandb:online", "tensorboard"."""

import argparse
from collections.abc import Callable, Sequence

from text_recognizer.errors import SpecError
from text_recognizer.named_part import NamedPart
from training.tracking.wandb.mode import MODES, wandb_mode

WANDB = "wandb"


def folder_name(choice: NamedPart) -> str:
    """The folder of a tracker's files, in a run folder."""
    return choice.name.rpartition(":")[2].lower()


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """--track, and its shorthands for W&B."""
    add = parser.add_argument
    further = "mirror to a tracker besides W&B, like tensorboard; may be repeated"
    add("--track", action="append", default=[], metavar="NAME[:ARGS]", help=further)
    add("--wandb", choices=MODES, default=None, help="mirror to W&B (default: WANDB_MODE, else offline)")
    add("--nowandb", action="store_const", dest="wandb", const="disabled", help="same as --wandb disabled")


def chosen_trackers(
    track: Sequence[str], wandb: str | None, say: Callable[[str], None] = lambda _: None
) -> tuple[str, ...]:
    """The trackers of a command line, W&B's first unless disabled. Raises SpecError: one is wrong, or given twice.

    Args:
        track: values of --track. "wandb:online" is the same as --wandb online.
        wandb: value of --wandb.
    """
    choices = [NamedPart.parse("tracker", text) for text in track]
    names = [one.name for one in choices]
    for choice in choices:
        if names.count(choice.name) > 1:
            raise SpecError(f"--track {choice.name} is given twice; a run is mirrored to each tracker once.")
        if choice.name == WANDB and wandb is not None:
            raise SpecError(f"--track {choice} and --wandb {wandb} mean the same; give only one of them.")
    asked = next((str(one.arguments.get("mode", "offline")) for one in choices if one.name == WANDB), wandb)
    mode = wandb_mode(asked, say)
    others = tuple(str(one) for one in choices if one.name != WANDB)
    return others if mode == "disabled" else (f"{WANDB}:mode={mode}", *others)


def wandb_mode_of(trackers: Sequence[str]) -> str:
    """The mode of W&B among trackers: "online", "offline", or "disabled" if it is not one of them."""
    choices = [NamedPart.parse("tracker", text) for text in trackers]
    return next((str(one.arguments["mode"]) for one in choices if one.name == WANDB), "disabled")
