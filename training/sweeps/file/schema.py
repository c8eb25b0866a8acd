"""Whether a sweep configuration is right: W&B's verdict, and what W&B would only notice when it is too late.

The rules are those of W&B's sweep schema and of the checks its engine makes beside it. All problems are found at
once; each is told once, where W&B tells some twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from text_recognizer.wording import did_you_mean, received
from text_recognizer.yaml_source import YamlPath, text_number_hint
from training.sweeps.file.forms import ANYTHING, NUMBER, Key
from training.sweeps.file.parameter_problems import Problem, group_problems
from training.sweeps.file.refusals import refusals
from training.sweeps.numbers import is_finite, is_number, is_whole


def _one_of(*options: str) -> Key:
    words = f"one of {', '.join(options)}" if len(options) > 1 else options[0]
    return Key(lambda value: value in options, words, options)


METHODS = ("grid", "random", "bayes", "custom")
_TEXT = Key(lambda value: isinstance(value, str), "text")
_TOP_LEVEL = {
    "method": _one_of(*METHODS),
    "parameters": ANYTHING,  # as the next three, it is checked by a function for it alone
    "metric": ANYTHING,
    "metrics": ANYTHING,
    "early_terminate": ANYTHING,
    "run_cap": Key(lambda value: is_whole(value) and value > 0, "a whole number above 0"),
    "program": _TEXT,
    "command": Key(lambda value: isinstance(value, list), "a list, one item an argument"),
    "name": _TEXT,
    "description": _TEXT,
    "project": _TEXT,
    "entity": _TEXT,
    "controller": ANYTHING,
    "scheduler": ANYTHING,
    "job": _TEXT,
    "image_uri": _TEXT,
    "kind": _one_of("sweep"),
    "apiVersion": _TEXT,
}
_STRATEGIES = ("latest", "best", "worst")
_METRIC = {
    "name": _TEXT,
    "goal": _one_of("minimize", "maximize"),
    "target": NUMBER,
    "impute": _one_of(*_STRATEGIES),
    "impute_while_running": Key(
        lambda value: value in (*_STRATEGIES, "false"), "one of latest, best, worst, or 'false' as text", _STRATEGIES
    ),
}
_HYPERBAND = {
    "type": _one_of("hyperband"),
    "min_iter": Key(lambda value: is_whole(value) and value >= 1, "a whole number, 1 or more"),
    "max_iter": Key(is_whole, "a whole number"),
    "s": NUMBER,
    "eta": Key(lambda value: is_number(value) and not value <= 1, "a number above 1"),
    "strict": Key(lambda value: isinstance(value, bool), "true or false"),
}
_SCHEDULER = {"engine": _one_of("wandb"), "source": _TEXT, "optimizer": _TEXT, "search_space": _TEXT}
_CONTROLLER_TYPE = _one_of("local", "cloud")


def problems(config: Any) -> list[Problem]:
    """All that is wrong with a configuration, W&B's violations and what this project refuses beyond them."""
    if not isinstance(config, dict):
        return [Problem((), f"a sweep is a mapping with `method` and `parameters`. {received(config)}")]
    found = list(_schema_problems(config))
    parameters_are_right = not any(problem.path[:1] == ("parameters",) for problem in found)
    return [*found, *refusals(config, parameters_are_right=parameters_are_right)]


def _schema_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    yield from _key_problems(config, (), "a sweep", _TOP_LEVEL)
    if "method" not in config:
        yield Problem((), f"`method` is missing: one of {', '.join(METHODS)}.")
    scheduler = config.get("scheduler")
    if "parameters" in config:
        yield from group_problems(config["parameters"])
    elif not (isinstance(scheduler, dict) and scheduler.get("search_space")):
        yield Problem((), "`parameters` is missing: the values that the sweep is to try.")
    if "metric" in config:
        yield from _metric_problems(config["metric"], ("metric",))
    if "metrics" in config:
        yield from _metrics_problems(config)
    if "early_terminate" in config:
        rule, path = config["early_terminate"], ("early_terminate",)
        needed = {"type": "`type: hyperband`"}
        yield from _section_problems(rule, path, _HYPERBAND, "such as {type: hyperband, min_iter: 3}", needed)
        if isinstance(rule, dict) and "min_iter" not in rule and not {"max_iter", "s"} <= rule.keys():
            yield Problem(path, "`early_terminate` needs `min_iter`, or both `max_iter` and `s`.")
    controller = config.get("controller", {"type": "local"})
    if not isinstance(controller, dict):
        yield Problem(("controller",), f"`controller` must be a mapping with `type`. {received(controller)}")
    elif not _CONTROLLER_TYPE.accepts(controller.get("type")):
        yield Problem(("controller", "type"), f"`controller` needs `type`, {_CONTROLLER_TYPE.words}.")
    if "scheduler" in config:
        yield from _scheduler_problems(config)


def _key_problems(section: Mapping[Any, Any], path: YamlPath, label: str, keys: Mapping[str, Key]) -> Iterator[Problem]:
    for key, value in section.items():
        if key not in keys:
            hint = did_you_mean(str(key), keys)
            yield Problem((*path, key), f"{label} has no key '{key}'.{hint} Known: {', '.join(keys)}.")
        elif not (accepted := keys[key]).accepts(value):
            hint = text_number_hint(value) or (did_you_mean(value, accepted.options) if isinstance(value, str) else "")
            name = ".".join([*map(str, path), key])
            yield Problem((*path, key), f"`{name}` must be {accepted.words}. {received(value)}{hint}")


def _section_problems(
    section: Any, path: YamlPath, keys: Mapping[str, Key], example: str, needed: Mapping[str, str]
) -> Iterator[Problem]:
    """The problems of a section by its keys alone; `needed` has what to write for each key that must be there."""
    name = path[0] if path[0] != "metrics" else "metric"
    if not isinstance(section, dict):
        yield Problem(path, f"`{name}` must be a mapping {example}. {received(section)}")
        return
    yield from _key_problems(section, path, f"`{name}`", keys)
    for key, remedy in needed.items():
        if key not in section:
            yield Problem(path, f"`{name}` needs {remedy}.")


def _metric_problems(metric: Any, path: YamlPath) -> Iterator[Problem]:
    needed = {"name": "`name`: what the runs report, for example val_loss"}
    yield from _section_problems(metric, path, _METRIC, "such as {name: val_loss, goal: minimize}", needed)
    target = metric.get("target") if isinstance(metric, dict) else None
    if is_number(target) and not is_finite(target):
        yield Problem((*path, "target"), f"`metric.target` must be finite. {received(target)}", beyond_schema=True)


def _metrics_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    path = ("metrics",)
    metrics, method = config["metrics"], config.get("method")
    if not isinstance(metrics, list) or len(metrics) < 2:
        yield Problem(path, f"`metrics` must be a list of at least two; one goes into `metric`. {received(metrics)}")
    for index, metric in enumerate(metrics if isinstance(metrics, list) else []):
        yield from _metric_problems(metric, ("metrics", index))
    if "metric" in config:
        yield Problem(path, "a sweep has `metric` or `metrics`, not both.")
    elif method is not None and method != "custom":
        yield Problem(path, f"several `metrics` need `method: custom`. Received: {method!r}.")


def _scheduler_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    scheduler, controller = config["scheduler"], config.get("controller")
    needed = {"engine": "`engine: wandb`"}
    yield from _section_problems(scheduler, ("scheduler",), _SCHEDULER, "with `engine: wandb`", needed)
    if not isinstance(scheduler, dict):
        return
    if scheduler.get("engine") == "wandb" and config.get("method") not in ("grid", "random", "bayes"):
        yield Problem(("scheduler", "engine"), "`engine: wandb` needs `method` grid, random or bayes.")
    for key in ("optimizer", "search_space"):
        if key in scheduler and "source" not in scheduler:
            yield Problem(("scheduler", key), f"`scheduler.{key}` needs `source`, the file that defines it.")
    if "early_terminate" in config:
        yield Problem(("early_terminate",), "`early_terminate` and `scheduler` exclude each other.")
    if isinstance(controller, dict) and controller.get("type") == "local":
        yield Problem(("controller",), "`controller: {type: local}` and `scheduler` exclude each other.")
