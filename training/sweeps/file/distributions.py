"""The distributions of a W&B sweep: their inverse cumulative functions (quantiles) and cumulative functions.

Every number is computed by the same operations, in the same order, as in W&B's engine, so that results are equal to
the last bit; hence numpy's exp and log, which differ from the math module's in the last place. What is not a number
(values, probabilities) is handled in parameters.py.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Settings = Mapping[str, Any]


def quantile_of(distribution: str, settings: Settings, u: float) -> int | float:
    """The value below which a share u of the distribution lies.

    Unbounded distributions are infinite at u = 0 and u = 1. A quantised one may leave its bounds: it rounds to the
    nearest multiple of q, halves to even, and the result is whole (an int) only where q is.

    Args:
        settings: min and max, mu and sigma, or a and b; and q where the name begins with q_.
        u: from 0 to 1.
    """
    if distribution == "int_uniform":
        return _int_uniform_quantile(settings["min"], settings["max"], u)
    if distribution.startswith("q_"):
        return _round_to_multiple(_QUANTILES[distribution.removeprefix("q_")](settings, u), settings["q"])
    return _QUANTILES[distribution](settings, u)


def cumulative_share(distribution: str, settings: Settings, value: float) -> float:
    """The share of the distribution at or below a value, from 0 to 1; before rounding where the name begins with q_."""
    if distribution == "int_uniform":
        lowest, count = settings["min"], settings["max"] + 1 - settings["min"]
        return _clipped((math.floor(value) - lowest + 1.0) / count)
    return _clipped(_SHARES[distribution.removeprefix("q_")](settings, value))


def index_at(u: float, lowest: int, end: int) -> int:
    """The whole number, of those from lowest to end - 1, at quantile u; lowest - 1 for u = 0."""
    if u == 0:
        return lowest - 1
    if u == 1:
        return end - 1
    count = end - lowest
    index = math.ceil(u * count + lowest) - 1
    below = min(max(index - 1, lowest), end)
    # u * count may be rounded up past a whole number: the lower one is right where its share already reaches u.
    return below if (below - lowest + 1.0) / count >= u else index


def _int_uniform_quantile(lowest: int, highest: int, u: float) -> int:
    return index_at(u, lowest, highest + 1)


def _round_to_multiple(value: float, q: float) -> int | float:
    if not math.isfinite(value / q):  # the value is infinite, or q so far below its last digit that nothing is rounded
        return value
    multiple = float(round(value / q)) * q
    return int(multiple) if isinstance(q, int) else multiple


def _between(low: float, high: float, u: float) -> float:
    return u * (high - low) + low


def _uniform(settings: Settings, u: float) -> float:
    return float(_between(settings["min"], settings["max"], u))


def _log_uniform(settings: Settings, u: float) -> float:
    return _exp(_between(settings["min"], settings["max"], u))


def _log_uniform_values(settings: Settings, u: float) -> float:
    return _exp(_between(_log(settings["min"]), _log(settings["max"]), u))


def _inv_log_uniform(settings: Settings, u: float) -> float:
    return _exp(-_between(settings["min"], settings["max"], 1 - u))


def _inv_log_uniform_values(settings: Settings, u: float) -> float:
    return _exp(-_between(-_log(settings["max"]), -_log(settings["min"]), 1 - u))


def _normal(settings: Settings, u: float) -> float:
    return float(_standard_normal(u) * settings["sigma"] + settings["mu"])


def _log_normal(settings: Settings, u: float) -> float:
    return _exp(settings["sigma"] * _standard_normal(u)) * _exp(settings["mu"])


def _beta(settings: Settings, u: float) -> float:
    from scipy import special

    return float(special.betaincinv(settings["a"], settings["b"], u))


_QUANTILES: dict[str, Callable[[Settings, float], float]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _inv_log_uniform_values,
    "normal": _normal,
    "log_normal": _log_normal,
    "beta": _beta,
}


def _uniform_share(settings: Settings, value: float) -> float:
    return float((value - settings["min"]) / (settings["max"] - settings["min"]))


def _log_uniform_share(settings: Settings, value: float) -> float:
    return _share_between(settings["min"], settings["max"], value)


def _log_uniform_values_share(settings: Settings, value: float) -> float:
    return _share_between(_log(settings["min"]), _log(settings["max"]), value)


def _inv_log_uniform_share(settings: Settings, value: float) -> float:
    return 1 - _clipped(_share_between(settings["min"], settings["max"], _inverse(value)))


def _inv_log_uniform_values_share(settings: Settings, value: float) -> float:
    low, high = _log(settings["min"]), _log(settings["max"])
    return 1 - _clipped((_log(_inverse(value)) + high) / abs(high - low))


def _share_between(low: float, high: float, value: float) -> float:
    return (_log(value) - low) / (high - low)


def _normal_share(settings: Settings, value: float) -> float:
    return _standard_normal_share((value - settings["mu"]) / settings["sigma"])


def _log_normal_share(settings: Settings, value: float) -> float:
    return _standard_normal_share(_log(value / _exp(settings["mu"])) / settings["sigma"])


def _beta_share(settings: Settings, value: float) -> float:
    from scipy import special

    return float(special.betainc(settings["a"], settings["b"], _clipped(value)))


_SHARES: dict[str, Callable[[Settings, float], float]] = {
    "uniform": _uniform_share,
    "log_uniform": _log_uniform_share,
    "log_uniform_values": _log_uniform_values_share,
    "inv_log_uniform": _inv_log_uniform_share,
    "inv_log_uniform_values": _inv_log_uniform_values_share,
    "normal": _normal_share,
    "log_normal": _log_normal_share,
    "beta": _beta_share,
}


def _exp(value: float) -> float:
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.exp(float(value)))


def _log(value: float) -> float:
    import numpy as np

    return float(np.log(float(value))) if value > 0 else -math.inf


def _inverse(value: float) -> float:
    return 1 / value if value > 0 else math.inf


def _standard_normal(u: float) -> float:
    from scipy import special

    return float(special.ndtri(u))


def _standard_normal_share(value: float) -> float:
    from scipy import special

    return float(special.ndtr(value))


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)
