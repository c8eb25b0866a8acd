"""SweepFacts: what sweep.json says of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from text_recognizer.wording import received
from training.runs.checks import is_count, is_time
from training.sweeps.file.config import Metric

FORMAT = 1
METHODS = ("list", "grid", "random", "bayes")
_TEXTS = ("name", "digest", "source")


@dataclass(frozen=True)
class SweepFacts:
    """
    Args:
        size: trials in all; None for a search without end.
        metric: None for a list of experiments.
        created: seconds since 1970.
    """

    name: str
    digest: str
    source: str
    method: str
    size: int | None
    metric: Metric | None
    created: float

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> "SweepFacts":
        """
        Raises:
            ValueError: what is wrong.
        """
        if is_count(version := value.get("format", 0)) and version > FORMAT:
            raise ValueError(f"it has format {version}, this version reads up to {FORMAT}")
        metric, size, created = value.get("metric"), value.get("size"), value.get("created", -1)
        checks = {
            **{key: (isinstance(value.get(key), str), "text") for key in _TEXTS},
            "method": (value.get("method") in METHODS, f"one of {', '.join(METHODS)}"),
            "size": (size is None or (isinstance(size, int) and size >= 0), "a whole number or null"),
            "created": (is_time(created), "seconds since 1970"),
            "metric": (metric is None or _is_metric(metric), "a name, and a goal to minimize or maximize"),
        }
        for key, (is_right, words) in checks.items():
            if not is_right:
                raise ValueError(f"'{key}' must be {words}. {received(value.get(key))}")
        texts = {key: value[key] for key in (*_TEXTS, "method")}
        named = None if metric is None else Metric(metric["name"], metric["goal"])
        return cls(**texts, size=size, metric=named, created=created)


def _is_metric(value: Any) -> bool:
    is_named = isinstance(value, dict) and isinstance(value.get("name"), str)
    return is_named and value.get("goal") in ("minimize", "maximize")
