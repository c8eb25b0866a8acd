"""The points of a grid search."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from text_recognizer.errors import SpecError
from training.sweeps.file.parameter import Parameter, Point, value_key

GRID_DISTRIBUTIONS = ("categorical", "constant", "int_uniform", "q_uniform")
# The number of values of a parameter on the grid, and the value at an index.
_Choices = tuple[int, Callable[[int], Any]]


class Grid:
    """The points of a grid: `grid[7]`, `for point in grid`. Raises SpecError: a parameter cannot be on a grid.

    Parameters are sorted by name at each level, the last one varies fastest, values keep their order. If two values are
    equal (1 and 1.0), the position of the first and the spelling of the last are used.

    Args:
        parameters: non-constant parameters, in W&B's order.
        point: makes a point from the value of each parameter.
    """

    def __init__(self, parameters: Sequence[Parameter], point: Callable[[Callable[[Parameter], Any]], Point]) -> None:
        self._choices = {parameter.path: _choices(parameter) for parameter in reversed(parameters)}
        self._point = point
        self.size = math.prod(count for count, _ in self._choices.values())

    def __iter__(self) -> Iterator[Point]:
        return map(self.__getitem__, range(self.size))

    def __getitem__(self, number: int) -> Point:
        if not 0 <= number < self.size:
            raise IndexError(f"the grid's points are numbered 0 to {self.size - 1}. Received: {number}.")
        values = {}
        for path, (count, value_at) in self._choices.items():
            number, index = divmod(number, count)
            values[path] = value_at(index)
        return self._point(lambda parameter: values[parameter.path])


def _choices(parameter: Parameter) -> _Choices:
    settings = parameter.settings
    if parameter.distribution == "categorical":
        values = list({value_key(value): value for value in settings["values"]}.values())
        return len(values), values.__getitem__
    if parameter.distribution == "int_uniform":
        lowest = settings["min"]
        return settings["max"] - lowest + 1, lambda index: lowest + index
    if parameter.distribution == "q_uniform":
        return _steps_below(settings["min"], settings["max"], settings["q"])
    raise SpecError(
        f"parameter '{parameter.name}' ({parameter.distribution}) cannot be on a grid, "
        f"which takes {', '.join(GRID_DISTRIBUTIONS)}."
    )


def _steps_below(low: float, high: float, q: float) -> _Choices:
    """The numbers of numpy.arange(low, high, q), which excludes high and accumulates float errors in its own way."""
    count = math.ceil(min((high - low) / q, sys.float_info.max))
    if all(isinstance(number, int) for number in (low, high, q)):
        return count, lambda index: low + index * q
    first, second = float(low), float(low + q)
    if second <= first:  # the step is below the last digit
        return 1, lambda _: first
    return count, lambda index: (first, second)[index] if index < 2 else first + index * (second - first)
