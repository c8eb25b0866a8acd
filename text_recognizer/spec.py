"""ExperimentSpec: what is trained, on what, and how. Read, overridden and identified without TensorFlow."""

import ast
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from text_recognizer.arguments import arguments_of, check_value, to_json
from text_recognizer.errors import Problem, SpecError, reason
from text_recognizer.json_text import MOST_NESTED, parse_json_text
from text_recognizer.registry import names
from text_recognizer.settings import where_included
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import did_you_mean, received

DEFAULT_SPEC = Path(__file__).parent / "default_experiment.json"
PARTS = ("dataset", "model", "network")
# Filing, launching and checkpointing do not change the result.
NOT_TRAINED = ("experiment_group", "train_args.checkpoint_interval_s", "train_args.examples_every")
# Values resolved by a run's first attempt; runs from before "auto" existed have the default of that time.
_LEFT_TO_THE_RUN = {"train_args.mixed_precision": "auto"}


@dataclass(frozen=True)
class ExperimentSpec:
    """One experiment, with the keys of the FSDL text recogniser's JSON files.

    `text_recognizer.experiment.assemble` checks the names and arguments and assembles the parts.

    Args:
        dataset, model, network: registered names, or "package.module:Name".
        dataset_args, model_args, network_args: arguments of their constructors.
        train_args: see text_recognizer.train_args.TrainArgs.
        experiment_group: a label that runs are filed under.
        seed: seed of initial weights, order of the data, dropout and augmentation.
        origin: the bundle or run folder it was read from, as text; None for the user's own. Not part of the spec.
    """

    dataset: str
    model: str
    network: str
    dataset_args: dict[str, Any] = field(default_factory=dict)
    model_args: dict[str, Any] = field(default_factory=dict)
    network_args: dict[str, Any] = field(default_factory=dict)
    train_args: dict[str, Any] = field(default_factory=dict)
    experiment_group: str = "default"
    seed: int = 0
    origin: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, value: Mapping[str, Any], source: str | None = None, origin: str | None = None) -> "ExperimentSpec":
        """A spec from its JSON object. Raises SpecError: unknown, missing or mistyped keys, all at once."""
        kinds = typed_fields()
        problems = [Problem(_unknown_key(str(key)), str(key)) for key in value if key not in kinds]
        missing = [key for key in PARTS if key not in value]
        problems += [
            Problem(f"the key '{key}' is missing. Known {key}s: {', '.join(names(key))}.", key) for key in missing
        ]
        checked = {}
        for key in [key for key in kinds if key in value]:
            checked[key], found = check_value(key, kinds[key], value[key])  # a seed of 1.0 becomes 1
            problems += [Problem(problem, key) for problem in found]
        seed = checked.get("seed", 0)
        if isinstance(seed, int) and not 0 <= seed < 2**32:
            problems.append(Problem(f"seed must be from 0 to 4294967295. {received(seed)}", "seed"))
        if problems:
            raise SpecError(problems, source)
        return cls(**checked, origin=origin)

    def override(self, values: Mapping[str, Any]) -> "ExperimentSpec":
        """The same spec with some values replaced. Raises SpecError: a key is unknown, or its parent is not an object.

        Args:
            values: by dotted key, for example {"network_args.layer_size": 128}; a new argument is added.
        """
        return ExperimentSpec.parse(override_json(self.to_json(), values), origin=self.origin)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON, keys in their usual order."""
        parts = [key for part in PARTS for key in (part, f"{part}_args")]
        return {key: to_json(getattr(self, key)) for key in (*parts, "train_args", "experiment_group", "seed")}

    @property
    def digest(self) -> str:
        """Hash of what is trained, independent of the group, of launching and of checkpointing.

        Two specs that differ only in defaults written out have the same digest once both are completed.
        """
        trained = self.to_json()
        for key in NOT_TRAINED:
            group, _, name = key.rpartition(".")
            (trained[group] if group else trained).pop(name, None)
        return hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()[:16]


def base_spec(given: Collection[str]) -> dict[str, Any]:
    """The base for overrides with dotted keys: the default experiment, unless they name all three parts."""
    if {*PARTS} <= {*given}:
        return {}
    return parse_json(DEFAULT_SPEC.read_text(encoding="utf-8"), str(DEFAULT_SPEC))


def typed_fields() -> dict[str, Any]:
    """The keys of a spec with their types."""
    return {name: one.annotation for name, one in arguments_of(ExperimentSpec).items() if name != "origin"}


def keys_by_name() -> dict[str, str]:
    """The keys of a spec and those of its train_args, as they are set: {…, "epochs": "train_args.epochs", …}."""
    return {field.name: f"train_args.{field.name}" for field in fields(TrainArgs)} | {
        key: key for key in typed_fields()
    }


def override_json(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's JSON object with dotted keys replaced; see ExperimentSpec.override."""
    changed = json.loads(json.dumps(spec))
    problems = [Problem(found, key) for key, value in values.items() if (found := _set_dotted(changed, key, value))]
    if problems:
        raise SpecError(problems)
    return changed  # type: ignore[no-any-return]


def without_dotted_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's JSON object with dotted keys, like "network_args.layer_size", moved to their place."""
    plain = {key: item for key, item in value.items() if "." not in key}
    return override_json(plain, {key: item for key, item in value.items() if "." in key})


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested objects to dotted keys; an empty object stays."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def is_met(key: str, asked: Any, found: Any) -> bool:
    """Whether the value `found` in a run matches `asked` in a spec, for a dotted key."""
    return bool(asked == found) or _LEFT_TO_THE_RUN.get(key) == asked


def read_spec(text: str) -> tuple[dict[str, Any], str]:
    """The JSON object of a spec given as inline JSON, a file, or "-" for standard input.

    Returns:
        the object, and a description of where it came from.
    Raises:
        SpecError: no such file, or JSON that does not parse (with line and column).
    """
    if text == "-":
        if sys.stdin is None:
            raise SpecError("standard input is closed. Give a file, or inline JSON.")
        return parse_json(sys.stdin.read(), "standard input"), "standard input"
    if text.lstrip().startswith(("{", "[")):
        return parse_json(text, "the spec on the command line"), "the command line"
    try:
        content = Path(text).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(
            f"there is no file '{text}'. A spec is inline JSON (starting with {{), a file, or - for standard input."
            f"{where_included(text)}"
        ) from None
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot read the spec '{text}': {reason(error)}.") from None
    return parse_json(content, text), text


def parse_json(text: str, source: str) -> dict[str, Any]:
    """Parses a JSON object strictly: no NaN, no duplicate keys. Raises SpecError: with the position of the mistake."""
    try:
        value = parse_json_text(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1]
        start = max(0, error.colno - 41)
        raise SpecError(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}:\n"
            f"    {line[start : start + 80]}\n    {' ' * (error.colno - 1 - start)}^"
        ) from None
    except SpecError as error:
        raise SpecError(error.problems, source) from None
    except ValueError as error:
        raise SpecError(f"{source}: {reason(error)}.") from None
    if not isinstance(value, dict):
        raise SpecError(f'{source} must hold a JSON object, like {{"dataset": …}}. {received(value)}')
    return value


def parse_value(text: str) -> Any:
    """The value of an override on the command line: JSON if it parses, else a Python literal, else text.

    `1e-4` is a number, `true` and `True` are booleans, `{'units': 8}` is an object, `lenet` is text.
    """
    for read in (json.loads, ast.literal_eval):
        try:
            value = to_json(read(text))
            json.dumps(value, allow_nan=False)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return value
    return text


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if repeated := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise SpecError(f"the key '{repeated[0]}' occurs twice in one object.")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise SpecError(f"{name} is not a JSON number.")


def _unknown_key(key: str) -> str:
    known = keys_by_name()
    return f"unknown key '{key}'.{did_you_mean(key, known, known)} A spec has: {', '.join(typed_fields())}."


def _set_dotted(target: dict[str, Any], dotted: str, value: Any) -> str | None:
    """Sets target[a][b] for "a.b"; returns the problem if that is impossible."""
    path = str(dotted).split(".")  # YAML that is not a sweep's own may have a number as key
    if len(path) > MOST_NESTED:
        return f"'{dotted[:40]}…' leads through {len(path)} objects. At most {MOST_NESTED} are allowed."
    if path[0] not in typed_fields():
        return _unknown_key(path[0])
    place = target
    for depth, key in enumerate(path[:-1], start=1):
        inner = place.setdefault(key, {})
        if inner is None:
            inner = place[key] = {}
        if not isinstance(inner, dict):
            return f"'{dotted}' cannot be set: {'.'.join(path[:depth])} is {inner!r}, not an object."
        place = inner
    place[path[-1]] = value
    return None
