"""Grid search: all combinations in W&B's order, by number, without listing them."""

import math
import sys
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from text_recognizer.errors import SpecError
from training.sweeps.file.value_keys import value_key

if TYPE_CHECKING:
    from training.sweeps.file.parameter import Parameter, Point

GRID_DISTRIBUTIONS = ("categorical", "constant", "int_uniform", "q_uniform")


class Grid:
    """The points of a grid search, numbered from 0: `grid[7]`, `for point in grid`, `grid.rank(point)`.

    Parameters are in the order of their names at each level, the last one varies fastest, values keep their order.
    Where two values are one (1 and 1.0), the first one's place and the last one's spelling count.

    Args:
        parameters: those that are not constant, in W&B's order.
        point: makes a point from the value of each parameter.
    Raises:
        SpecError: a parameter cannot be on a grid.
    """

    def __init__(
        self, parameters: Sequence["Parameter"], point: "Callable[[Callable[[Parameter], Any]], Point]"
    ) -> None:
        self._parameters = parameters
        self._choices = [choices_of(parameter) for parameter in parameters]
        self._point = point
        self.size = math.prod(choices.count for choices in self._choices)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> "Iterator[Point]":
        return map(self.__getitem__, range(self.size))

    def __getitem__(self, rank: int) -> "Point":
        if not 0 <= rank < self.size:
            raise IndexError(f"the grid's points are numbered 0 to {self.size - 1}. Received: {rank}.")
        values = {}
        for parameter, choices in zip(reversed(self._parameters), reversed(self._choices), strict=True):
            rank, index = divmod(rank, choices.count)
            values[parameter.path] = choices[index]
        return self._point(lambda parameter: values[parameter.path])

    def rank(self, point: Mapping[str, Any]) -> int | None:
        """The number of a point; None when it is not on the grid or lacks a parameter."""
        rank = 0
        for parameter, choices in zip(self._parameters, self._choices, strict=True):
            key = parameter.key_in(point)
            place = choices.place(key) if key is not None else None
            if place is None:
                return None
            rank = rank * choices.count + place
        return rank

    def remaining(
        self, runs: Iterable[tuple[Mapping[str, Any], str]], retried_states: Collection[str] = ()
    ) -> Iterator[int]:
        """The numbers of the points that no run stands for yet, ascending; none are left when the sweep is complete.

        Args:
            runs: point and state of every run so far. As with W&B, a run in any state stands for its point...
            retried_states: ...but for runs in these states, for example failed.
        """
        done = {self.rank(point) for point, state in runs if state not in retried_states}
        return (rank for rank in range(self.size) if rank not in done)


class Choices(Protocol):
    """The values of one parameter on the grid, each once."""

    count: int

    def __getitem__(self, index: int, /) -> Any: ...

    def place(self, key: Hashable) -> int | None:
        """The index of the value with this key (see `value_key`); None when there is none."""


def choices_of(parameter: "Parameter") -> Choices:
    """The values of a parameter on the grid.

    Raises:
        SpecError: its distribution has no grid.
    """
    settings = parameter.settings
    if parameter.distribution == "categorical":
        return _Listed(settings["values"])
    if parameter.distribution == "int_uniform":
        return _Steps(settings["min"], settings["min"] + 1, settings["max"] - settings["min"] + 1)
    if parameter.distribution == "q_uniform":
        return _steps_below(settings["min"], settings["max"], settings["q"])
    raise SpecError(
        f"parameter '{parameter.name}' ({parameter.distribution}) cannot be on a grid, "
        f"which takes {', '.join(GRID_DISTRIBUTIONS)}."
    )


class _Listed:
    def __init__(self, values: Sequence[Any]) -> None:
        by_key = {value_key(value): value for value in values}
        self._values = list(by_key.values())
        self._places = {key: place for place, key in enumerate(by_key)}
        self.count = len(by_key)

    def __getitem__(self, index: int) -> Any:
        return self._values[index]

    def place(self, key: Hashable) -> int | None:
        return self._places.get(key)


class _Steps:
    """A range, which may also be of floats: the first value, the second, and on by their difference."""

    def __init__(self, first: float, second: float, count: int) -> None:
        self._first_two = (first, second)
        self._step = second - first
        self.count = count

    def __getitem__(self, index: int) -> int | float:
        return self._first_two[index] if index < 2 else self._first_two[0] + index * self._step

    def place(self, key: Hashable) -> int | None:
        kind, value = key if isinstance(key, tuple) else (None, None)
        if kind not in ("int", "float") or isinstance(value, str):
            return None
        index = self._nearest(value)
        return index if 0 <= index < self.count and value_key(self[index]) == key else None

    def _nearest(self, value: float) -> int:
        offset = value - self._first_two[0]
        if isinstance(offset, int) and isinstance(self._step, int):
            return offset // self._step
        try:
            return round(offset / self._step)
        except OverflowError:  # infinite, or an int beyond all floats
            return -1


def _steps_below(low: float, high: float, q: float) -> Choices:
    """The numbers of numpy.arange(low, high, q), which excludes high and lets float errors add up in its own way."""
    count = math.ceil(min((high - low) / q, sys.float_info.max))
    if all(isinstance(number, int) for number in (low, high, q)):
        return _Steps(low, low + q, count)
    first, second = float(low), float(low + q)
    return _Steps(first, second, count) if second > first else _Listed([first])
