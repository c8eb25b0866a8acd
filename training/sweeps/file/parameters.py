"""The parameters of a sweep, nested as in its file, and conversion of points to plain dictionaries."""

import copy
import hashlib
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from training.sweeps.file.forms import leaves
from training.sweeps.file.grid import Grid
from training.sweeps.file.parameter import MISSING, Parameter, Point, PointKey, look_up

# W&B joins the names of nested parameters with a separator that begins like this, which affects the order of keys.
_NEST_MARK = ".wbnest["


class ParameterSpace:
    """All parameters of a sweep, nested as in the YAML's section `parameters`, already checked."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        # W&B's order: by name at each level, in ASCII order.
        found = sorted(leaves(config), key=lambda leaf: leaf[1])
        self.parameters = tuple(Parameter.from_config(names, one) for _, names, one in found)
        self.searchable = tuple(parameter for parameter in self.parameters if not parameter.is_constant)
        self._in_output_order = sorted(self.parameters, key=_output_order)

    def point(self, value_of: Callable[[Parameter], Any]) -> Point:
        """A point from values, nested, in W&B's order: at the top level, plain names before groups."""
        point: Point = {}
        for parameter in self._in_output_order:
            group = point
            for name in parameter.path[:-1]:
                group = group.setdefault(name, {})
            value = parameter.settings["value"] if parameter.is_constant else value_of(parameter)
            group[parameter.path[-1]] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
        return point

    def sample(self, share_of: Callable[[str], float]) -> Point:
        """The point at a share (from 0 to 1) per non-constant parameter, queried by dotted name."""
        return self.point(lambda parameter: parameter.value_at(share_of(parameter.name)))

    def random_point(self, seed: int, trial: int) -> Point:
        """The point of a trial of a random search: a function of its arguments only, independent per parameter."""
        return self.sample(lambda name: random_share(seed, trial, name))

    @cached_property
    def grid(self) -> "Grid":
        """All points of a grid search, in W&B's order. Raises SpecError: a parameter cannot be on a grid."""
        return Grid(self.searchable, self.point)

    def values_of(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a point by dotted name, which are overrides. Missing values are left out."""
        found = ((parameter.name, look_up(point, parameter.path)) for parameter in self.parameters)
        return {name: value for name, value in found if value is not MISSING}

    def point_key(self, point: Mapping[str, Any]) -> PointKey | None:
        """A key that is equal for points that W&B treats as equal; None if a non-constant parameter is missing.

        1 and 1.0 are equal, 1 and true are not; keys added to a mapping are ignored.
        """
        keys = tuple(parameter.key_in(point) for parameter in self.searchable)
        return None if None in keys else keys

    @property
    def distinct_points(self) -> int | None:
        """The number of different points of a random search; None if a parameter is unlimited."""
        counts = [parameter.distinct_values for parameter in self.searchable]
        return math.prod(count for count in counts if count is not None) if None not in counts else None


def random_share(seed: int, trial: int, name: str) -> float:
    """A random number strictly between 0 and 1 for (seed, trial, parameter).

    Counter-based: number n does not depend on previous ones, so a sweep resumes exactly and in any order. The 52
    leading bits of a BLAKE2b hash; adding a half avoids 0 and 1.
    """
    digest = hashlib.blake2b(f"{seed}/{trial}/{name}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 12) + 0.5) * 2.0**-52


def _output_order(parameter: Parameter) -> tuple[bool, tuple[str, ...]]:
    *groups, name = parameter.path
    return bool(groups), (*(f"{group}{_NEST_MARK}" for group in groups), name)
