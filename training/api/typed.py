"""Arguments of the Python API, checked against their annotations before anything is done with them."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import pydantic

from text_recognizer.errors import SpecError
from text_recognizer.wording import received
from training.api.plain import plain

P = ParamSpec("P")
R = TypeVar("R")


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """The function; it raises a SpecError where an argument is of another type than its annotation says."""

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if problems := list(_problems(function, inspect.signature(function).bind(*args, **kwargs))):
            raise SpecError(problems)
        return function(*args, **kwargs)

    return checked


def _problems(function: Callable[..., Any], given: inspect.BoundArguments) -> Iterator[str]:
    for name, value in given.arguments.items():
        parameter = given.signature.parameters[name]
        many = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for one in value if parameter.kind is parameter.VAR_POSITIONAL else () if many else (value,):
            try:
                _adapter(parameter.annotation).validate_python(plain(one))
            except pydantic.ValidationError:
                kinds = re.sub(r"\w+\.", "", inspect.formatannotation(parameter.annotation))
                yield f"{function.__name__}: {name} must be {kinds}. {received(one)}"


@functools.cache
def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True, strict=True))
