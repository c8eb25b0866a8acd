"""What is wrong with a sweep, where, and whether W&B's own schema says so too."""

import re
from dataclasses import dataclass
from typing import Any

YamlPath = tuple[Any, ...]

# What float() reads and YAML 1.1 does not: an exponent needs a point before it and a sign in it.
_EXPONENT = re.compile(r"([-+]?)(\d+)(?:\.(\d*))?[eE]([-+]?)(\d+)")


@dataclass(frozen=True)
class Problem:
    """One problem of a sweep, in one or two sentences.

    Args:
        path: the keys that lead to it in the YAML.
        beyond_schema: W&B's schema accepts it, but W&B's client, its engine or this project cannot run it;
            the sentence says why.
    """

    path: YamlPath
    sentence: str
    beyond_schema: bool = False


def text_number_hint(value: Any) -> str:
    """A hint with a leading blank where a text looks like a number that YAML took for text, else nothing."""
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    match = _EXPONENT.fullmatch(value)
    if match is None:
        return f" '{value}' is text, not a number."
    sign, whole, fraction, exponent_sign, exponent = match.groups()
    return (
        f" '{value}' is text to YAML 1.1: write {sign}{whole}.{fraction or '0'}e{exponent_sign or '+'}{exponent}"
        " (an exponent needs a point before it and a sign)."
    )
