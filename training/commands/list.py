"""text-recognizer list: what can be named in a spec or on a command line, with its arguments."""

import argparse
import inspect
import json
from typing import Any

from text_recognizer.arguments import REQUIRED, arguments_of, describe_annotation, json_schema_of, to_json
from text_recognizer.datasets import exports  # noqa: F401 - whose kind is listed too
from text_recognizer.errors import SpecError
from text_recognizer.experiment import json_schema
from text_recognizer.named_part import constructor_of
from text_recognizer.registry import BUILT_IN, GIVEN, PLURALS, RECIPES, names, resolve
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
        parser.add_argument("--json", action="store_true", help="print one JSON object")
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


def schema() -> dict[str, Any]:
    """JSON Schema of a spec; under "$defs", that of the arguments of every part that a command line names."""
    others = [kind for kind in BUILT_IN if kind not in ("dataset", "model", "network", *RECIPES)]
    return json_schema() | {"$defs": {PLURALS[kind]: {"properties": _schemas(kind)} for kind in others}}


def _schemas(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names(kind):
        described = describe(kind, name)
        found[name] = {"description": described["summary"]}
        if "problem" not in described:
            found[name] |= json_schema_of(constructor_of(resolve(kind, name)), GIVEN[kind])
    return found


def _entries(plural: str) -> dict[str, Any]:
    if plural == "train_args":
        return {"train_args": _described(TrainArgs)}
    return {name: describe(KINDS[plural], name) for name in names(KINDS[plural])}


def describe(kind: str, name: str) -> dict[str, Any]:
    """The summary and the arguments of a part. An entry point that cannot be loaded has a "problem"."""
    try:
        target = resolve(kind, name)
    except SpecError as error:
        return {"summary": f"cannot be loaded: {error}", "arguments": {}, "problem": str(error)}
    return _described(target, GIVEN[kind])


def _described(target: Any, given: tuple[str, ...] = ()) -> dict[str, Any]:
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
