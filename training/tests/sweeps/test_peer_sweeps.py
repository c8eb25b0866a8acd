"""Over ten thousand generated sweeps, compared with W&B's own engine where it can be had (see peer_engine.py)."""

import hashlib
import importlib.metadata
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from text_recognizer.tests.waiting import PATIENCE_S
from training.sweeps.file.config import Metric
from training.sweeps.file.forms import filled
from training.sweeps.file.parameter import Parameter
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.file.schema import problems
from training.sweeps.numbers import usable_values
from training.sweeps.search.base import PastTrial
from training.sweeps.stopping_rules.hyperband import Hyperband
from training.tests.sweeps.hyperband_by_the_book import decision_by_the_book, threshold_by_the_book, told
from training.tests.sweeps.peer_cases import learned
from training.tests.sweeps.sweep_generator import Generator
from training.tests.sweeps.sweep_support import violations

PEER = ["sweeps==0.2.0", "jsonref==1.1.0"]
INSTALL_TIMEOUT_S = 40
MOST_GRID_POINTS = 500

Case = tuple[Any, ...]  # what the engine was asked
Answered = list[tuple[Case, Any]]

NESTED = {"g": {"parameters": {"a": {"min": 2, "max": 1}}}}
RANGE = {"a": {"min": 0.0, "max": 1.0}}
WEIGHTED = {"a": {"values": ["x", "y"], "probabilities": [0.5, 0.5]}}
LISTED = {"a": {"values": ["x", "y"]}}
CONSTANT = {"a": {"value": 1}}
BAYES = {"method": "bayes", "metric": {"name": "m"}}
RUN = {"state": "finished", "point": {"a": "x"}, "history": [1], "summary": None}
ONE_RUN = ("minimize", ["running"], [[1]])
# What the documented differences say of the engine: questions that its schema lets pass, and the errors they end in.
FAILURES: list[tuple[Case, str]] = [
    (("grid", {"method": "grid", "parameters": NESTED}, [], 9), "ValueError"),
    (("grid", {"method": "grid", "parameters": RANGE}, [], 9), "ValueError"),
    (("grid", {"method": "grid", "parameters": WEIGHTED}, [], 9), "ValueError"),
    (("hyperband", {"type": "hyperband", "max_iter": 27, "s": 2.0}, *ONE_RUN), "TypeError"),
    (("hyperband", {"type": "hyperband", "max_iter": 27, "min_iter": 1}, *ONE_RUN), "KeyError"),
    (("hyperband", {"type": "hyperband", "max_iter": 2, "s": 1}, *ONE_RUN), "ValueError"),
    (("hyperband", {"type": "hyperband", "min_iter": 1, "eta": 1e10}, *ONE_RUN), "OverflowError"),
    (("bayes", {"method": "bayes", "parameters": LISTED}, []), "ValueError"),
    (("bayes", BAYES | {"parameters": CONSTANT}, []), "ValueError"),
    (("bayes", BAYES | {"parameters": WEIGHTED}, [RUN]), "ValueError"),
    (("bayes", BAYES | {"parameters": LISTED}, [RUN | {"point": {"a": "q"}}]), "ValueError"),
]


@pytest.fixture(scope="module")
def peer_folder() -> Path:
    """The engine, installed once into the user's cache without its dependencies, which are here already."""
    for module in ("jsonschema", "pip", "pydantic", "scipy", "sklearn"):
        pytest.importorskip(module)
    folder = Path(platformdirs.user_cache_dir("text_recognizer")) / "test-tools" / "sweeps-0.2.0"
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}-{os.getpid()}")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--timeout", "5", "--retries", "0"]
        command = [*install, "--target", str(beside), *PEER]
        try:
            subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True)
            beside.rename(folder)
        except (subprocess.SubprocessError, OSError) as error:
            if not folder.exists():
                pytest.skip(f"W&B's sweep engine cannot be installed here ({type(error).__name__} from pip)")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def answers(peer_folder: Path) -> dict[str, Answered]:
    """Everything that is asked, with the engine's answer; one process of the engine answers all."""
    cases = {name: list(generated) for name, generated in _cases().items()}
    questions = json.dumps([(name, case) for name, of_kind in cases.items() for case in of_kind])
    results = iter(json.loads(_answered(questions, peer_folder).read_text(encoding="utf-8")))
    return {name: [(case, next(results)) for case in of_kind] for name, of_kind in cases.items()}


def _answered(questions: str, peer_folder: Path) -> Path:
    """A file with the answers. It is kept: the engine is a release, so that the same questions get the same answers."""
    script = Path(__file__).with_name("peer_engine.py")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "scikit-learn")]
    asked = "\n".join([sys.version, *PEER, *versions, script.read_text(encoding="utf-8"), questions])
    kept = peer_folder.parent / f"answers-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=peer_folder.parent) as work:
            asking, answered = Path(work, "questions.json"), Path(work, "answers.json")
            asking.write_text(questions, encoding="utf-8")
            environ = os.environ | {"PYTHONPATH": str(peer_folder)}
            command = [sys.executable, str(script), str(asking), str(answered)]
            subprocess.run(command, check=True, env=environ, timeout=4 * PATIENCE_S)
            answered.rename(kept)
    return kept


def _cases() -> dict[str, Iterator[Case]]:
    return {
        "verdict": ((generator.config(),) for generator in [Generator(1)] for _ in range(10_000)),
        "filled": (
            (config,) for generator in [Generator(2)] for _ in range(800) for config in _leaves(generator.config())
        ),
        "quantiles": (
            (generator.parameter(), generator.shares(8)) for generator in [Generator(3)] for _ in range(2_500)
        ),
        "cumulative": _cumulative_cases(Generator(4)),
        "grid": (
            (*case, MOST_GRID_POINTS)
            for generator in [Generator(5)]
            for case in (generator.grid() for _ in range(1_000))
            if ParameterSpace(case[0]["parameters"]).grid.size < MOST_GRID_POINTS
        ),
        "hyperband": (
            case
            for generator in [Generator(6)]
            for case in (generator.histories() for _ in range(1_500))
            if not problems(_with_rule(case[0]))
        ),
        "failure": (case for case, _ in FAILURES),
        "bayes": (generator.learning() for generator in [Generator(7)] for _ in range(400)),
    }


def _leaves(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    group = config.get("parameters")
    for parameter in group.values() if isinstance(group, dict) else ():
        if isinstance(parameter, dict):
            yield from _leaves(parameter) if "parameters" in parameter else iter([parameter])


def _cumulative_cases(generator: Generator) -> Iterator[Case]:
    # The engine fails on probabilities; of constants it says nothing.
    kinds = ["categorical", "int_uniform", "uniform", "q_log_uniform", "inv_log_uniform", "inv_log_uniform_values"]
    kinds += ["log_uniform_values", "normal", "q_log_normal", "beta"]
    for _ in range(800):
        config = generator.parameter(generator.random.choice(kinds))
        if "values" in config:
            config["values"] = ["a", "b", 7, None, [1]][: generator.random.randint(1, 5)]
            yield config, config["values"]
        else:
            shares = generator.shares(4)
            yield config, [0.3, 1, 2.5, *map(Parameter.from_config(("p",), config).quantile, shares)]


def _with_rule(rule: dict[str, Any]) -> dict[str, Any]:
    return {"method": "random", "metric": {"name": "m"}, "parameters": {"a": {"values": [1]}}, "early_terminate": rule}


def test_ten_thousand_sweeps_get_the_same_verdict(answers: dict[str, Answered]) -> None:
    found = [(config, valid, violations(config)) for (config,), valid in answers["verdict"]]
    assert [case for case in found if case[1] != (not case[2])] == []
    valid_share = sum(valid for _, valid, _ in found) / len(found)
    assert 0.25 < valid_share < 0.75, "too few right or too few wrong sweeps to tell anything"


def test_parameters_are_inferred_and_filled_in_alike(answers: dict[str, Answered]) -> None:
    for (config,), expected in answers["filled"]:
        found = filled(config)
        if expected == "ValueError":  # bounds in the wrong order, which are judged elsewhere here
            assert found is not None
            assert not found["min"] < found["max"]
        else:
            assert _same(found, expected), config


def test_quantiles_are_equal_to_the_last_bit(answers: dict[str, Answered]) -> None:
    for (config, shares), expected in answers["quantiles"]:
        parameter = Parameter.from_config(("p",), config)
        if parameter.distribution in ("beta", "q_beta"):  # its far tail differs: see the documented differences
            in_range = [(share, value) for share, value in zip(shares, expected, strict=True) if share > 1e-6]
            shares, expected = [share for share, _ in in_range], [value for _, value in in_range]
        assert _same([parameter.quantile(share) for share in shares], expected), (config, shares)


def test_the_engine_fails_where_the_list_of_differences_says_so(answers: dict[str, Answered]) -> None:
    assert [answer for _, answer in answers["failure"]] == [error for _, error in FAILURES]


def test_cumulative_shares_are_equal(answers: dict[str, Answered]) -> None:
    for (config, values), expected in answers["cumulative"]:
        parameter = Parameter.from_config(("p",), config)
        assert [parameter.cdf(value) for value in values] == pytest.approx(expected, rel=1e-12, abs=1e-15), config


def test_grids_have_the_same_points_in_the_same_order_and_end_alike(answers: dict[str, Answered]) -> None:
    for (config, prior, _), expected in answers["grid"]:
        space = ParameterSpace(config["parameters"])
        done = {space.point_key(point) for point in prior}
        points = [point for point in space.grid if space.point_key(point) not in done]
        assert _same([_ordered(point) for point in points], expected), (config, prior)
    assert sum(len(prior) > 0 for (_, prior, _), _ in answers["grid"]) > 200


def test_hyperband_has_the_same_bands_thresholds_and_stops(answers: dict[str, Answered]) -> None:
    stopped = 0
    for (settings, goal, states, histories), expected in answers["hyperband"]:
        rule = told(Hyperband.from_config(settings, goal), histories)
        usable = [usable_values(history) for history in histories]
        decisions = [decision_by_the_book(rule, history, usable) for history in usable]
        assert [rule.decide(str(index)) for index in range(len(states))] == decisions
        assert list(rule.bands) == expected["bands"]
        sign = -1 if goal == "maximize" else 1
        assert [sign * threshold_by_the_book(rule, band, usable) for band in rule.bands] == expected["thresholds"]
        running = [index for index, state in enumerate(states) if state == "running"]
        assert [index for index in running if decisions[index].stop] == expected["stopped"], (settings, goal, histories)
        stopped += len(expected["stopped"])
    assert stopped > 300


def test_bayes_search_learns_the_same_from_the_runs_so_far(answers: dict[str, Answered]) -> None:
    for (config, runs), (encoded, in_flight, objective) in answers["bayes"]:
        space = ParameterSpace(config["parameters"])
        past = [PastTrial(0, run["point"], run["state"], usable_values(run["history"])) for run in runs]
        found = learned(space, Metric(**config["metric"]), past)
        assert found.left_out == 0
        assert _flat(found.encoded) == pytest.approx(_flat(encoded), rel=1e-12, abs=1e-15), config
        assert _flat(found.in_flight) == pytest.approx(_flat(in_flight), rel=1e-12, abs=1e-15)
        assert found.objective == objective, (config, runs)


def _flat(rows: list[list[float]]) -> list[float]:
    return list(itertools.chain(*rows))


def _ordered(point: Any) -> Any:
    return [[name, _ordered(value)] for name, value in point.items()] if isinstance(point, dict) else point


def _same(found: Any, expected: Any) -> bool:
    """Equal in value and in type: 1, 1.0 and true are three values; NaN is itself."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_same(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_same, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return type(found) is type(expected) and bool(found == expected)
