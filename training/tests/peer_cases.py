"""Worked cases with the answers of W&B's engine, where the folder that holds them lies beside the repository."""

import json
from typing import Any

import pytest

from text_recognizer.settings import REPOSITORY

FOLDER = REPOSITORY.parent / "shared" / "wandb" / "cases"


def peer_cases(kind: str) -> list[Any]:
    """The cases of a kind as test parameters; one skipped parameter where they are absent."""
    path = FOLDER / f"{kind}.json"
    if not path.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]
