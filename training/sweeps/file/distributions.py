"""The distributions of a W&B sweep: their quantile functions and cumulative distribution functions.

Every number is computed by the same operations, in the same order, as in W&B's engine, so that results are bitwise
equal; hence numpy's exp and log, which differ from the math module's in the last place. Categorical parameters (values,
probabilities) are handled in parameter.py.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Settings = Mapping[str, Any]


def quantile_of(distribution: str, settings: Settings, u: float) -> int | float:
    """The quantile of a distribution at u.

    Unbounded distributions are infinite at u = 0 and u = 1. A quantised one may exceed its bounds: it rounds to the
    nearest multiple of q, halves to even, and the result is an int only if q is.

    Args:
        settings: min and max, mu and sigma, or a and b; and q if the name begins with q_.
        u: from 0 to 1.
    """
    if distribution == "int_uniform":
        return index_at(u, settings["min"], settings["max"] + 1)
    if distribution.startswith("q_"):
        return _round_to_multiple(_QUANTILES[distribution.removeprefix("q_")](settings, u), settings["q"])
    return _QUANTILES[distribution](settings, u)


def cumulative_share(distribution: str, settings: Settings, value: float) -> float:
    """The cumulative share at a value, from 0 to 1; before rounding if the name begins with q_."""
    if distribution == "int_uniform":
        lowest, count = settings["min"], settings["max"] + 1 - settings["min"]
        return _clipped((math.floor(value) - lowest + 1.0) / count)
    return _clipped(_SHARES[distribution.removeprefix("q_")](settings, value))


def index_at(u: float, lowest: int, end: int) -> int:
    """The integer from lowest to end - 1 at quantile u; lowest - 1 for u = 0."""
    if u == 0:
        return lowest - 1
    if u == 1:
        return end - 1
    count = end - lowest
    index = math.ceil(u * count + lowest) - 1
    below = min(max(index - 1, lowest), end)
    # u * count may be rounded up past an integer: the lower one is right if its share already reaches u.
    return below if (below - lowest + 1.0) / count >= u else index


def _round_to_multiple(value: float, q: float) -> int | float:
    if not math.isfinite(value / q):  # the value is infinite, or q so far below its last digit that nothing is rounded
        return value
    multiple = float(round(value / q)) * q
    return int(multiple) if isinstance(q, int) else multiple


def _between(low: float, high: float, u: float) -> float:
    return u * (high - low) + low


def _share_between(low: float, high: float, value: float) -> float:
    return (_log(value) - low) / (high - low)


def _exp(value: float) -> float:
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.exp(float(value)))


def _log(value: float) -> float:
    import numpy as np

    return float(np.log(float(value))) if value > 0 else -math.inf


def _inverse(value: float) -> float:
    return 1 / value if value > 0 else math.inf


def _special(function: str, *arguments: float) -> float:
    from scipy import special

    return float(getattr(special, function)(*arguments))


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


_QUANTILES: dict[str, Callable[[Settings, float], float]] = {
    "uniform": lambda s, u: float(_between(s["min"], s["max"], u)),
    "log_uniform": lambda s, u: _exp(_between(s["min"], s["max"], u)),
    "log_uniform_values": lambda s, u: _exp(_between(_log(s["min"]), _log(s["max"]), u)),
    "inv_log_uniform": lambda s, u: _exp(-_between(s["min"], s["max"], 1 - u)),
    "inv_log_uniform_values": lambda s, u: _exp(-_between(-_log(s["max"]), -_log(s["min"]), 1 - u)),
    "normal": lambda s, u: float(_special("ndtri", u) * s["sigma"] + s["mu"]),
    "log_normal": lambda s, u: _exp(s["sigma"] * _special("ndtri", u)) * _exp(s["mu"]),
    "beta": lambda s, u: _special("betaincinv", s["a"], s["b"], u),
}
_SHARES: dict[str, Callable[[Settings, float], float]] = {
    "uniform": lambda s, value: float((value - s["min"]) / (s["max"] - s["min"])),
    "log_uniform": lambda s, value: _share_between(s["min"], s["max"], value),
    "log_uniform_values": lambda s, value: _share_between(_log(s["min"]), _log(s["max"]), value),
    "inv_log_uniform": lambda s, value: 1 - _clipped(_share_between(s["min"], s["max"], _inverse(value))),
    "inv_log_uniform_values": lambda s, value: (
        1 - _clipped((_log(_inverse(value)) + _log(s["max"])) / abs(_log(s["max"]) - _log(s["min"])))
    ),
    "normal": lambda s, value: _special("ndtr", (value - s["mu"]) / s["sigma"]),
    "log_normal": lambda s, value: _special("ndtr", _log(value / _exp(s["mu"])) / s["sigma"]),
    "beta": lambda s, value: _special("betainc", s["a"], s["b"], _clipped(value)),
}
