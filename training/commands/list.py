"""text-recognizer list: what can be named in a spec, with its arguments."""

import argparse
import inspect
import json
from collections.abc import Sequence
from typing import Any

from text_recognizer.arguments import REQUIRED, arguments_of, describe_annotation, to_json
from text_recognizer.datasets import exports  # noqa: F401 - whose kind is listed too
from text_recognizer.errors import SpecError
from text_recognizer.named_part import constructor_of
from text_recognizer.registry import BUILT_IN, GIVEN, PLURALS, names, resolve
from text_recognizer.train_args import TrainArgs
from training import commands, executors, tracking  # noqa: F401 - whose kinds are listed too
from training.commands.base import Command
from training.sweeps import search, stopping_rules  # noqa: F401

KINDS = {PLURALS[kind]: kind for kind in BUILT_IN}  # those of training's rooms too: they are imported above


class ListNames(Command):
    """What can be named in a spec or on a command line, with its arguments."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer list\n  text-recognizer list networks\n"
            "  text-recognizer list train_args --json"
        )
        parser.add_argument("kind", nargs="?", choices=[*KINDS, "train_args"], help="default: all")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    wanted = [arguments.kind] if arguments.kind else [*KINDS, "train_args"]
    listing = {kind: _entries(kind) for kind in wanted}
    if arguments.json:
        print(json.dumps(listing, indent=2))
        return 0
    for kind, entries in listing.items():
        print(kind)
        for name, entry in entries.items():
            print(f"  {name}" + (f": {entry['summary']}" if entry["summary"] else ""))
            for argument, described in entry["arguments"].items():
                default = "required" if described["required"] else f"= {json.dumps(described['default'])}"
                print(f"      {argument} {default}  ({described['type']})")
    return 0


def _entries(kind: str) -> dict[str, Any]:
    if kind == "train_args":
        return {"train_args": _describe(TrainArgs, ())}
    entries = {}
    for name in names(KINDS[kind]):
        try:
            entries[name] = _describe(resolve(KINDS[kind], name), GIVEN[KINDS[kind]])
        except SpecError as error:  # somebody's entry point that does not load must not hide the others
            entries[name] = {"summary": f"cannot be loaded: {error}", "arguments": {}}
    return entries


def _describe(target: Any, given: Sequence[str]) -> dict[str, Any]:
    return {
        "summary": (inspect.getdoc(target) or "").partition("\n")[0],
        "arguments": {
            name: {
                "type": describe_annotation(argument.annotation),
                "required": argument.default is REQUIRED,
                "default": None if argument.default is REQUIRED else to_json(argument.default),
            }
            for name, argument in arguments_of(constructor_of(target)).items()
            if name not in given
        },
    }
