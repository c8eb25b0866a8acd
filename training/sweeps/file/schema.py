"""Whether a sweep configuration is right: W&B's verdict, and what W&B would only notice when it is too late.

The rules are those of W&B's sweep schema and of the checks its engine makes beside it. All problems are found at
once; each is told once, where W&B tells some twice.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from text_recognizer.wording import did_you_mean, received
from text_recognizer.yaml_source import YamlPath, text_number_hint
from training.sweeps.file.forms import is_anything
from training.sweeps.file.parameter_problems import group_problems
from training.sweeps.file.problems import Problem
from training.sweeps.file.refusals import refusals
from training.sweeps.numbers import is_finite, is_number, is_whole

METHODS = ("grid", "random", "bayes", "custom")
GOALS = ("minimize", "maximize")
STRATEGIES = ("latest", "best", "worst")

_Check = tuple[Callable[[Any], bool], str]


def violations(config: Any) -> list[str]:
    """W&B's verdict on a configuration: one sentence a violation, none where its schema accepts it."""
    return [problem.sentence for problem in problems(config) if not problem.beyond_schema]


def problems(config: Any) -> list[Problem]:
    """All that is wrong with a configuration, W&B's violations and what this project refuses beyond them."""
    if not isinstance(config, dict):
        return [Problem((), f"a sweep is a mapping with `method` and `parameters`. {received(config)}")]
    found = list(_schema_problems(config))
    parameters_are_right = not any(problem.path[:1] == ("parameters",) for problem in found)
    return [*found, *refusals(config, parameters_are_right=parameters_are_right)]


def _schema_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    yield from _section_problems(config, (), "a sweep", _TOP_LEVEL)
    if "method" not in config:
        yield Problem((), f"`method` is missing: one of {', '.join(METHODS)}.")
    scheduler = config.get("scheduler")
    if "parameters" in config:
        yield from group_problems(config["parameters"])
    elif not (isinstance(scheduler, dict) and scheduler.get("search_space")):
        yield Problem((), "`parameters` is missing: the values that the sweep is to try.")
    if "metric" in config:
        yield from _metric_problems(config["metric"], ("metric",))
    yield from _metrics_problems(config)
    if "early_terminate" in config:
        yield from _hyperband_problems(config["early_terminate"])
    if "controller" in config:
        yield from _controller_problems(config["controller"])
    if "scheduler" in config:
        yield from _scheduler_problems(config)


def _section_problems(
    section: Mapping[Any, Any], path: YamlPath, label: str, checks: Mapping[str, _Check]
) -> Iterator[Problem]:
    for key, value in section.items():
        if key not in checks:
            hint = did_you_mean(str(key), checks)
            yield Problem((*path, key), f"{label} has no key '{key}'.{hint} Known: {', '.join(checks)}.")
            continue
        accepts, words = checks[key]
        if not accepts(value):
            hint = text_number_hint(value) or (did_you_mean(value, _options(words)) if isinstance(value, str) else "")
            name = ".".join([*map(str, path), key])
            yield Problem((*path, key), f"`{name}` must be {words}. {received(value)}{hint}")


def _one_of(*options: str) -> _Check:
    return (lambda value: value in options, f"one of {', '.join(options)}" if len(options) > 1 else options[0])


def _options(words: str) -> list[str]:
    return words.removeprefix("one of ").split(", ") if words.startswith("one of ") else []


_TEXT: _Check = (lambda value: isinstance(value, str), "text")
_NUMBER: _Check = (is_number, "a number")
_LATER: _Check = (is_anything, "checked by its own function")

_TOP_LEVEL: dict[str, _Check] = {
    "method": _one_of(*METHODS),
    "parameters": _LATER,
    "metric": _LATER,
    "metrics": _LATER,
    "early_terminate": _LATER,
    "run_cap": (lambda value: is_whole(value) and value > 0, "a whole number above 0"),
    "program": _TEXT,
    "command": (lambda value: isinstance(value, list), "a list, one item a word"),
    "name": _TEXT,
    "description": _TEXT,
    "project": _TEXT,
    "entity": _TEXT,
    "controller": _LATER,
    "scheduler": _LATER,
    "job": _TEXT,
    "image_uri": _TEXT,
    "kind": _one_of("sweep"),
    "apiVersion": _TEXT,
}

_METRIC: dict[str, _Check] = {
    "name": _TEXT,
    "goal": _one_of(*GOALS),
    "target": _NUMBER,
    "impute": _one_of(*STRATEGIES),
    "impute_while_running": (
        lambda value: value in (*STRATEGIES, "false"),
        "one of latest, best, worst, or 'false' as text",
    ),
}


def _metric_problems(metric: Any, path: YamlPath) -> Iterator[Problem]:
    if not isinstance(metric, dict):
        yield Problem(
            path, f"`metric` must be a mapping such as {{name: val_loss, goal: minimize}}. {received(metric)}"
        )
        return
    yield from _section_problems(metric, path, "`metric`", _METRIC)
    if "name" not in metric:
        yield Problem(path, "`metric` needs `name`: what the runs report, for example val_loss.")
    if is_number(metric.get("target")) and not is_finite(metric["target"]):
        yield Problem(
            (*path, "target"), f"`metric.target` must be finite. {received(metric['target'])}", beyond_schema=True
        )


def _metrics_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    if "metrics" not in config:
        return
    metrics, method = config["metrics"], config.get("method")
    if not isinstance(metrics, list) or len(metrics) < 2:
        yield Problem(
            ("metrics",), f"`metrics` must be a list of at least two; one goes into `metric`. {received(metrics)}"
        )
    for index, metric in enumerate(metrics if isinstance(metrics, list) else []):
        yield from _metric_problems(metric, ("metrics", index))
    if "metric" in config:
        yield Problem(("metrics",), "a sweep has `metric` or `metrics`, not both.")
    elif method is not None and method != "custom":
        yield Problem(("metrics",), f"several `metrics` need `method: custom`. Received: {method!r}.")


_HYPERBAND: dict[str, _Check] = {
    "type": _one_of("hyperband"),
    "min_iter": (lambda value: is_whole(value) and value >= 1, "a whole number, 1 or more"),
    "max_iter": (is_whole, "a whole number"),
    "s": _NUMBER,
    "eta": (lambda value: is_number(value) and not value <= 1, "a number above 1"),
    "strict": (lambda value: isinstance(value, bool), "true or false"),
}


def _hyperband_problems(rule: Any) -> Iterator[Problem]:
    path = ("early_terminate",)
    if not isinstance(rule, dict):
        yield Problem(
            path, f"`early_terminate` must be a mapping such as {{type: hyperband, min_iter: 3}}. {received(rule)}"
        )
        return
    yield from _section_problems(rule, path, "`early_terminate`", _HYPERBAND)
    if "type" not in rule:
        yield Problem(path, "`early_terminate` needs `type: hyperband`.")
    if "min_iter" not in rule and not {"max_iter", "s"} <= rule.keys():
        yield Problem(path, "`early_terminate` needs `min_iter`, or both `max_iter` and `s`.")


def _controller_problems(controller: Any) -> Iterator[Problem]:
    accepts, words = _one_of("local", "cloud")
    if not isinstance(controller, dict):
        yield Problem(("controller",), f"`controller` must be a mapping with `type`. {received(controller)}")
    elif not accepts(controller.get("type")):
        yield Problem(("controller", "type"), f"`controller` needs `type`, {words}.")


_SCHEDULER: dict[str, _Check] = {
    "engine": _one_of("wandb"),
    "source": _TEXT,
    "optimizer": _TEXT,
    "search_space": _TEXT,
}


def _scheduler_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    scheduler = config["scheduler"]
    if not isinstance(scheduler, dict):
        yield Problem(("scheduler",), f"`scheduler` must be a mapping with `engine: wandb`. {received(scheduler)}")
        return
    yield from _section_problems(scheduler, ("scheduler",), "`scheduler`", _SCHEDULER)
    if "engine" not in scheduler:
        yield Problem(("scheduler",), "`scheduler` needs `engine: wandb`.")
    elif scheduler["engine"] == "wandb" and config.get("method") not in ("grid", "random", "bayes"):
        yield Problem(("scheduler", "engine"), "`engine: wandb` needs `method` grid, random or bayes.")
    for key in ("optimizer", "search_space"):
        if key in scheduler and "source" not in scheduler:
            yield Problem(("scheduler", key), f"`scheduler.{key}` needs `source`, the file that defines it.")
    if "early_terminate" in config:
        yield Problem(("early_terminate",), "`early_terminate` and `scheduler` exclude each other.")
    controller = config.get("controller")
    if isinstance(controller, dict) and controller.get("type") == "local":
        yield Problem(("controller",), "`controller: {type: local}` and `scheduler` exclude each other.")
