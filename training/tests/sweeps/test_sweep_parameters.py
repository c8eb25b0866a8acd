import itertools
import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.errors import SpecError
from training.sweeps.file.grid import Grid
from training.sweeps.file.parameter import Parameter, value_key
from training.sweeps.file.parameters import ParameterSpace, random_share
from training.tests.processor_time import processor_s
from training.tests.sweeps.peer_cases import peer_cases
from training.tests.sweeps.sweep_generator import Generator


def parameter(**config: Any) -> Parameter:
    return Parameter.from_config(("p",), config)


def space(text: str) -> ParameterSpace:
    return ParameterSpace(yaml.safe_load(text))


# Quantiles


@pytest.mark.parametrize("case", peer_cases("quantiles"))
def test_a_case_has_the_quantiles_of_the_engine(case: dict[str, Any]) -> None:
    found = [Parameter.from_config(("p",), case["param"]).quantile(u) for u in case["u"]]
    # The last place of exp() depends on the processor; test_peer_sweeps.py compares all bits on one machine.
    expected = [
        analytic if u in case["analytic_differs_from_peer_at_u"] else peer
        for u, analytic, peer in zip(case["u"], case["analytic"], case["peer"], strict=True)
    ]
    assert found == pytest.approx(expected, rel=1e-14)
    assert all(isinstance(value, int) == case["integer_valued"] for value in found if not math.isinf(value))


@pytest.mark.parametrize(
    ("config", "u", "expected"),
    [
        # Whole numbers: min + ceil(u * n) - 1.
        ({"min": 1, "max": 10}, 0.5, 5),
        ({"min": 1, "max": 10}, 0.1, 1),  # the first of ten holds u up to and including 0.1
        ({"min": 1, "max": 10}, 0.1000001, 2),
        ({"min": 0, "max": 24}, 7 / 25, 6),  # although (7 / 25) * 25 is above 7 in floats
        ({"min": -3, "max": 3}, 0.5, 0),
        ({"min": 0.0, "max": 4.0}, 0.25, 1.0),
        ({"min": 2, "max": 6, "distribution": "uniform"}, 0.25, 3.0),
        # Rounded to a multiple of q, halves to even; whole only where q is, and not kept inside the bounds.
        ({"distribution": "q_uniform", "min": 1, "max": 10, "q": 4}, 0.5, 4),
        ({"distribution": "q_uniform", "min": 1, "max": 10, "q": 4}, 0.01, 0),
        ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 4}, 0.2, 0),
        ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 4}, 0.6, 8),
        ({"distribution": "q_uniform", "min": 1, "max": 10}, 0.5, 6.0),
        ({"distribution": "log_uniform_values", "min": 0.0001, "max": 1}, 0.5, 0.01),
        ({"distribution": "log_uniform", "min": 0, "max": 2}, 0.5, math.e),
        ({"distribution": "q_log_uniform_values", "min": 32, "max": 256, "q": 8}, 0.5, 88),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 20, "q": 8}, 0.3, 0),
        ({"distribution": "q_log_uniform", "min": 0, "max": 5, "q": 2}, 0.5, 12),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 2}, 0.75, math.exp(-0.5)),
        ({"distribution": "inv_log_uniform_values", "min": 0.001, "max": 0.1}, 0.5, 0.01),
        ({"distribution": "normal", "mu": 15, "sigma": 5}, 0.5, 15.0),
        ({"distribution": "normal"}, 0.975, 1.959963984540054),
        ({"distribution": "q_normal", "mu": 3, "sigma": 2, "q": 0.5}, 0.1, 0.5),
        ({"distribution": "log_normal", "mu": 1}, 0.5, math.e),
        ({"distribution": "q_log_normal", "mu": 3, "q": 4}, 0.5, 20),
        ({"distribution": "beta", "a": 2, "b": 1}, 0.25, 0.5),  # the square root of u
        ({"distribution": "q_beta", "a": 2, "b": 5, "q": 0.1}, 0.5, 0.30000000000000004),
        ({"values": ["a", "b", "c"]}, 1 / 3, "a"),
        ({"values": ["a", "b", "c"]}, 0.34, "b"),
        ({"values": ["a", "b"], "probabilities": [0.25, 0.75]}, 0.2499, "a"),
        ({"values": ["a", "b"], "probabilities": [0.25, 0.75]}, 0.25, "b"),
        ({"value": {"a": 1}}, 0.7, {"a": 1}),
    ],
)
def test_a_quantile_by_hand(config: dict[str, Any], u: float, expected: Any) -> None:
    found = Parameter.from_config(("p",), config).quantile(u)
    assert found == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)
    assert type(found) is type(expected)


def test_values_are_drawn_inside_their_range_at_the_ends_too() -> None:
    assert [parameter(min=1, max=10).quantile(u) for u in (0.0, 1.0)] == [0, 10]
    assert [parameter(min=1, max=10).value_at(u) for u in (0.0, 1.0)] == [1, 10]
    assert [parameter(values=["a", "b"]).value_at(u) for u in (0.0, 1.0)] == ["a", "b"]
    assert math.isinf(parameter(distribution="q_log_normal", q=4).quantile(1.0))
    assert math.isfinite(parameter(distribution="normal").value_at(0.0))


@pytest.mark.parametrize("q", [1e-300, 5e-324])
def test_a_step_far_below_the_last_digit_rounds_nothing(q: float) -> None:
    normal = parameter(distribution="q_normal", mu=1e10, sigma=1.0, q=q)
    assert normal.quantile(0.5) == 1e10
    uniform = parameter(distribution="q_uniform", min=0.0, max=1e10, q=q)
    assert uniform.quantile(0.5) == 5e9
    assert uniform.distinct_values is None
    assert Grid([uniform], lambda value_of: {"p": value_of(uniform)})[0] == {"p": 0}


def test_a_share_outside_of_0_to_1_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1\. Received: 1\.5"):
        parameter(min=1, max=2).quantile(1.5)


def test_a_parameter_that_matches_no_form_is_refused() -> None:
    with pytest.raises(SpecError, match="'net.units' matches no form"):
        Parameter.from_config(("net", "units"), {"vals": [1]})


# Cumulative shares


@pytest.mark.parametrize(
    ("config", "value", "expected"),
    [
        ({"values": [10, 20, 30, 40]}, 20, 0.5),
        ({"values": [True, False]}, False, 1.0),
        ({"values": ["x", "", 0]}, 0, 1.0),
        ({"values": [1, True]}, True, 1.0),
        ({"values": [1, 2]}, 1.0, 0.5),
        ({"values": [{"a": 1, "b": 2}, 3]}, {"b": 2, "a": 1.0}, 0.5),
        ({"values": ["a", "b"], "probabilities": [0.25, 0.75]}, "a", 0.25),
        ({"min": 1, "max": 4}, 1, 0.25),
        ({"min": 1, "max": 4}, 9, 1.0),
        ({"min": 0.0, "max": 4.0}, 1.0, 0.25),
        ({"min": 0.0, "max": 4.0}, -1.0, 0.0),
        ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 4}, 4, 0.4),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 1.0}, 0.1, 0.5),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 1.0}, 0, 0.0),
        ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1.0}, 0.1, 0.5),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 2}, math.exp(-0.5), 0.75),
        ({"distribution": "normal", "mu": 1}, 1, 0.5),
        ({"distribution": "log_normal", "mu": 1}, math.e, 0.5),
        ({"distribution": "beta", "a": 2, "b": 1}, 0.5, 0.25),
        ({"value": 3}, 3, 0.0),
    ],
)
def test_a_cumulative_share_by_hand(config: dict[str, Any], value: Any, expected: float) -> None:
    assert Parameter.from_config(("p",), config).cdf(value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("config", "value"), [({"values": ["x"]}, "q"), ({"min": 1, "max": 3}, "1"), ({"min": 1, "max": 3}, None)]
)
def test_what_is_no_value_of_a_parameter_has_no_share(config: dict[str, Any], value: Any) -> None:
    assert math.isnan(Parameter.from_config(("p",), config).cdf(value))
    assert math.isnan(Parameter.from_config(("p",), config).share_of(value))


def test_every_value_is_found_again_at_its_share() -> None:
    generator = Generator(21)
    for _ in range(1_000):
        found = Parameter.from_config(("p",), generator.parameter())
        for value in (found.value_at(u) for u in generator.shares(4)):
            share = found.share_of(value)
            assert 0 < share < 1
            again = found.value_at(share)
            same = pytest.approx(value, rel=1e-7) if isinstance(value, float) else value
            assert again == same, (found, value)


# Points


def test_a_point_is_nested_and_plain_names_come_before_groups() -> None:
    nested = space(
        "{z: {value: 1}, g: {parameters: {y: {value: 2}, h: {parameters: {x: {values: [3]}}}}}, M: {value: 4}}"
    )
    point = nested.random_point(seed=0, trial=0)
    assert json.dumps(point) == '{"M": 4, "z": 1, "g": {"h": {"x": 3}, "y": 2}}'
    assert nested.values_of(point) == {"M": 4, "z": 1, "g.h.x": 3, "g.y": 2}


def test_points_share_nothing_that_can_be_changed() -> None:
    listed = space("{a: {values: [{k: [1]}]}, b: {value: {m: {}}}}")
    first = listed.grid[0]
    first["a"]["k"].append(2)
    first["b"]["m"]["n"] = 1
    assert listed.grid[0] == {"a": {"k": [1]}, "b": {"m": {}}}


def test_values_are_plain_python_values() -> None:
    generator = Generator(22)
    allowed = (int, float, str, bool, type(None), list, dict)
    for _ in range(500):
        value = Parameter.from_config(("p",), generator.parameter()).value_at(generator.random.random())
        assert type(value) in allowed
        json.dumps(value)


def test_points_are_told_apart_as_wandb_does() -> None:
    listed = space("{a: {values: [{k: 1}, 2]}, g: {parameters: {b: {values: [1, 2]}}}, c: {value: 9}}")
    key = listed.point_key({"a": {"k": 1}, "g": {"b": 1}})
    assert key == listed.point_key({"a": {"k": 1.0, "added": 5}, "g": {"b": 1.0, "added": 6}, "c": "changed"})
    assert key != listed.point_key({"a": {"k": 1}, "g": {"b": True}})
    assert key != listed.point_key({"a": {"k": 1}, "g": {"b": "1"}})
    assert listed.point_key({"a": 2}) is None
    assert listed.point_key({"a": 2, "g": 3}) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (3e6, 3_000_000, True),
        (0, -0.0, True),
        (math.nan, math.nan, True),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, "null", False),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ({"a": 0}, {"a": False}, False),
        (0.1, 0.30000000000000004 - 0.2, False),
    ],
)
def test_two_values_are_one_or_not(one: Any, other: Any, same: bool) -> None:
    assert (value_key(one) == value_key(other)) is same


def test_how_many_different_points_there_are() -> None:
    assert space("{a: {values: [1, 1.0, 2]}, b: {min: 1, max: 5}, c: {value: 1}}").distinct_points == 10
    assert space("{a: {distribution: q_uniform, min: 1, max: 10, q: 4}}").distinct_points == 3  # 0, 4, 8
    assert space("{a: {distribution: q_beta, q: 0.25}, b: {values: [1, 2]}}").distinct_points == 10
    assert space("{a: {min: 0.0, max: 1.0}, b: {values: [1]}}").distinct_points is None


# Random search


def test_the_random_share_of_a_trial_never_changes() -> None:
    # Sweeps that were started before must go on as they began.
    assert random_share(0, 0, "lr") == 0.9443978538009513
    assert random_share(0, 1, "lr") == 0.870093169071484
    assert random_share(7, 123, "network_args.layer_size") == 0.1753570836081818


def test_random_shares_are_uniform_and_independent() -> None:
    shares = [random_share(3, trial, "a") for trial in range(20_000)]
    others = [random_share(3, trial, "b") for trial in range(20_000)]
    assert all(0 < share < 1 for share in shares)
    # Twenty bins of 1,000: chi-square with 19 degrees of freedom exceeds 43.8 once in a thousand.
    counts = Counter(int(share * 20) for share in shares)
    assert sum((counts[index] - 1_000) ** 2 / 1_000 for index in range(20)) < 43.8
    mean = sum((one - 0.5) * (other - 0.5) for one, other in zip(shares, others, strict=True)) / len(shares)
    assert abs(mean * 12) < 4 / math.sqrt(len(shares))
    following = sum((one - 0.5) * (next_one - 0.5) for one, next_one in itertools.pairwise(shares)) / len(shares)
    assert abs(following * 12) < 4 / math.sqrt(len(shares))


def test_a_parameter_more_leaves_the_others_as_they_were() -> None:
    one = space("{a: {min: 0.0, max: 1.0}}")
    two = space("{a: {min: 0.0, max: 1.0}, b: {min: 0.0, max: 1.0}}")
    assert [one.random_point(5, trial)["a"] for trial in range(9)] == [
        two.random_point(5, trial)["a"] for trial in range(9)
    ]
    assert one.random_point(5, 0) != one.random_point(6, 0)


def test_random_points_follow_the_probabilities() -> None:
    weighted = space("{a: {values: [x, y], probabilities: [0.25, 0.75]}}")
    counts = Counter(weighted.random_point(1, trial)["a"] for trial in range(4_000))
    assert counts["x"] == pytest.approx(1_000, abs=110)  # four standard deviations of 27


def test_shares_are_asked_for_by_dotted_name() -> None:
    nested = space("{g: {parameters: {a: {min: 0.0, max: 10.0}}}, b: {values: [x, y]}, c: {value: 1}}")
    assert nested.sample({"g.a": 0.5, "b": 0.9}.__getitem__) == {"b": "y", "c": 1, "g": {"a": 5.0}}


# Grid search


@pytest.mark.parametrize("case", peer_cases("grid"))
def test_a_case_has_the_grid_of_the_engine(case: dict[str, Any]) -> None:
    listed = ParameterSpace(yaml.safe_load(case["yaml"])["parameters"])
    if "error" in case["expect"]:
        with pytest.raises(SpecError, match="cannot be on a grid"):
            _ = listed.grid
        return
    if case["after_each_run_config_is_overwritten_with"] is None:
        done = {listed.point_key(_unwrapped(run["config"])) for run in case["prior_runs"]}
        assert [point for point in listed.grid if listed.point_key(point) not in done] == case["expect"]["sequence"]


def _unwrapped(config: dict[str, Any]) -> dict[str, Any]:
    """W&B stores some values as {"value": value}."""
    return {
        name: stored["value"] if isinstance(stored, dict) and stored.keys() == {"value"} else stored
        for name, stored in config.items()
    }


def test_a_grid_goes_by_name_and_the_last_name_varies_fastest() -> None:
    grid = space("{z: {values: [2, 1]}, a: {min: 1, max: 2}, B: {values: [u]}}").grid
    assert list(grid) == [{"B": "u", "a": a, "z": z} for a in (1, 2) for z in (2, 1)]


def test_a_group_stands_where_its_name_does() -> None:
    grid = space(
        "{m: {parameters: {z: {values: [1, 2]}, a: {values: [3, 4]}}}, n: {values: [5, 6]}, b: {values: [7]}}"
    ).grid
    assert [(point["m"]["a"], point["m"]["z"], point["n"]) for point in grid] == [
        (a, z, n) for a in (3, 4) for z in (1, 2) for n in (5, 6)
    ]


def test_equal_values_are_one_point_at_the_first_place_in_the_last_spelling() -> None:
    grid = space("{a: {values: [1, 2, 1.0, true, '1', 2]}}").grid
    assert [repr(point["a"]) for point in grid] == ["1.0", "2", "True", "'1'"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("min: 1, max: 10, q: 4", [1, 5, 9]),  # max is left out, and min is where it starts
        ("min: 0, max: 8, q: 4", [0, 4]),
        ("min: 0, max: 0.4, q: 0.1", [0.0, 0.1, 0.2, 0.30000000000000004]),
        ("min: 1, max: 4", [1.0, 2.0, 3.0]),  # q is 1.0 by default
        ("min: 0.05, max: 1, q: 5", [0.05]),
    ],
)
def test_a_grid_of_steps_is_what_numpy_makes_of_it(settings: str, expected: list[float]) -> None:
    grid = space(f"{{a: {{distribution: q_uniform, {settings}}}}}").grid
    assert [repr(point["a"]) for point in grid] == list(map(repr, expected))


@given(
    st.one_of(st.integers(-5, 5), st.floats(-5, 5)),
    st.one_of(st.integers(1, 9), st.floats(0.01, 9)),
    st.one_of(st.integers(1, 3), st.floats(0.01, 3)),
)
def test_a_grid_of_steps_is_numpys_range_to_the_last_bit(low: float, width: float, q: float) -> None:
    high = low + width
    grid = ParameterSpace({"a": {"distribution": "q_uniform", "min": low, "max": high, "q": q}}).grid
    assert [repr(point["a"]) for point in grid] == list(map(repr, np.arange(low, high, q).tolist()))


def test_constants_alone_are_one_point() -> None:
    assert list(space("{a: {value: 1}, b: {value: [2]}}").grid) == [{"a": 1, "b": [2]}]


def test_points_are_numbered_as_they_are_listed() -> None:
    generator = Generator(23)
    for _ in range(100):
        grid = ParameterSpace(generator.grid()[0]["parameters"]).grid
        for number, point in zip(range(500), grid, strict=False):
            assert grid[number] == point
        with pytest.raises(IndexError, match="numbered 0 to"):
            grid[grid.size]


@given(st.integers(0, 10**25 - 1))
def test_a_huge_grid_is_never_listed(number: int) -> None:
    grid = space(
        "{a: {min: 0, max: 9999999999999999999}, b: {distribution: q_uniform, min: 0, max: 1, q: 1.0e-6}}"
    ).grid
    assert grid.size == 10**19 * 10**6
    assert grid[number] == {"a": number // 10**6, "b": pytest.approx(number % 10**6 * 1e-6)}


def test_a_point_is_another_one_when_a_value_is() -> None:
    listed = space("{a: {min: 1, max: 3}, b: {distribution: q_uniform, min: 0, max: 1, q: 0.25}}")
    keys = [listed.point_key(point) for point in listed.grid]
    assert listed.point_key({"a": 2.0, "b": 0.5}) == keys[6]
    for point in (
        {"a": 4, "b": 0},
        {"a": True, "b": 0},
        {"a": 1, "b": 0.3},
        {"a": 1, "b": None},
        {"a": 1},
        {"a": 10**400, "b": math.inf},
    ):
        assert listed.point_key(point) not in keys


def test_a_point_of_a_large_grid_costs_no_more_than_one_of_a_small() -> None:
    def enumerate_points(most: int) -> None:
        group = f"g: {{parameters: {{c: {{min: 1, max: 10}}, d: {{min: 1, max: {most}}}}}}}"
        grid = space(f"{{a: {{min: 1, max: 10}}, b: {{min: 1, max: 10}}, {group}}}").grid
        assert sum(1 for _ in grid) == 1_000 * most

    # Ten times as many points: ten times as long, or a hundred times where each is looked for among all.
    assert processor_s(lambda: enumerate_points(10)) < 40 * processor_s(lambda: enumerate_points(1))
