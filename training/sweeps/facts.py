"""SweepFacts: what sweep.json says of a sweep, once and for all."""

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
            ValueError: what is wrong, in words.
        """
        if is_count(version := value.get("format", 0)) and version > FORMAT:
            raise ValueError(f"it has format {version}, this version reads up to {FORMAT}")
        for key in _TEXTS:
            if not isinstance(value.get(key), str):
                raise ValueError(f"'{key}' must be text. {received(value.get(key))}")
        if value.get("method") not in METHODS:
            raise ValueError(f"'method' must be one of {', '.join(METHODS)}. {received(value.get('method'))}")
        size, created = value.get("size"), value.get("created", -1)
        if size is not None and not (isinstance(size, int) and size >= 0):
            raise ValueError(f"'size' must be a whole number or null. {received(size)}")
        if not is_time(created):
            raise ValueError(f"'created' must be seconds since 1970. {received(created)}")
        texts = {key: value[key] for key in _TEXTS}
        return cls(**texts, method=value["method"], size=size, metric=_metric(value.get("metric")), created=created)


def _metric(value: Any) -> Metric | None:
    if value is None:
        return None
    right = isinstance(value, dict) and isinstance(value.get("name"), str)
    if not right or value.get("goal") not in ("minimize", "maximize"):
        raise ValueError(f"'metric' must have a name, and a goal to minimize or maximize. {received(value)}")
    return Metric(value["name"], value["goal"])
