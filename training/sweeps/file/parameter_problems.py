"""Problems of a sweep's parameters, with remedies."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from text_recognizer.wording import did_you_mean, received
from text_recognizer.yaml_source import YamlPath, text_number_hint
from training.files.json_objects import is_finite
from training.sweeps.file.forms import FORMS, KNOWN_KEYS, Form, filled
from training.sweeps.numbers import is_number

# numpy.isclose's tolerance around 1, which W&B uses for the sum of probabilities.
_SUM_TOLERANCE = 1e-8 + 1e-5
_LARGEST_EXPONENT = 709.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\n?")  # W&B's pattern allows a final line break


@dataclass(frozen=True)
class Problem:
    """One problem of a sweep, in one or two sentences.

    Args:
        path: its path of keys in the YAML.
        beyond_schema: W&B's schema accepts it, but W&B's client, its engine or this project cannot run it;
            the sentence says why.
    """

    path: YamlPath
    sentence: str
    beyond_schema: bool = False


def group_problems(group: Any, path: YamlPath = ("parameters",), name: str = "") -> Iterator[Problem]:
    """Problems of the parameters at a path: the top level, or a group of this dotted name."""
    of = f" of '{name}'" if name else ""
    if not isinstance(group, dict):
        yield Problem(path, f"`parameters`{of} must be a mapping of names to parameters. {received(group)}")
        return
    if not group:
        yield Problem(path, f"`parameters`{of} is empty: a sweep needs at least one parameter.")
    for key, config in group.items():
        yield from _name_problems(key, (*path, key))
        dotted = f"{name}.{key}" if name else str(key)
        yield from _parameter_problems(config, (*path, key), dotted, nested=bool(name))


def _name_problems(key: Any, path: YamlPath) -> Iterator[Problem]:
    if not isinstance(key, str):
        remedy = "Put it in quotes." if isinstance(key, bool) else "A name begins with a letter or _."
        yield Problem(path, f"the parameter name {key!r} is not text to YAML. {remedy}", beyond_schema=True)
    elif not _NAME.fullmatch(key):
        yield Problem(
            path,
            f"'{key}' cannot be a parameter's name: it must begin with a letter or _ and hold only letters, digits, "
            "_, . and -.",
        )


def _parameter_problems(config: Any, path: YamlPath, name: str, *, nested: bool) -> Iterator[Problem]:
    if not isinstance(config, dict):
        example = "values: [...]" if isinstance(config, list) else "value: ..."
        yield Problem(path, f"parameter '{name}' must be a mapping such as {{{example}}}. {received(config)}")
        return
    if "parameters" in config:
        for key in config:
            if key != "parameters":
                sentence = f"'{name}' is a group of parameters: it takes nothing beside `parameters`, not '{key}'."
                yield Problem((*path, key), sentence)
        yield from group_problems(config["parameters"], (*path, "parameters"), name)
        return
    complete = filled(config)
    if complete is None:
        yield from _mismatches(config, path, name)
        return
    for key, fault, beyond_schema in _faults(config, complete, nested=nested):
        yield Problem((*path, key), f"parameter '{name}'{fault}", beyond_schema)


def _mismatches(config: Mapping[Any, Any], path: YamlPath, name: str) -> Iterator[Problem]:
    """Why a parameter matches no form: always at least one problem."""
    if "distribution" in config and config["distribution"] not in list(FORMS):
        given = config["distribution"]
        hint = did_you_mean(given, FORMS) if isinstance(given, str) else ""
        sentence = f"parameter '{name}': unknown distribution {given!r}.{hint} Known: {', '.join(FORMS)}."
        yield Problem((*path, "distribution"), sentence)
        return
    form = _meant_form(config)
    if form is None:
        place, why = _no_form(config)
        yield Problem((*path, *place), f"parameter '{name}' {why}")
        return
    takes = f"It takes: {', '.join([*form.keys, 'distribution'])}."
    for key in config:
        if key not in form.keys and key != "distribution":
            hint = _key_hint(form, key) or did_you_mean(str(key), form.keys)
            yield Problem((*path, key), f"parameter '{name}' ({form.distribution}) takes no '{key}'.{hint} {takes}")
    for key in form.required:
        if key not in config:
            yield Problem(path, f"parameter '{name}' ({form.distribution}) needs '{key}'. {takes}")
    for key, accepted in form.keys.items():
        if key in config and not accepted.accepts(config[key]):
            hint = text_number_hint(config[key])
            yield Problem(
                (*path, key), f"parameter '{name}': {key} must be {accepted.words}. {received(config[key])}{hint}"
            )


def _meant_form(config: Mapping[Any, Any]) -> Form | None:
    if "distribution" in config:
        return FORMS[config["distribution"]]
    if "value" in config:
        return None if "values" in config else FORMS["constant"]
    if "values" in config:
        return FORMS["categorical_w_probabilities" if "probabilities" in config else "categorical"]
    return FORMS["uniform"] if "min" in config or "max" in config else None


def _no_form(config: Mapping[Any, Any]) -> tuple[YamlPath, str]:
    """The key of a parameter that fits no form, if it is a single one, and why."""
    if "value" in config and "values" in config:
        return (), "has both `value` and `values`: keep one."
    if not config:
        return (), f"is empty. {_WAYS}"
    if all(isinstance(item, dict) for item in config.values()):
        between = f"{{parameters: {{{next(iter(config))}: ...}}}}"
        return (), f"holds {', '.join(map(repr, config))}: a group of parameters needs the key `parameters`: {between}."
    unknown = next((key for key in config if key not in KNOWN_KEYS), None)
    if unknown is not None:
        return (unknown,), f"has the unknown key '{unknown}'.{did_you_mean(str(unknown), KNOWN_KEYS)} {_WAYS}"
    fitting = [form for form in FORMS.values() if form.required.keys() <= config.keys() <= form.keys.keys()]
    example = f", for example `distribution: {fitting[0].distribution}`" if fitting else ""
    return (), f"cannot be told from {', '.join(config)} alone{example}. {_WAYS}"


_WAYS = "A parameter has `value`, `values`, `min` and `max`, or a `distribution` with its keys; a group, `parameters`."


def _key_hint(form: Form, key: Any) -> str:
    quantised = f"q_{form.distribution}"
    if key == "q" and quantised in FORMS:
        return f" With q: `distribution: {quantised}`."
    if key == "probabilities" and form.distribution == "categorical":
        return " With probabilities: leave `distribution` out, or make it categorical_w_probabilities."
    return ""


def _faults(config: Mapping[str, Any], complete: Mapping[str, Any], *, nested: bool) -> Iterator[tuple[str, str, bool]]:
    """Problems of a parameter that matches a form: key, reason, whether W&B's schema accepts it."""
    form = FORMS[complete["distribution"]]
    low, high = complete.get("min", 0), complete.get("max", 0)
    if "min" in form.required and low >= high:
        late = " W&B notices it only when it suggests a point." if nested else ""
        yield "min", f": min {low} is not less than max {high}.{late}", nested
    if "probabilities" in form.required and (fault := _probability_fault(**complete)):
        yield "probabilities", fault + (" W&B checks it at the top level only." if nested else ""), nested
    if form.exponents and not nested:
        remedy = f"Use {form.distribution}_values and give the limits themselves."
        yield "distribution", f": the bounds of {form.distribution} are exponents of e. {remedy}", False
    if not nested and config.keys() == {"min", "max"} and isinstance(low, float) != isinstance(high, float):
        fault = (
            f" is ambiguous: of min {low} and max {high} only one is whole, and W&B's client refuses that. "
            f"Write both with a point (min: {float(low)}, max: {float(high)}), or both without."
        )
        yield "min", fault, True
    if form.distribution != "constant":
        yield from _impossible_numbers(form, {key: complete[key] for key in form.keys if is_number(complete[key])})


def _probability_fault(values: list[Any], probabilities: list[float], **_: Any) -> str | None:
    if len(values) != len(probabilities):
        return f" has {len(values)} values and {len(probabilities)} probabilities."
    total = sum(probabilities)
    return None if abs(total - 1) <= _SUM_TOLERANCE else f": the probabilities add up to {total:g}, not to 1."


def _impossible_numbers(form: Form, given: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Numbers that the schema accepts, but that make W&B suggest NaN or infinity, or fail."""
    for key, value in given.items():
        if not is_finite(value):
            yield key, f": {key} must be finite. {received(value)}", True
        elif key in ("sigma", "a", "b") and value == 0:
            yield key, f": {key} must be above 0. W&B's schema accepts 0, but then suggests NaN.", True
    if "min" in given and all(map(is_finite, given.values())):
        low, high = float(given["min"]), float(given["max"])
        if not math.isfinite(high - low) or (form.exponents and max(-low, high) > _LARGEST_EXPONENT):
            yield "max", f": the range from {low:g} to {high:g} is beyond what a float can hold.", True
