import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.errors import SpecError
from training.sweeps.file.schema import problems
from training.sweeps.numbers import usable_values
from training.sweeps.stopping_rules.hyperband import Hyperband, bands_of, threshold_index
from training.tests.processor_time import processor_s
from training.tests.sweeps.hyperband_by_the_book import decision_by_the_book, threshold_by_the_book, told
from training.tests.sweeps.peer_cases import peer_cases
from training.tests.sweeps.sweep_support import violations


def sweep_with(early_terminate: Any) -> dict[str, Any]:
    return {
        "method": "random",
        "metric": {"name": "m"},
        "early_terminate": early_terminate,
        "parameters": {"a": {"values": [1]}},
    }


@pytest.mark.parametrize("case", peer_cases("hyperband"))
def test_a_case_has_the_bands_thresholds_and_stops_of_the_engine(case: dict[str, Any]) -> None:
    if "error" in case["expect"]:
        assert problems(sweep_with(case["early_terminate"])) != []
        return
    # A goal that the engine does not know falls back to minimize; here the sweep is refused before.
    goal: Any = case["goal"] if case["goal"] in ("minimize", "maximize") else "minimize"
    rule = Hyperband.from_config(case["early_terminate"], goal)
    histories = {run["name"]: usable_values(row["m"] for row in run["history"] if "m" in row) for run in case["runs"]}
    running = [run["name"] for run in case["runs"] if run["state"] == "running"]
    assert [name for name in running if decision_by_the_book(rule, histories[name], histories.values()).stop] == case[
        "expect"
    ]["stop"]
    assert list(rule.bands[:12]) == case["expect"]["bands"]
    sign = -1 if goal == "maximize" else 1
    thresholds = [sign * threshold_by_the_book(rule, band, histories.values()) for band in rule.bands[:12]]
    assert [None if math.isinf(threshold) else threshold for threshold in thresholds] == case["expect"]["thresholds"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "needs either min_iter, or max_iter and s"),
        ({"min_iter": 3, "max_iter": 27}, "needs either min_iter, or max_iter and s"),
        ({"min_iter": 3, "max_iter": 27, "s": 2}, "needs either min_iter, or max_iter and s"),
        ({"min_iter": 3, "s": 2}, "needs either min_iter, or max_iter and s"),
        ({"max_iter": 2, "s": 2}, "no band"),
        ({"min_iter": 1e300}, "too large or too many"),
        ({"max_iter": 1e300, "s": 1_000_000, "eta": 1.00001}, "too large or too many"),
    ],
)
def test_a_rule_of_the_command_line_that_could_never_stop_a_run_is_refused(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        Hyperband(**settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"min_iter": 3}, [3, 9, 27, 81, 243]),
        ({"min_iter": 3, "eta": 1.5}, [3, 4, 6, 10, 15, 22]),
        ({"min_iter": 1, "eta": 1.2}, [1, 1, 1, 1, 2, 2, 2, 3]),
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 27, "s": 3}, [1, 3, 9]),
        ({"max_iter": 27, "s": 9}, [1, 3, 9]),
        ({"max_iter": 100, "s": 4}, [1, 3, 11, 33]),
        ({"max_iter": 10, "s": 3, "eta": 2}, [1, 2, 5]),
        ({"max_iter": 27, "s": 2, "min_iter": 5}, [3, 9]),
    ],
)
def test_bands_by_hand(settings: dict[str, Any], expected: list[int]) -> None:
    rule = Hyperband.from_config({"type": "hyperband", **settings})
    assert list(rule.bands[: len(expected)]) == expected
    assert len(rule.bands) == (100 if "max_iter" not in settings else len(expected))


def test_the_threshold_is_the_value_at_one_etath_of_the_runs() -> None:
    histories = [[float(value)] for value in range(1, 8)]
    rule = told(Hyperband(min_iter=1), histories)
    # 7 / 3 is 2.33: the value at index 2, so that 4, 5, 6 and 7 stop and the equal 3 stays.
    assert threshold_by_the_book(rule, 1, histories) == 3
    assert [value for value in range(1, 8) if rule.decide(str(value - 1)).stop] == [4, 5, 6, 7]
    assert [threshold_index(runs, 3) for runs in range(1, 8)] == [0, 0, 1, 1, 1, 2, 2]
    assert threshold_index(49, 49) == 0  # (1 / 49) * 49 is a little less than 1 in floats


def test_of_two_runs_the_worse_stops_with_eta_3_and_none_with_eta_2() -> None:
    histories = [[1.0], [2.0]]
    for eta, stops in ((3, [False, True]), (2, [False, False])):
        rule = told(Hyperband(min_iter=1, eta=eta), histories)
        assert [rule.decide(run).stop for run in ("0", "1")] == stops


def test_the_first_run_at_a_band_stays() -> None:
    decision = told(Hyperband(min_iter=2), [[9.0, 9.0], [1.0]]).decide("0")
    assert (decision.stop, decision.band, decision.runs_at_band, decision.threshold) == (False, 2, 1, 9.0)


def test_strict_looks_at_the_band_itself_and_not_strict_at_the_best_so_far() -> None:
    histories = [[3.0, 3.0, 3.0], [9.0, 9.0, 9.0, 0.1]]
    strict = told(Hyperband(min_iter=3), histories).decide("1")
    lenient = told(Hyperband(min_iter=3, strict=False), histories).decide("1")
    assert (strict.stop, strict.value, strict.threshold) == (True, 9.0, 3.0)
    assert (lenient.stop, lenient.value, lenient.threshold) == (False, 0.1, 3.0)


def test_only_the_last_band_reached_counts() -> None:
    histories = [[1.0, 1.0, 5.0], [9.0, 9.0, 4.0], [2.0]]
    rule = told(Hyperband(min_iter=1), histories)
    assert not rule.decide("1").stop
    assert rule.decide("0").stop


def test_to_maximize_is_to_minimize_the_negative() -> None:
    histories = [[0.1], [0.5], [0.9]]
    rule = told(Hyperband(min_iter=1, goal="maximize"), histories)
    decisions = [rule.decide(run) for run in ("0", "1", "2")]
    assert [decision.stop for decision in decisions] == [True, False, False]
    assert [decision.threshold for decision in decisions] == [0.5, 0.5, 0.5]


def test_only_finite_numbers_count_as_reports() -> None:
    reported = [1, math.nan, math.inf, -math.inf, True, "9", None, 2.5, 10**400, [3]]
    assert usable_values(reported) == [1, 2.5]
    table = Hyperband(min_iter=2)
    table.report("good", [1, 1])
    table.report("diverged", [5, math.nan, math.nan, math.nan])
    assert (table.decide("diverged").band, table.decide("diverged").stop) == (None, False)


def test_a_threshold_can_become_stricter_later() -> None:
    table = Hyperband(min_iter=1)
    table.report("a", [3.0])
    assert not table.decide("a").stop
    table.report("b", [1.0])
    assert table.decide("a").stop


def test_a_decision_explains_itself() -> None:
    table = Hyperband(min_iter=2, eta=3)
    table.report("a", [0.5, 0.41])
    table.report("b", [0.6, 0.52])
    table.report("c", [0.7])
    assert table.decide("b").explain("val_loss") == (
        "stopped: val_loss at band 2 is 0.52, above 0.41 (place 1 of 2 runs that reached it, eta 3)"
    )
    assert table.decide("a").explain("val_loss") == (
        "kept: val_loss at band 2 is 0.41, not above 0.41 (place 1 of 2 runs that reached it, eta 3)"
    )
    assert table.decide("c").explain("val_loss") == "kept: 1 report of val_loss, the first band is at 2"
    assert table.decide("never seen").explain() == "kept: 0 reports of the metric, the first band is at 2"
    lenient = Hyperband(min_iter=1, strict=False, goal="maximize")
    lenient.report("a", [0.9])
    lenient.report("b", [0.2, 0.3])
    assert lenient.decide("b").explain("acc").startswith("stopped: the best acc so far (band 1) is 0.3, below 0.9 ")


def test_the_rule_describes_itself() -> None:
    assert Hyperband(max_iter=27, s=2).describe() == (
        "hyperband: after 3, 9 reports a run stops when its value there is worse than that of the best 1/3 of the runs "
        "(strict, minimize)"
    )
    assert Hyperband(min_iter=1, eta=1.2, strict=False, goal="maximize").describe(most=3) == (
        "hyperband: after 1, 2, 3, ... reports a run stops when its best value so far is worse than that of the best "
        "1/1.2 of the runs (not strict, maximize)"
    )


REPORTS = st.one_of(st.integers(-3, 3), st.floats(-3, 3), st.just(math.nan))
RULES: list[dict[str, Any]] = [
    {"min_iter": 1},
    {"min_iter": 1, "eta": 1.5, "strict": False},
    {"max_iter": 9, "s": 2, "goal": "maximize"},
]


@given(
    st.lists(st.lists(REPORTS, max_size=12), min_size=1, max_size=8),
    st.sampled_from(RULES),
    st.randoms(use_true_random=False),
)
def test_the_table_decides_as_the_rule_whatever_the_order_of_reports(
    histories: list[list[float]], settings: dict[str, Any], order: random.Random
) -> None:
    reports = [(index, value) for index, history in enumerate(histories) for value in history]
    turns = [index for index, _ in reports]
    order.shuffle(turns)
    left = [iter(history) for history in histories]
    table = Hyperband(**settings)
    for index in turns:
        table.report(str(index), [next(left[index])])
    usable = [usable_values(history) for history in histories]
    expected = [decision_by_the_book(table, history, usable) for history in usable]
    assert [table.decide(str(index)) for index in range(len(histories))] == expected
    # A run that starts over: its values are taken back before they are told again.
    table.forget("0")
    assert [table.decide(str(index)) for index in range(1, len(histories))] == [
        decision_by_the_book(table, history, usable[1:]) for history in usable[1:]
    ]
    table.report("0", histories[0])
    assert table.decide("0") == decision_by_the_book(table, usable[0], usable)


def test_a_decision_among_many_runs_costs_hardly_more_than_one_among_few() -> None:
    def decide_among(runs: int) -> float:
        table = Hyperband(min_iter=1)
        numbers = random.Random(0)
        for run in range(runs):
            table.report(str(run), [numbers.random() for _ in range(10)])

        def decide() -> None:
            for run in range(500):
                table.report(str(run), [numbers.random()])
                table.decide(str(run))

        return processor_s(decide)

    # Twenty times as many runs: about as long, or twenty times where all are looked at.
    assert decide_among(10_000) < 8 * decide_among(500)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_iter": 27, "s": 2.0}, "`early_terminate.s` must be a whole number without a point"),
        ({"max_iter": 27, "s": 2.5}, "`early_terminate.s` must be a whole number without a point"),
        ({"min_iter": 3, "max_iter": 27}, "needs `s` as well"),
        ({"max_iter": 2, "s": 3}, "has no band"),
        ({"max_iter": 27, "s": 0}, "has no band"),
        ({"max_iter": -5, "s": 2}, "has no band"),
        ({"min_iter": 3, "eta": math.nan}, "`early_terminate.eta` must be finite"),
        ({"min_iter": 3, "eta": math.inf}, "`early_terminate.eta` must be finite"),
        ({"min_iter": 3, "eta": 1e10}, "too large or too many"),
        ({"max_iter": 10**9, "s": 10**7, "eta": 1.00001}, "too large or too many"),
        ({"max_iter": 10**400, "s": 2, "eta": 1.5}, "too large or too many"),
    ],
)
def test_a_rule_that_passes_the_schema_and_cannot_work_is_refused(settings: dict[str, Any], words: str) -> None:
    config = sweep_with({"type": "hyperband", **settings})
    assert violations(config) == []
    assert any(words in problem.sentence for problem in problems(config)), problems(config)


def test_bands_too_large_for_a_float_are_an_error_of_their_own() -> None:
    assert bands_of(3, None, None, 10**10)[-1] == 3 * 10**990
    with pytest.raises(OverflowError):
        bands_of(3, None, None, 1e10)
