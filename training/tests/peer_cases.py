"""Worked cases with the answers of W&B's engine, where the folder that holds them lies beside the repository."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from text_recognizer.settings import REPOSITORY
from training.sweeps.search.observations import Observation

FOLDER = REPOSITORY.parent / "shared" / "wandb" / "cases"


def peer_cases(kind: str) -> list[Any]:
    """The cases of a kind as test parameters; one skipped parameter where they are absent."""
    path = FOLDER / f"{kind}.json"
    if not path.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]


class Learned(NamedTuple):
    """Observations as the engine has them: rows with their values, and rows whose value is open."""

    encoded: list[list[float]]
    objective: list[float]
    in_flight: list[list[float]]


def learned(observations: Sequence[Observation | None]) -> Learned:
    seen = [one for one in observations if one is not None]
    return Learned(
        [one.encoded for one in seen if one.value is not None],
        [one.value for one in seen if one.value is not None],
        [one.encoded for one in seen if one.value is None],
    )
