"""Parameter: the values of one parameter of a sweep, and its position in a point."""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from text_recognizer.errors import SpecError
from training.files.json_objects import is_finite
from training.sweeps.file.distributions import cumulative_share, index_at, quantile_of
from training.sweeps.file.forms import filled
from training.sweeps.numbers import is_number

Point = dict[str, Any]
PointKey = tuple[Hashable, ...]

# The limits of u when a value is drawn: at 0 and 1 values may exceed their range.
_SMALLEST_SHARE = 2.0**-53
MISSING = object()


@dataclass(frozen=True)
class Parameter:
    """A parameter that is not a group: its path of names, its form's settings with defaults."""

    path: tuple[str, ...]
    distribution: str
    settings: Mapping[str, Any]

    @classmethod
    def from_config(cls, path: tuple[str, ...], config: Mapping[str, Any]) -> "Parameter":
        """A parameter from its part of the YAML. Raises SpecError: the configuration matches no form."""
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
        """The quantile at u, as in W&B, in plain Python. Raises ValueError: u is outside.

        Args:
            u: from 0 to 1. At 0 and 1 a value may exceed its range or be infinite; `value_at` avoids them.
        """
        if not 0 <= u <= 1:
            raise ValueError(f"a share is from 0 to 1. Received: {u}.")
        if self.is_constant:
            return self.settings["value"]
        if not self.is_categorical:
            return quantile_of(self.distribution, self.settings, u)
        values = self.settings["values"]
        if self.distribution == "categorical":
            return values[index_at(u, 0, len(values))]
        within = next((index for index, share in enumerate(self._shares) if u < share), None)
        # Above the sum, which may be slightly less than 1: the last possible value.
        last = max(index for index, share in enumerate(self.settings["probabilities"]) if share > 0)
        return values[last if within is None else within]

    def value_at(self, u: float) -> Any:
        """The value at a share as drawn by a search: 0 and 1 are replaced by the nearest shares inside."""
        return self.quantile(_inside(u))

    def cdf(self, value: Any) -> float:
        """The cumulative share at a value, which bayes search uses.

        For a categorical parameter, over the values up to this one in the order listed; 0.0 for a constant; NaN for a
        value that the parameter does not have.
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
        """A share strictly between 0 and 1 at which the parameter has this value, or the nearest one; else NaN.

        The centre of the value's interval of shares, if it has one, so that for a model over shares categories and
        integers are away from interval boundaries.
        """
        share = 0.5 if self.is_constant else self.cdf(value)
        if math.isnan(share):
            return share
        if self.is_categorical:
            index = self._index_of[value_key(value)]
            share = (share + (self._shares[index - 1] if index else 0.0)) / 2
        elif self.distribution == "int_uniform":
            share -= 0.5 / (self.settings["max"] - self.settings["min"] + 1)
        return _inside(share)

    def takes(self, value: Any) -> bool:
        """Whether this is one of its values; for a range, up to rounding."""
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

    def near(self, value: Any, factor: float) -> Any:
        """A neighbouring value: multiplied by a factor, within the range; for a list, the next or previous one."""
        if self.is_categorical:
            values, at = self.settings["values"], self._index_of[value_key(value)]
            neighbours = (at + 1, at - 1) if factor > 1 else (at - 1, at + 1)
            return next((values[to] for to in neighbours if 0 <= to < len(values)), value)
        near, step = value * factor, self._step
        if step:
            near = round(near / step) * step
            near += (near == value) * (step if factor > 1 else -step)
        low, high = self._range
        return min(max(near, low), high)

    def values_in_words(self) -> str:
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
        """Its minimum and maximum; infinite if there is no limit."""
        if self.distribution == "int_uniform":
            return self.settings["min"], self.settings["max"]
        return self.quantile(0.0), self.quantile(1.0)

    @property
    def _step(self) -> float:
        """The number of which its values are multiples; 0 if there is none."""
        return 1 if self.distribution == "int_uniform" else self.settings.get("q", 0)

    @property
    def distinct_values(self) -> int | None:
        """The number of different random values; None if too many to count or unlimited."""
        if self.is_constant:
            return 1
        if self.is_categorical:
            return len(set(self._index_of))
        if self.distribution == "int_uniform":
            return int(self.settings["max"]) - int(self.settings["min"]) + 1
        if self._step and all(map(math.isfinite, bounds := [bound / self._step for bound in self._range])):
            return round(bounds[1]) - round(bounds[0]) + 1
        return None

    def key_in(self, point: Mapping[str, Any]) -> Hashable | None:
        """A key of its value in a point (see `value_key`); None if the point lacks it."""
        value = look_up(point, self.path)
        if value is MISSING:
            return None
        if isinstance(value, dict) and self._mapping_keys:
            # A program may add keys to a mapping; the keys of the sweep identify the value.
            value = {key: item for key, item in value.items() if key in self._mapping_keys}
        return value_key(value)

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


def _inside(share: float) -> float:
    return min(max(share, _SMALLEST_SHARE), 1 - _SMALLEST_SHARE)


def look_up(point: Any, path: Iterable[str]) -> Any:
    """The value at a path of nested mappings, or MISSING."""
    for name in path:
        if not isinstance(point, Mapping) or name not in point:
            return MISSING
        point = point[name]
    return point


def value_key(value: Any) -> Hashable:
    """A key that is equal for values that W&B's grid search treats as equal: 1 and 1.0, mappings in any order, NaNs.

    1, true and '1' are different, also inside lists and mappings.
    """
    if isinstance(value, float):
        if math.isnan(value):
            return ("float", "nan")
        if value.is_integer():
            value = int(value)
    if isinstance(value, dict):
        return ("dict", frozenset((value_key(key), value_key(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(value_key(item) for item in value))
    return (type(value).__name__, value)
