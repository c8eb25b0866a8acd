"""Worked cases with the answers of W&B's engine, where the folder that holds them lies beside the repository."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from text_recognizer.settings import REPOSITORY
from training.sweeps.file.config import Metric
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.search.base import PastTrial
from training.sweeps.search.observations import encode, observed_values

FOLDER = REPOSITORY.parent / "shared" / "wandb" / "cases"


def peer_cases(kind: str) -> list[Any]:
    """The cases of a kind as test parameters; one skipped parameter where they are absent."""
    path = FOLDER / f"{kind}.json"
    if not path.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]


class Learned(NamedTuple):
    """Runs as the engine has them: rows with their values, and rows whose value is open; runs that are left out."""

    encoded: list[list[float]]
    objective: list[float]
    in_flight: list[list[float]]
    left_out: int


def learned(space: ParameterSpace, metric: Metric, runs: Sequence[PastTrial]) -> Learned:
    rows = [encode(space, run.point) for run in runs]
    seen = zip(rows, observed_values(metric, runs), strict=True)
    known = [(row, value) for row, value in seen if not any(map(math.isnan, row))]
    return Learned(
        [row for row, value in known if value is not None],
        [value for _, value in known if value is not None],
        [row for row, value in known if value is None],
        len(runs) - len(known),
    )
