import math
from typing import Any

import pytest
import yaml

from text_recognizer.errors import SpecError
from training.sweeps.file.config import Metric, SweepConfig
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.numbers import usable_values
from training.sweeps.search.base import PastTrial
from training.sweeps.search.observations import encode
from training.tests.sweeps.peer_cases import learned, peer_cases

ONE = ParameterSpace({"a": {"min": 0.0, "max": 4.0}})

# Cases in which the engine fails and that are answered here: see the documented differences.
ANSWERED_HERE = {"foreign-category-raises": ([], 1), "probabilities-raise": ([[0.5]], 0)}


@pytest.mark.parametrize("case", peer_cases("bayes"))
def test_a_case_is_learned_from_as_by_the_engine(case: dict[str, Any]) -> None:
    runs = [
        past(run["config"], run["state"], [row["m"] for row in run.get("history", []) if "m" in row])
        for run in case["runs"]
    ]
    if "error" in case["expect"] and case["id"] not in ANSWERED_HERE:
        with pytest.raises(SpecError):
            SweepConfig.from_yaml(case["yaml"])
        return
    config = SweepConfig.from_yaml(case["yaml"])
    assert config.metric is not None
    found = learned(config.space, config.metric, runs)
    if case["id"] in ANSWERED_HERE:
        assert (found.encoded, found.left_out) == ANSWERED_HERE[case["id"]]
        return
    assert [parameter.name for parameter in config.space.searchable] == case["expect"]["order"]
    assert found.encoded == [pytest.approx(row) for row in case["expect"]["X"]]
    assert found.in_flight == [pytest.approx(row) for row in case["expect"]["in_flight"]]
    assert found.objective == pytest.approx(case["expect"]["y_minimised"])


def past(point: dict[str, Any], state: str, history: list[float]) -> PastTrial:
    return PastTrial(1, point, state, usable_values(history))


def objectives(metric: Metric, *runs: PastTrial) -> list[float]:
    return learned(ONE, metric, runs).objective


def test_a_finished_run_counts_with_its_best_value() -> None:
    run = past({"a": 1.0}, "finished", [5, 2, math.nan, 3])
    assert objectives(Metric("m"), run) == [2]
    assert objectives(Metric("m", "maximize"), run) == [-5]
    assert objectives(Metric("m"), past({"a": 1.0}, "stopped", [5, 2])) == [2]


@pytest.mark.parametrize(("impute", "expected"), [("worst", 9), ("best", 1), ("latest", 3)])
def test_a_failed_run_is_imputed_as_asked(impute: Any, expected: float) -> None:
    finished = past({"a": 1.0}, "finished", [9, 2])
    failed = past({"a": 2.0}, "crashed", [4, 1, 3])
    assert objectives(Metric("m", impute=impute), finished, failed) == [2, expected]


def test_the_worst_is_the_worst_of_the_runs_that_have_ended() -> None:
    ended, live = past({"a": 1.0}, "killed", [7]), past({"a": 1.0}, "running", [100])
    silent = past({"a": 3.0}, "finished", [])
    assert objectives(Metric("m"), ended, live, silent) == [7, 7]
    assert objectives(Metric("m", "maximize"), past({"a": 1.0}, "finished", [7, 2]), silent) == [-7, -2]
    assert objectives(Metric("m"), silent) == [0]


def test_runs_under_way_are_in_flight_unless_they_are_to_be_imputed() -> None:
    runs = [past({"a": 1.0}, state, [4, 1, 3]) for state in ("running", "pending", "preempted")]
    assert learned(ONE, Metric("m"), runs).in_flight == [[0.25]] * 3
    imputed = learned(ONE, Metric("m", impute_while_running="latest"), runs)
    assert (imputed.objective, len(imputed.in_flight)) == ([1], 2)  # its best; "latest" is for a run without any
    assert objectives(Metric("m", impute_while_running="latest"), past({"a": 1.0}, "running", [])) == [0]


def test_points_are_encoded_in_the_order_of_the_names_groups_included() -> None:
    space = ParameterSpace(
        yaml.safe_load("{z: {values: [x, y]}, g: {parameters: {b: {min: 1, max: 4}}}, c: {value: 1}}")
    )
    assert encode(space, {"z": "y", "g": {"b": 2}, "c": 1}) == [0.5, 1.0]
    assert encode(space, {"c": 1}) == [0.0, 0.5]  # what is not there counts as 0, or as the first value
