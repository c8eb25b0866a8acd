"""Checks arguments of the Python API against their annotations."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pydantic

from text_recognizer.errors import SpecError, reason
from text_recognizer.wording import received
from training.api.plain import plain

P = ParamSpec("P")
R = TypeVar("R")


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function to raise a SpecError if an argument is unknown or of the wrong type."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        problems = []
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = ", ".join(signature.parameters)
            raise SpecError(f"{function.__name__}: {reason(error)}. It takes: {takes}.") from None
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            kind = parameter.annotation
            for one in value if parameter.kind is parameter.VAR_POSITIONAL else (value,):
                try:
                    _adapter(kind).validate_python(plain(one))
                except pydantic.ValidationError:
                    kinds = re.sub(r"\w+\.", "", inspect.formatannotation(kind))
                    problems.append(f"{function.__name__}: {name} must be {kinds}. {received(one)}")
        if problems:
            raise SpecError(problems)
        return function(*args, **kwargs)

    return checked


@functools.cache
def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True, strict=True))
