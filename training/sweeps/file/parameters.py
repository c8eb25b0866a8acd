"""The parameters of a sweep: what values they take, and how a point of the space becomes a plain dictionary."""

import copy
import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from text_recognizer.errors import SpecError
from training.sweeps.file.distributions import cumulative_share, index_at, quantile_of
from training.sweeps.file.forms import filled
from training.sweeps.file.grid import Grid
from training.sweeps.file.value_keys import value_key
from training.sweeps.numbers import is_finite, is_number

Point = dict[str, Any]
PointKey = tuple[Hashable, ...]

# The nearest that a share comes to 0 and 1 when a value is drawn: at 0 and 1 themselves values leave their range.
_SMALLEST_SHARE = 2.0**-53
# W&B joins the names of nested parameters with a mark that begins so; the order of a point's keys depends on it.
_NEST_MARK = ".wbnest["


@dataclass(frozen=True)
class Parameter:
    """One parameter that is not a group.

    Args:
        path: its name, preceded by the names of the groups it is in.
        settings: all keys of its form but `distribution`, defaults filled in.
    """

    path: tuple[str, ...]
    distribution: str
    settings: Mapping[str, Any]

    @classmethod
    def from_config(cls, path: tuple[str, ...], config: Mapping[str, Any]) -> "Parameter":
        """
        Raises:
            SpecError: the configuration matches no form.
        """
        complete = filled(config)
        if complete is None:
            raise SpecError(f"parameter '{'.'.join(path)}' matches no form of a sweep parameter: {dict(config)!r}.")
        return cls(path, complete.pop("distribution"), complete)

    @property
    def name(self) -> str:
        """Its dotted name, the key of an override."""
        return ".".join(self.path)

    @property
    def is_constant(self) -> bool:
        return self.distribution == "constant"

    @property
    def is_categorical(self) -> bool:
        return self.distribution in ("categorical", "categorical_w_probabilities")

    def quantile(self, u: float) -> Any:
        """The value at the share u of the distribution, W&B's inverse cumulative function; a plain Python value.

        Args:
            u: from 0 to 1. At 0 and 1 a value may leave its range or be infinite; `value_at` keeps off them.
        Raises:
            ValueError: u is outside.
        """
        if not 0 <= u <= 1:
            raise ValueError(f"a share is from 0 to 1. Received: {u}.")
        if self.is_constant:
            return self.settings["value"]
        if self.distribution == "categorical":
            return self.settings["values"][index_at(u, 0, len(self.settings["values"]))]
        if self.is_categorical:
            return self.settings["values"][self._index_by_probability(u)]
        return quantile_of(self.distribution, self.settings, u)

    def value_at(self, u: float) -> Any:
        """The value at a share as a search draws it: 0 and 1 are taken for their nearest neighbours inside."""
        return self.quantile(min(max(u, _SMALLEST_SHARE), 1 - _SMALLEST_SHARE))

    def cdf(self, value: Any) -> float:
        """The share of the distribution at or below a value: how bayes search sees it.

        Of a categorical parameter, of the values up to this one in the order listed; 0.0 for a constant; NaN for what
        is no value of the parameter.
        """
        if self.is_constant:
            return 0.0
        if self.is_categorical:
            index = self._index_of.get(value_key(value))
            return self._shares[index] if index is not None else math.nan
        if not is_number(value) or math.isnan(value):
            return math.nan
        return cumulative_share(self.distribution, self.settings, value)

    def share_of(self, value: Any) -> float:
        """A share strictly between 0 and 1 at which the parameter has this value, or the one nearest to it; else NaN.

        The middle of the value's part of the distribution where it has one, so that a model over shares sees
        categories and whole numbers away from their borders.
        """
        if self.is_constant:
            return 0.5
        share = self.cdf(value)
        if self.is_categorical and not math.isnan(share):
            index = self._index_of[value_key(value)]
            share = (share + (self._shares[index - 1] if index else 0.0)) / 2
        elif self.distribution == "int_uniform" and not math.isnan(share):
            share -= 0.5 / (self.settings["max"] - self.settings["min"] + 1)
        return min(max(share, _SMALLEST_SHARE), 1 - _SMALLEST_SHARE) if not math.isnan(share) else share

    def takes(self, value: Any) -> bool:
        """Whether this is one of its values; of a range, rounding aside."""
        if self.is_constant:
            return value_key(value) == value_key(self.settings["value"])
        if self.is_categorical:
            return value_key(value) in self._index_of
        if not is_finite(value):
            return False
        low, high = self._range
        if not (low <= value <= high or math.isclose(value, low) or math.isclose(value, high)):
            return False
        multiple = value / self._step if self._step else 0.0
        return math.isclose(multiple, round(multiple), abs_tol=1e-9)

    def values_in_words(self) -> str:
        """What it takes, for messages."""
        if self.is_constant:
            return f"only {self.settings['value']!r}"
        if self.is_categorical:
            return ", ".join(map(repr, self.settings["values"]))
        low, high = self._range
        kind = "whole numbers" if self._step == 1 else f"multiples of {self._step:g}" if self._step else "numbers"
        if math.isinf(high) and math.isinf(low):
            return kind
        least, greatest = (str(bound) if isinstance(bound, int) else f"{bound:g}" for bound in (low, high))
        return f"{kind} from {least} to {greatest}"

    @property
    def _range(self) -> tuple[float, float]:
        """The least and the greatest of its numbers; infinite where there is no limit."""
        if self.distribution == "int_uniform":
            return self.settings["min"], self.settings["max"]
        return self.quantile(0.0), self.quantile(1.0)

    @property
    def _step(self) -> float:
        """What its numbers are multiples of; 0 where they are not."""
        return 1 if self.distribution == "int_uniform" else self.settings.get("q", 0)

    @property
    def distinct_values(self) -> int | None:
        """How many different values it can take at random; None where they are too many to count or unlimited."""
        if self.is_constant:
            return 1
        if self.is_categorical:
            return len(set(self._index_of))
        if self.distribution == "int_uniform":
            return int(self.settings["max"]) - int(self.settings["min"]) + 1
        if self.distribution in ("q_uniform", "q_log_uniform", "q_log_uniform_values", "q_beta"):
            q = self.settings["q"]
            steps = [self.quantile(share) / q for share in (1.0, 0.0)]
            return int(round(steps[0]) - round(steps[1])) + 1 if all(map(math.isfinite, steps)) else None
        return None

    def key_in(self, point: Mapping[str, Any]) -> Hashable | None:
        """What identifies its value in a point (see `value_key`); None when the point lacks it."""
        value = look_up(point, self.path)
        if value is MISSING:
            return None
        if isinstance(value, dict) and self._mapping_keys:
            # A program may add keys to a mapping it was given; the ones the sweep knows tell which value it was.
            value = {key: item for key, item in value.items() if key in self._mapping_keys}
        return value_key(value)

    def _index_by_probability(self, u: float) -> int:
        within = next((index for index, share in enumerate(self._shares) if u < share), None)
        if within is not None:
            return within
        # Above the sum, which may be a little less than 1: the last value that can come at all.
        return max(index for index, share in enumerate(self.settings["probabilities"]) if share > 0)

    @cached_property
    def _shares(self) -> list[float]:
        if self.distribution == "categorical":
            count = len(self.settings["values"])
            return [(index + 1) / count for index in range(count)]
        return list(accumulate(map(float, self.settings["probabilities"])))

    @cached_property
    def _index_of(self) -> dict[Hashable, int]:
        keys = [value_key(value) for value in self.settings["values"]]
        return {key: index for index, key in reversed(list(enumerate(keys)))}

    @cached_property
    def _mapping_keys(self) -> frozenset[Any]:
        values = self.settings["values"] if self.is_categorical else []
        return frozenset(key for value in values if isinstance(value, dict) for key in value)


class ParameterSpace:
    """All parameters of a sweep, nested as in the YAML.

    Args:
        config: the section `parameters`, checked before.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        # W&B's order: by name at each level, in ASCII order.
        self.parameters = tuple(_leaves(config, ()))
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
    def grid(self) -> Grid:
        """All points of a grid search, in W&B's order.

        Raises:
            SpecError: a parameter cannot be on a grid.
        """
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
        return keys if None not in keys else None

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


MISSING = object()


def look_up(point: Any, path: Iterable[str]) -> Any:
    """The value at a path of nested mappings, or MISSING."""
    for name in path:
        if not isinstance(point, Mapping) or name not in point:
            return MISSING
        point = point[name]
    return point


def _leaves(config: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Parameter]:
    for name in sorted(config):
        if "parameters" in config[name]:
            yield from _leaves(config[name]["parameters"], (*path, name))
        else:
            yield Parameter.from_config((*path, name), config[name])


def _output_order(parameter: Parameter) -> tuple[bool, tuple[str, ...]]:
    *groups, name = parameter.path
    return bool(groups), (*(f"{group}{_NEST_MARK}" for group in groups), name)
