"""The forms of a parameter in a W&B sweep: keys, values, inferred distributions, defaults.

A parameter matches a form if it has all required keys, no key of another form, and valid values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from text_recognizer.yaml_source import YamlPath
from training.sweeps.numbers import is_int, is_number


@dataclass(frozen=True)
class Key:
    """The allowed values of a key, in words for messages, with the allowed texts for suggestions."""

    accepts: Callable[[Any], bool]
    words: str
    options: tuple[str, ...] = ()


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


# `not value <= bound` accepts NaN, as W&B's schema does; schema.py refuses it with a reason.
ANYTHING = Key(lambda _: True, "any value")
NUMBER = Key(is_number, "a number")
ABOVE_ZERO = Key(lambda value: is_number(value) and not value <= 0, "a number above 0")
NOT_NEGATIVE = Key(lambda value: is_number(value) and not value < 0, "a number, 0 or more")
INT = Key(is_int, "a whole number written without a point")
LIST = Key(_is_filled_list, "a list of at least one value")
SHARES = Key(
    lambda value: _is_filled_list(value) and all(NOT_NEGATIVE.accepts(share) for share in value),
    "a list of numbers, 0 or more, one for each of `values`",
)


@dataclass(frozen=True)
class Form:
    """One form.

    Args:
        required: required keys besides `distribution`.
        optional: keys that are filled in from `defaults`.
        exponents: whether min and max are natural logarithms of the limits (deprecated by W&B).
    """

    distribution: str
    required: Mapping[str, Key] = field(default_factory=dict)
    optional: Mapping[str, Key] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    exponents: bool = False

    @property
    def keys(self) -> dict[str, Key]:
        return {**self.required, **self.optional}


def _forms() -> Iterator[Form]:
    yield Form("constant", {"value": ANYTHING})
    yield Form("categorical", {"values": LIST})
    yield Form("categorical_w_probabilities", {"values": LIST, "probabilities": SHARES})
    yield Form("int_uniform", {"min": INT, "max": INT})
    bounds = {"min": NUMBER, "max": NUMBER}
    limits = {"min": ABOVE_ZERO, "max": NUMBER}
    spread = {"mu": NUMBER, "sigma": NOT_NEGATIVE}
    shape = {"a": NOT_NEGATIVE, "b": NOT_NEGATIVE}
    uniform = Form("uniform", bounds)
    log_uniform_values = Form("log_uniform_values", limits)
    log_uniform = Form("log_uniform", bounds, exponents=True)
    normal = Form("normal", {}, spread, {"mu": 0.0, "sigma": 1.0})
    log_normal = Form("log_normal", {}, spread, {"mu": 0.0, "sigma": 1.0})
    beta = Form("beta", {}, shape, {"a": 1, "b": 1})
    for form in (uniform, log_uniform_values, log_uniform, normal, log_normal, beta):
        yield form
        optional, defaults = {**form.optional, "q": ABOVE_ZERO}, {key: int(form.defaults[key]) for key in form.defaults}
        yield Form(f"q_{form.distribution}", form.required, optional, {**defaults, "q": 1.0}, form.exponents)
    yield Form("inv_log_uniform_values", limits)
    yield Form("inv_log_uniform", bounds, exponents=True)


FORMS = {form.distribution: form for form in _forms()}

# All keys of a parameter, including `parameters` for a group of parameters.
KNOWN_KEYS = sorted({"distribution", "parameters", *(key for form in FORMS.values() for key in form.keys)})


def leaves(
    group: Any, path: YamlPath = ("parameters",), names: tuple[str, ...] = ()
) -> Iterator[tuple[YamlPath, tuple[str, ...], dict[str, Any]]]:
    """Every mapping in a section `parameters` that is not a group, with its path in the YAML and its names."""
    for key, config in group.items() if isinstance(group, dict) else ():
        place, own = (*path, key), (*names, str(key))
        if isinstance(config, dict) and "parameters" in config:
            yield from leaves(config["parameters"], (*place, "parameters"), own)
        elif isinstance(config, dict):
            yield place, own, config


def inferred_distribution(config: Mapping[str, Any]) -> str | None:
    """The distribution of a parameter without `distribution`, inferred from its keys; None if they match no form.

    It is int_uniform only if both bounds are written without a decimal point, otherwise uniform.
    """
    keys = set(config)
    if keys == {"min", "max"}:
        return "int_uniform" if is_int(config["min"]) and is_int(config["max"]) else "uniform"
    listed = ("constant", "categorical", "categorical_w_probabilities")
    return next((name for name in listed if keys == set(FORMS[name].required)), None)


def filled(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A parameter with its distribution and all defaults, or None if it matches no form (such as a group)."""
    distribution = config["distribution"] if "distribution" in config else inferred_distribution(config)
    form = FORMS.get(distribution) if isinstance(distribution, str) else None
    if form is None:
        return None
    given = {key: value for key, value in config.items() if key != "distribution"}
    keys = form.keys
    if not form.required.keys() <= given.keys() <= keys.keys():
        return None
    if not all(keys[key].accepts(value) for key, value in given.items()):
        return None
    return {
        **config,
        "distribution": form.distribution,
        **{key: value for key, value in form.defaults.items() if key not in config},
    }
