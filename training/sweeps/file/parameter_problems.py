"""What is wrong with the parameters of a sweep, in words that name the remedy."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from text_recognizer.wording import did_you_mean, received
from text_recognizer.yaml_source import YamlPath, text_number_hint
from training.sweeps.file.forms import FORMS, KNOWN_KEYS, Form, filled, inferred_distribution
from training.sweeps.file.problems import Problem
from training.sweeps.numbers import is_finite, is_number

# numpy.isclose's tolerance around 1, by which W&B judges the sum of probabilities.
_SUM_TOLERANCE = 1e-8 + 1e-5
_LARGEST_EXPONENT = 709.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\n?")  # a last line break passes W&B's pattern


def group_problems(group: Any, path: YamlPath = ("parameters",), name: str = "") -> Iterator[Problem]:
    """The problems of a mapping of parameters: the top level, or the one under a group's key `parameters`.

    Args:
        path: the keys that lead to it.
        name: the dotted name of the group, empty for the top level.
    """
    if not isinstance(group, dict):
        yield Problem(path, f"`parameters`{_of(name)} must be a mapping of names to parameters. {received(group)}")
        return
    if not group:
        yield Problem(path, f"`parameters`{_of(name)} is empty: a sweep needs at least one parameter.")
    for key, config in group.items():
        yield from _name_problems(key, (*path, key))
        dotted = f"{name}.{key}" if name else str(key)
        yield from _parameter_problems(config, (*path, key), dotted, nested=bool(name))


def _of(name: str) -> str:
    return f" of '{name}'" if name else ""


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
    else:
        form = FORMS[complete["distribution"]]
        yield from _bounds_problems(form, complete, path, name, nested=nested)
        yield from _probability_problems(complete, path, name, nested=nested)
        yield from _deprecation(form, path, name, nested=nested)
        yield from _ambiguity(config, path, name, nested=nested)
        yield from _impossible_numbers(form, complete, path, name)


def _mismatches(config: Mapping[Any, Any], path: YamlPath, name: str) -> Iterator[Problem]:
    """Why a parameter matches no form: always at least one problem."""
    if "distribution" in config and config["distribution"] not in list(FORMS):
        yield _unknown_distribution(config["distribution"], (*path, "distribution"), name)
        return
    form = _meant_form(config)
    if form is None:
        yield _no_form(config, path, name)
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


def _unknown_distribution(distribution: Any, path: YamlPath, name: str) -> Problem:
    hint = did_you_mean(distribution, FORMS) if isinstance(distribution, str) else ""
    return Problem(path, f"parameter '{name}': unknown distribution {distribution!r}.{hint} Known: {', '.join(FORMS)}.")


def _meant_form(config: Mapping[Any, Any]) -> Form | None:
    if "distribution" in config:
        return FORMS[config["distribution"]]
    inferred = inferred_distribution(config)
    if inferred is not None:
        return FORMS[inferred]
    if "value" in config and "values" in config:
        return None
    if "values" in config:
        return FORMS["categorical_w_probabilities" if "probabilities" in config else "categorical"]
    if "value" in config:
        return FORMS["constant"]
    return FORMS["uniform"] if "min" in config or "max" in config else None


def _no_form(config: Mapping[Any, Any], path: YamlPath, name: str) -> Problem:
    if "value" in config and "values" in config:
        return Problem(path, f"parameter '{name}' has both `value` and `values`: keep one.")
    if config and all(isinstance(item, dict) for item in config.values()):
        return Problem(
            path,
            f"parameter '{name}' holds {', '.join(map(repr, config))}: a group of parameters needs the key "
            f"`parameters` between: {{parameters: {{{next(iter(config))}: ...}}}}.",
        )
    unknown = next((key for key in config if key not in KNOWN_KEYS), None)
    if unknown is not None:
        hint = did_you_mean(str(unknown), KNOWN_KEYS)
        return Problem((*path, unknown), f"parameter '{name}' has the unknown key '{unknown}'.{hint} {_WAYS}")
    if config:
        fitting = [form for form in FORMS.values() if form.required.keys() <= config.keys() <= form.keys.keys()]
        example = f", for example `distribution: {fitting[0].distribution}`" if fitting else ""
        return Problem(path, f"parameter '{name}' cannot be told from {', '.join(config)} alone{example}. {_WAYS}")
    return Problem(path, f"parameter '{name}' is empty. {_WAYS}")


_WAYS = "A parameter has `value`, `values`, `min` and `max`, or a `distribution` with its keys; a group, `parameters`."


def _key_hint(form: Form, key: Any) -> str:
    quantised = f"q_{form.distribution}"
    if key == "q" and quantised in FORMS:
        return f" With q: `distribution: {quantised}`."
    if key == "probabilities" and form.distribution == "categorical":
        return " With probabilities: leave `distribution` out, or make it categorical_w_probabilities."
    return ""


def _bounds_problems(
    form: Form, complete: Mapping[str, Any], path: YamlPath, name: str, *, nested: bool
) -> Iterator[Problem]:
    if "min" in form.required and complete["min"] >= complete["max"]:
        yield Problem(
            (*path, "min"),
            f"parameter '{name}': min {complete['min']} is not less than max {complete['max']}."
            + (" W&B notices it only when it suggests a point." if nested else ""),
            beyond_schema=nested,
        )


def _probability_problems(complete: Mapping[str, Any], path: YamlPath, name: str, *, nested: bool) -> Iterator[Problem]:
    if complete["distribution"] != "categorical_w_probabilities":
        return
    values, shares = complete["values"], complete["probabilities"]
    late = " W&B checks it at the top level only." if nested else ""
    if len(values) != len(shares):
        sentence = f"parameter '{name}' has {len(values)} values and {len(shares)} probabilities.{late}"
        yield Problem((*path, "probabilities"), sentence, beyond_schema=nested)
    elif not abs(sum(shares) - 1) <= _SUM_TOLERANCE:
        sentence = f"parameter '{name}': the probabilities add up to {sum(shares):g}, not to 1.{late}"
        yield Problem((*path, "probabilities"), sentence, beyond_schema=nested)


def _deprecation(form: Form, path: YamlPath, name: str, *, nested: bool) -> Iterator[Problem]:
    if form.exponents and not nested:
        yield Problem(
            (*path, "distribution"),
            f"parameter '{name}': the bounds of {form.distribution} are exponents of e. Use "
            f"{form.distribution}_values and give the limits themselves.",
        )


def _ambiguity(config: Mapping[str, Any], path: YamlPath, name: str, *, nested: bool) -> Iterator[Problem]:
    if nested or "distribution" in config or "min" not in config:
        return
    low, high = config["min"], config["max"]
    if isinstance(low, float) != isinstance(high, float):
        yield Problem(
            (*path, "min"),
            f"parameter '{name}' is ambiguous: of min {low} and max {high} only one is whole, and W&B's client refuses "
            f"that. Write both with a point (min: {float(low)}, max: {float(high)}), or both without.",
            beyond_schema=True,
        )


def _impossible_numbers(form: Form, complete: Mapping[str, Any], path: YamlPath, name: str) -> Iterator[Problem]:
    """Numbers that the schema accepts and that make W&B suggest NaN or infinity, or fail."""
    given = {key: complete[key] for key in form.keys if is_number(complete[key]) and form.distribution != "constant"}
    for key, value in given.items():
        if not is_finite(value):
            yield Problem(
                (*path, key), f"parameter '{name}': {key} must be finite. {received(value)}", beyond_schema=True
            )
        elif key in ("sigma", "a", "b") and value == 0:
            sentence = f"parameter '{name}': {key} must be above 0. W&B's schema accepts 0, but then suggests NaN."
            yield Problem((*path, key), sentence, beyond_schema=True)
    if "min" in given and all(is_finite(value) for value in given.values()):
        low, high = float(given["min"]), float(given["max"])
        if not math.isfinite(high - low) or (form.exponents and max(-low, high) > _LARGEST_EXPONENT):
            sentence = f"parameter '{name}': the range from {low:g} to {high:g} is beyond what a float can hold."
            yield Problem((*path, "max"), sentence, beyond_schema=True)
