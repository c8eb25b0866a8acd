"""Walks the documented differences: each is shown, and none is shown that is not listed."""

import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.yaml_source import YamlSource
from training.sweeps.file.command import fixed_arguments
from training.sweeps.file.config import Metric, SweepConfig
from training.sweeps.file.parameter import Parameter
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.limits import Limits
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import PastTrial, Search, make_search
from training.sweeps.stopping_rules.hyperband import Hyperband
from training.sweeps.wandb.serve import check_program
from training.tests.sweeps.peer_cases import learned
from training.tests.sweeps.sweep_support import violations

RANDOM = "method: random\nmetric: {name: m}\nparameters: {a: {values: [1]}}\n"


def refuses(text: str, words: str) -> Callable[[], None]:
    """That W&B's schema accepts a sweep and that it is refused here, for a reason that holds these words."""

    def show() -> None:
        with suppress(SpecError):  # some are not even YAML or JSON to this project
            assert violations(YamlSource(text, "sweep.yaml").data) == []
        with pytest.raises(SpecError) as caught:
            SweepConfig.from_yaml(text)
        assert words in str(caught.value)

    return show


def parameters(text: str) -> str:
    return f"method: random\nparameters: {{{text}}}\n"


def hyperband(text: str) -> str:
    return f"{RANDOM}early_terminate: {{type: hyperband, {text}}}\n"


def show_told_once() -> None:
    assert len(violations({"method": "grid", "parameters": {"a": {"min": 1, "max": 1}}})) == 1
    assert len(violations({"method": "grid", "parameters": {"a": {}}})) == 1


def show_groups_kept() -> None:
    config = SweepConfig.from_yaml("method: grid\nparameters: {g: {parameters: {a: {values: [1, 2]}}}}\n")
    assert list(config.space.grid) == [{"g": {"a": 1}}, {"g": {"a": 2}}]
    assert config.to_wandb()["parameters"] == {"g": {"parameters": {"a": {"values": [1, 2]}}}}


def show_plain_values() -> None:
    value = Parameter.from_config(("a",), {"distribution": "normal"}).quantile(0.3)
    assert type(value) is float
    json.dumps(value)


def show_seeded() -> None:
    space = ParameterSpace({"a": {"min": 0.0, "max": 1.0}})
    assert space.random_point(1, 5) == space.random_point(1, 5) != space.random_point(1, 6)


def show_ends_of_a_range() -> None:
    parameter = Parameter.from_config(("a",), {"distribution": "q_log_normal", "q": 4})
    assert parameter.quantile(1.0) == math.inf
    assert math.isfinite(parameter.value_at(1.0))


def show_beta_tail() -> None:
    # Near 0 the share of x is 1.5 times its square root, so that x is (u / 1.5) squared.
    found = Parameter.from_config(("a",), {"distribution": "beta", "a": 0.5, "b": 2}).quantile(1e-9)
    assert found == pytest.approx((1e-9 / 1.5) ** 2, rel=1e-6)


def show_above_the_sum() -> None:
    config = {"values": ["x", "y", "z"], "probabilities": [0.5, 0.499995, 0]}
    assert violations({"method": "random", "parameters": {"a": config}}) == []
    assert Parameter.from_config(("a",), config).quantile(0.999999) == "y"


def show_failed_points() -> None:
    search = search_of("method: grid\nparameters: {a: {values: [1, 2]}}\n")
    search.tell(PastTrial(1, {"a": 1}, "failed"))
    suggestion = search.ask(2)
    assert suggestion is not None
    assert suggestion.point == {"a": 2}
    assert Limits(retries=1).tries_again(["crash"], in_vain=1)


def show_group_overwritten() -> None:
    space = ParameterSpace({"g": {"parameters": {"a": {"values": [1]}}}})
    assert space.point_key({"g": 5}) is None


def show_falsy_values() -> None:
    parameter = Parameter.from_config(("a",), {"values": [True, False, 1, 0, ""]})
    assert [parameter.cdf(value) for value in (True, False, 1, 0, "")] == [0.2, 0.4, 0.6, 0.8, 1.0]


def show_probabilities_in_bayes() -> None:
    space = ParameterSpace({"a": {"values": ["x", "y"], "probabilities": [0.25, 0.75]}})
    assert learned(space, Metric("m"), [PastTrial(1, {"a": "x"}, "finished", [1])]).encoded == [[0.25]]


def show_foreign_values() -> None:
    space = ParameterSpace({"a": {"values": ["x", "y"]}})
    runs = [PastTrial(1, {"a": "q"}, "finished", [1]), PastTrial(2, {"a": "y"}, "finished", [2])]
    assert learned(space, Metric("m"), runs) == ([[1.0]], [2.0], [], 1)


def show_judged_at_once() -> None:
    table = Hyperband(min_iter=2)
    table.report("a", [1.0, 1.0])
    stops = []
    for value in (9.0, 9.0):
        table.report("b", [value])
        stops.append(table.decide("b").stop)
    assert stops == [False, True]


def show_bayes_model() -> None:
    text = "method: bayes\nmetric: {name: m}\nparameters: {a: {min: 0.0, max: 1.0}}\n"
    suggestions = []
    for _ in range(2):
        search = search_of(text)
        for number in range(1, 9):
            suggestion = search.ask(number)
            assert suggestion is not None
            search.tell(PastTrial(number, suggestion.point, "finished", [suggestion.point["a"]]))
        assert suggestion is not None
        suggestions.append(suggestion.point)
    assert suggestions[0] == suggestions[1]


def show_no_repeats() -> None:
    search = search_of("method: random\nmetric: {name: m}\nparameters: {a: {values: [1, 2]}, b: {values: [x, y]}}\n")
    points: list[dict[str, object]] = []
    while (suggestion := search.ask(len(points) + 1)) is not None:
        points.append(suggestion.point)
        search.tell(PastTrial(len(points), suggestion.point, "finished", [0.0]))
    assert sorted((point["a"], point["b"]) for point in points) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def search_of(text: str) -> Search:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.yaml"
        file.write_text(text)
        return make_search(read_plan(file, base={}))


def show_no_program() -> None:
    with pytest.raises(SpecError, match="program"):
        check_program(SweepConfig.from_yaml(RANDOM))
    check_program(SweepConfig.from_yaml(RANDOM + "command: [run_experiment, '${args}']\n"))


def show_no_agent() -> None:
    found = fixed_arguments("mine.py", ["torchrun", "${program}", "--train_args.epochs=1", "--fast", "${args}"])
    assert found.overrides == {"train_args.epochs": 1}
    assert "'mine.py'" in found.warnings[0]
    assert "'torchrun', '--fast'" in found.warnings[1]


SHOWN: dict[str, list[Callable[[], None]]] = {
    "key-twice": [refuses(RANDOM + "method: grid\n", "is there twice")],
    "not-json": [
        refuses(parameters("a: {value: 2024-01-31}"), "nothing that JSON knows"),
        refuses("method: random\nparameters: {a: {value: &b [*b]}}\n", "inside what it stands for"),
    ],
    "name-not-text": [
        refuses(parameters("1: {value: 1}"), "is not text to YAML"),
        refuses(parameters("on: {value: 1}"), "Put it in quotes"),
    ],
    "ambiguous-bounds": [refuses(parameters("a: {min: 1, max: 2.5}"), "is ambiguous")],
    "bounds-in-a-group": [
        refuses(parameters("g: {parameters: {a: {min: 2, max: 1}}}"), "min 2 is not less than max 1")
    ],
    "probabilities-in-a-group": [
        refuses(parameters("g: {parameters: {a: {values: [1, 2], probabilities: [0.5, 0.6]}}}"), "add up to 1.1"),
        refuses(parameters("g: {parameters: {a: {values: [1, 2], probabilities: [1]}}}"), "2 values and 1 prob"),
    ],
    "dotted-and-nested": [refuses(parameters("a.b: {value: 1}, a: {parameters: {b: {value: 2}}}"), "given twice")],
    "not-finite": [
        refuses(parameters("a: {min: 0.0, max: .inf}"), "max must be finite"),
        refuses(parameters("a: {distribution: normal, mu: .nan}"), "mu must be finite"),
        refuses(parameters("a: {min: -1.0e+308, max: 1.0e+308}"), "beyond what a float can hold"),
        refuses(parameters("g: {parameters: {a: {distribution: log_uniform, min: 1, max: 999}}}"), "beyond what a fl"),
        refuses("method: random\nmetric: {name: m, target: .nan}\nparameters: {a: {value: 1}}\n", "must be finite"),
        refuses(hyperband("min_iter: 1, eta: .inf"), "must be finite"),
    ],
    "no-spread": [
        refuses(parameters("a: {distribution: normal, sigma: 0}"), "sigma must be above 0"),
        refuses(parameters("a: {distribution: q_beta, b: 0.0}"), "b must be above 0"),
    ],
    "grid-of-a-range": [
        refuses("method: grid\nparameters: {a: {min: 0.0, max: 1.0}}\n", "`distribution: q_uniform` with `q`"),
        refuses("method: grid\nparameters: {a: {distribution: log_uniform_values, min: 1, max: 9}}\n", "list its"),
        refuses("method: grid\nparameters: {a: {values: [1], probabilities: [1]}}\n", "leave the probabilities out"),
    ],
    "custom": [
        refuses("method: custom\nparameters: {a: {value: 1}}\n", "needs a scheduler of your own"),
        refuses(
            RANDOM + "scheduler: {engine: wandb, source: s.py, optimizer: f}\n", "`scheduler.optimizer` names code"
        ),
        refuses(
            "method: random\nscheduler: {engine: wandb, source: s.py, search_space: f}\n", "search_space` names code"
        ),
    ],
    "no-metric": [
        refuses("method: bayes\nparameters: {a: {min: 1, max: 2}}\n", "`method: bayes` needs `metric`"),
        refuses(
            "method: grid\nparameters: {a: {value: 1}}\nearly_terminate: {type: hyperband, min_iter: 1}\n", "needs `m"
        ),
    ],
    "nothing-to-search": [
        refuses("method: bayes\nmetric: {name: m}\nparameters: {a: {value: 1}}\n", "at least one par")
    ],
    "hyperband-s": [refuses(hyperband("max_iter: 27, s: 2.0"), "without a point")],
    "hyperband-without-s": [refuses(hyperband("max_iter: 27, min_iter: 1"), "needs `s` as well")],
    "hyperband-without-bands": [
        refuses(hyperband("max_iter: 2, s: 1"), "has no band"),
        refuses(hyperband("min_iter: 1, eta: 1.0e+10"), "too large"),
    ],
    "told-once": [show_told_once],
    "groups-kept": [show_groups_kept],
    "plain-values": [show_plain_values],
    "seeded": [show_seeded],
    "ends-of-a-range": [show_ends_of_a_range],
    "beta-tail": [show_beta_tail],
    "above-the-sum": [show_above_the_sum],
    "failed-points": [show_failed_points],
    "group-overwritten": [show_group_overwritten],
    "falsy-values": [show_falsy_values],
    "probabilities-in-bayes": [show_probabilities_in_bayes],
    "foreign-values": [show_foreign_values],
    "judged-at-once": [show_judged_at_once],
    "no-program": [show_no_program],
    "no-agent": [show_no_agent],
    "bayes-model": [show_bayes_model],
    "no-repeats": [show_no_repeats],
}


def test_every_difference_that_is_listed_is_shown_and_none_is_shown_unlisted() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "differences-from-wandb.md"
    rows = [line.split(" | ") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {4}
    assert sorted(row[0].removeprefix("| ") for row in rows[1:]) == sorted(SHOWN)


@pytest.mark.parametrize("key", SHOWN)
def test_a_difference_is_as_listed(key: str) -> None:
    for show in SHOWN[key]:
        show()
