"""Parts of specs and command lines with their arguments."""

from typing import Any

from text_recognizer import exports as model_exports  # noqa: F401
from text_recognizer.arguments import (
    REQUIRED,
    arguments_of,
    describe_annotation,
    description_of,
    json_schema_of,
    to_json,
)
from text_recognizer.datasets import exports  # noqa: F401
from text_recognizer.errors import SpecError
from text_recognizer.experiment import json_schema
from text_recognizer.named_part import constructor_of
from text_recognizer.registry import BUILT_IN, GIVEN, PLURALS, RECIPES, names, resolve
from text_recognizer.train_args import TrainArgs
from training import executors, tracking  # noqa: F401
from training.commands.table import PROGRAMS
from training.sweeps import search, stopping_rules  # noqa: F401

KINDS = {PLURALS[kind]: kind for kind in BUILT_IN}  # including those of training, registered by the imports above


def schema() -> dict[str, Any]:
    """JSON Schema of a spec; under "$defs", the arguments of every part of command lines."""
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


def entries(plural: str) -> dict[str, Any]:
    if plural == "train_args":
        return {"train_args": _described(TrainArgs)}
    found = {name: describe(KINDS[plural], name) for name in names(KINDS[plural])}
    if plural == "commands":
        said = {name: f"{what.capitalize()}." for name, (_, what) in PROGRAMS.items()}
        found |= {name: {"summary": what, "description": what, "arguments": {}} for name, what in said.items()}
    return found


def own_entry(plural: str, name: str) -> dict[str, Any]:
    """An unregistered part, "package.module:Name". Raises SpecError: there is none."""
    return _described(resolve(KINDS[plural], name), GIVEN[KINDS[plural]])


def describe(kind: str, name: str) -> dict[str, Any]:
    """The summary and the arguments of a part. An entry point that cannot be loaded has a "problem"."""
    try:
        target = resolve(kind, name)
    except SpecError as error:
        why = f"cannot be loaded: {error}"
        return {"summary": why, "description": why, "arguments": {}, "problem": str(error)}
    return _described(target, GIVEN[kind])


def _described(target: Any, given: tuple[str, ...] = ()) -> dict[str, Any]:
    description, meanings = description_of(target)
    meanings = description_of(constructor_of(target))[1] | meanings
    return {
        "summary": description.partition("\n")[0],
        "description": description,
        "arguments": {
            name: {
                "type": describe_annotation(argument.annotation),
                "required": argument.default is REQUIRED,
                "default": None if argument.default is REQUIRED else to_json(argument.default),
                "meaning": meanings.get(name, ""),
            }
            for name, argument in arguments_of(constructor_of(target)).items()
            if name not in given
        },
    }
