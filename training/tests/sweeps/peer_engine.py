"""Runs beside W&B's open sweep engine, release 0.2.0, and answers questions about its behaviour: JSON in, JSON out.

The engine's later state differs from that release in a few known places. They are patched here, so that what is
compared is the later state: keys added to the schema, whole floats and ints as one value of a grid, and a hyperband
band that counts its own report (the release looks one report further and knows no `strict`).
"""

import json
import logging
import math
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from sweeps import SweepRun, bayes_search, grid_search  # type: ignore[import-not-found]  # noqa: E402
from sweeps.config import cfg, schema  # type: ignore[import-not-found]  # noqa: E402
from sweeps.hyperband_stopping import hyperband_stop_runs  # type: ignore[import-not-found]  # noqa: E402
from sweeps.params import HyperParameter  # type: ignore[import-not-found]  # noqa: E402

STRATEGIES = ["latest", "best", "worst"]
SCHEMA_ADDITIONS = {
    "run_cap": {"type": "integer", "exclusiveMinimum": 0},
    "job": {"type": "string"},
    "image_uri": {"type": "string"},
}


def patch() -> None:
    properties = schema.sweep_config_jsonschema["properties"]
    properties.update(SCHEMA_ADDITIONS)
    properties["metric"]["properties"]["impute_while_running"] = {"type": "string", "enum": [*STRATEGIES, "false"]}
    definitions = schema.sweep_config_jsonschema["definitions"]
    definitions["hyperband_stopping"]["properties"]["strict"] = {"type": "boolean"}
    as_released = grid_search.yaml_hash
    grid_search.yaml_hash = lambda value: as_released(whole_floats_as_ints(value))


def whole_floats_as_ints(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: whole_floats_as_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_floats_as_ints(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def verdict(config: Any) -> bool:
    """Whether the configuration is valid; what makes the engine raise is not."""
    try:
        return not cfg.schema_violations_from_proposed_config(config)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not accept the configuration
        return False


def filled(config: Any) -> Any:
    try:
        result = schema.fill_parameter("p", config)
    except Exception as error:  # noqa: BLE001 - an answer too
        return type(error).__name__
    return None if result is None else result[1]


def plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def quantiles(config: Any, shares: list[float]) -> Any:
    parameter = HyperParameter("p", config)
    return [plain(parameter.ppf(share)) for share in shares]


def cumulative(config: Any, values: list[Any]) -> Any:
    parameter = HyperParameter("p", config)
    if parameter.type == HyperParameter.CATEGORICAL:
        values = list(range(len(values)))
    return [float(parameter.cdf(value)) for value in values]


def grid(config: Any, prior: list[Any], most: int) -> Any:
    runs = [SweepRun(config={name: {"value": value} for name, value in point.items()}) for point in prior]
    suggested = grid_search.grid_search_next_runs(runs, config, n=most)
    # As a list of pairs at each level: the order of the keys is compared too.
    return [
        ordered({name: value["value"] for name, value in run.config.items()}) for run in suggested if run is not None
    ]


def ordered(point: Any) -> Any:
    return [[name, ordered(value)] for name, value in point.items()] if isinstance(point, dict) else point


def hyperband(early_terminate: Any, goal: str, states: list[str], histories: list[list[Any]]) -> Any:
    # One value before each history moves every report on by one, and being the first again it changes no minimum.
    usable = [[value for value in history if is_usable(value)] for history in histories]
    runs = [
        SweepRun(
            name=str(index), state=state, sampledHistory=[{"m": value} for value in [*usable[index][:1], *history]]
        )
        for index, (state, history) in enumerate(zip(states, histories, strict=True))
    ]
    rule = {key: value for key, value in early_terminate.items() if key != "strict"}
    config = {"method": "random", "metric": {"name": "m", "goal": goal}, "early_terminate": rule}
    stopped = {run.name for run in hyperband_stop_runs(runs, config | {"parameters": {"a": {"values": [1]}}})}
    information = next(run.early_terminate_info for run in runs if run.state == "running")
    bands, thresholds = information["bands"], [float(threshold) for threshold in information["thresholds"]]
    if early_terminate.get("strict", True):
        sign = -1 if goal == "maximize" else 1
        stopped = set()
        for index, history in enumerate(usable):
            reached = [place for place, band in enumerate(bands) if band <= len(history)]
            if states[index] == "running" and reached:
                band, threshold = bands[reached[-1]], thresholds[reached[-1]]
                if sign * history[band - 1] > threshold:
                    stopped.add(str(index))
    return {"bands": bands, "thresholds": thresholds, "stopped": sorted(map(int, stopped))}


def is_usable(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def bayes(config: Any, runs: list[Any]) -> Any:
    config = bayes_search.bayes_baseline_validate_and_fill(config)
    as_runs = [
        SweepRun(
            state=run["state"],
            config={name: {"value": value} for name, value in run["point"].items()},
            sampledHistory=[{"m": value} for value in run["history"]],
            summaryMetrics={},
        )
        for run in runs
    ]
    _, encoded, in_flight, objective, _ = bayes_search._construct_gp_data(as_runs, config)
    return [[list(map(float, row)) for row in rows] for rows in (encoded, in_flight)] + [list(map(float, objective))]


def failure(name: str, *arguments: Any) -> str | None:
    """The kind of error with which another question ends."""
    try:
        QUESTIONS[name](*arguments)
    except Exception as error:  # noqa: BLE001 - its kind is the answer
        return type(error).__name__
    return None


QUESTIONS = {
    function.__name__: function
    for function in (verdict, filled, quantiles, cumulative, grid, hyperband, bayes, failure)
}


def main() -> None:
    patch()
    with open(sys.argv[1], encoding="utf-8") as file:
        questions = json.load(file)
    answers = [QUESTIONS[name](*arguments) for name, arguments in questions]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
