"""The parameters of a sweep, nested as in its file; how a point becomes a plain dictionary; the points of a grid."""

import copy
import hashlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from text_recognizer.errors import SpecError
from training.sweeps.file.forms import leaves
from training.sweeps.file.parameter import MISSING, Parameter, Point, PointKey, look_up, value_key

# W&B joins the names of nested parameters with a mark that begins so; the order of a point's keys depends on it.
_NEST_MARK = ".wbnest["
GRID_DISTRIBUTIONS = ("categorical", "constant", "int_uniform", "q_uniform")
# How many values a parameter has on the grid, and the value at an index.
_Choices = tuple[int, Callable[[int], Any]]


class ParameterSpace:
    """All parameters of a sweep, nested as in the YAML.

    Args:
        config: the section `parameters`, checked before.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        # W&B's order: by name at each level, in ASCII order.
        found = sorted(leaves(config), key=lambda leaf: leaf[1])
        self.parameters = tuple(Parameter.from_config(names, one) for _, names, one in found)
        self.searchable = tuple(parameter for parameter in self.parameters if not parameter.is_constant)
        self._in_output_order = sorted(self.parameters, key=_output_order)

    def point(self, value_of: Callable[[Parameter], Any]) -> Point:
        """A suggestion: nested plain values, names in W&B's order (at the top level plain ones before groups).

        Args:
            value_of: the value of each parameter that is not constant.
        """
        point: Point = {}
        for parameter in self._in_output_order:
            group = point
            for name in parameter.path[:-1]:
                group = group.setdefault(name, {})
            value = parameter.settings["value"] if parameter.is_constant else value_of(parameter)
            group[parameter.path[-1]] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
        return point

    def sample(self, share_of: Callable[[str], float]) -> Point:
        """The point at one share (from 0 to 1) for each parameter that is not constant, asked for by dotted name."""
        return self.point(lambda parameter: parameter.value_at(share_of(parameter.name)))

    def random_point(self, seed: int, trial: int) -> Point:
        """Trial number `trial` of a random search: a function of its arguments alone, independent per parameter."""
        return self.sample(lambda name: random_share(seed, trial, name))

    @cached_property
    def grid(self) -> "Grid":
        """All points of a grid search, in W&B's order. Raises SpecError: a parameter cannot be on a grid."""
        return Grid(self.searchable, self.point)

    def values_of(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a point by dotted name: the overrides that it stands for. What it lacks is left out."""
        found = ((parameter.name, look_up(point, parameter.path)) for parameter in self.parameters)
        return {name: value for name, value in found if value is not MISSING}

    def point_key(self, point: Mapping[str, Any]) -> PointKey | None:
        """A key that is equal for points W&B takes for one; None when the point lacks a parameter that is not constant.

        1 and 1.0 are one value, 1 and true are not; keys that something added to a mapping are ignored.
        """
        keys = tuple(parameter.key_in(point) for parameter in self.searchable)
        return None if None in keys else keys

    @property
    def distinct_points(self) -> int | None:
        """How many different points a random search can suggest; None where a parameter is unlimited."""
        counts = [parameter.distinct_values for parameter in self.searchable]
        return math.prod(count for count in counts if count is not None) if None not in counts else None


def random_share(seed: int, trial: int, name: str) -> float:
    """A random number strictly between 0 and 1 that belongs to (seed, trial, parameter).

    Counter-based: number n needs none before it, so a sweep resumes exactly and in any order. The 52 leading bits of
    a BLAKE2b hash; the half added keeps off 0 and 1.
    """
    digest = hashlib.blake2b(f"{seed}/{trial}/{name}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 12) + 0.5) * 2.0**-52


def _output_order(parameter: Parameter) -> tuple[bool, tuple[str, ...]]:
    *groups, name = parameter.path
    return bool(groups), (*(f"{group}{_NEST_MARK}" for group in groups), name)


class Grid:
    """The points of a grid search, numbered from 0: `grid[7]`, `for point in grid`.

    Parameters are in the order of their names at each level, the last one varies fastest, values keep their order.
    Where two values are one (1 and 1.0), the first one's place and the last one's spelling count.

    Args:
        parameters: those that are not constant, in W&B's order.
        point: makes a point from the value of each parameter.
    Raises:
        SpecError: a parameter cannot be on a grid.
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
    """The numbers of numpy.arange(low, high, q), which excludes high and lets float errors add up in its own way."""
    count = math.ceil(min((high - low) / q, sys.float_info.max))
    if all(isinstance(number, int) for number in (low, high, q)):
        return count, lambda index: low + index * q
    first, second = float(low), float(low + q)
    if second <= first:  # the step is below the last digit
        return 1, lambda _: first
    return count, lambda index: (first, second)[index] if index < 2 else first + index * (second - first)
