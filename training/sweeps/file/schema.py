"""Checks a sweep configuration: as W&B does, and for problems that W&B would notice too late.

The rules are those of W&B's sweep schema and of further checks in its engine. All problems are reported at once, each
only once, although W&B reports some twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean, received
from text_recognizer.yaml_source import YamlPath, text_number_hint
from training.files.json_objects import is_finite
from training.sweeps.file.forms import ANYTHING, FORMS, NUMBER, Key, filled, leaves
from training.sweeps.file.grid import GRID_DISTRIBUTIONS
from training.sweeps.file.parameter_problems import Problem, group_problems
from training.sweeps.numbers import is_int, is_number, is_whole
from training.sweeps.stopping_rules.hyperband import Hyperband


def _one_of(*options: str) -> Key:
    words = f"one of {', '.join(options)}" if len(options) > 1 else options[0]
    return Key(lambda value: value in options, words, options)


_TEXT = Key(lambda value: isinstance(value, str), "text")
_TOP_LEVEL = {
    "method": _one_of("grid", "random", "bayes", "custom"),
    "parameters": ANYTHING,  # like the next three, checked by its own function
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
_Refusal = tuple[YamlPath, str]


def problems(config: Any) -> list[Problem]:
    """All problems of a configuration: W&B's violations, and what this project refuses beyond them."""
    if not isinstance(config, dict):
        return [Problem((), f"a sweep is a mapping with `method` and `parameters`. {received(config)}")]
    found = list(_schema_problems(config))
    wrong_sections = {problem.path[:1] for problem in found}
    refused = [*_section_refusals(config), *_parameter_refusals(config, ("parameters",) not in wrong_sections)]
    if "early_terminate" in config and ("early_terminate",) not in wrong_sections:
        refused += _hyperband_refusals(config["early_terminate"])
    return [*found, *(Problem(path, sentence, beyond_schema=True) for path, sentence in refused)]


def _schema_problems(config: Mapping[Any, Any]) -> Iterator[Problem]:
    yield from _key_problems(config, (), "a sweep", _TOP_LEVEL)
    if "method" not in config:
        yield Problem((), f"`method` is missing: {_TOP_LEVEL['method'].words}.")
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
        example = "such as {type: hyperband, min_iter: 3}"
        yield from _section_problems(rule, path, _HYPERBAND, example, "type", "`type: hyperband`")
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
    section: Any, path: YamlPath, keys: Mapping[str, Key], example: str, needed: str, remedy: str
) -> Iterator[Problem]:
    """The problems of a section's keys, one of which is required."""
    name = path[0] if path[0] != "metrics" else "metric"
    if not isinstance(section, dict):
        yield Problem(path, f"`{name}` must be a mapping {example}. {received(section)}")
        return
    yield from _key_problems(section, path, f"`{name}`", keys)
    if needed not in section:
        yield Problem(path, f"`{name}` needs {remedy}.")


def _metric_problems(metric: Any, path: YamlPath) -> Iterator[Problem]:
    example, remedy = "such as {name: val_loss, goal: minimize}", "`name`: what the runs report, for example val_loss"
    yield from _section_problems(metric, path, _METRIC, example, "name", remedy)


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
    engine = "`engine: wandb`"
    yield from _section_problems(scheduler, ("scheduler",), _SCHEDULER, f"with {engine}", "engine", engine)
    if not isinstance(scheduler, dict):
        return
    if scheduler.get("engine") == "wandb" and config.get("method") not in ("grid", "random", "bayes"):
        yield Problem(("scheduler", "engine"), f"{engine} needs `method` grid, random or bayes.")
    for key in ("optimizer", "search_space"):
        if key in scheduler and "source" not in scheduler:
            yield Problem(("scheduler", key), f"`scheduler.{key}` needs `source`, the file that defines it.")
    if "early_terminate" in config:
        yield Problem(("early_terminate",), "`early_terminate` and `scheduler` cannot be combined.")
    if isinstance(controller, dict) and controller.get("type") == "local":
        yield Problem(("controller",), "`controller: {type: local}` and `scheduler` cannot be combined.")


# Accepted by W&B's schema, but refused here; docs/explanation/differences-from-wandb.md lists the reasons.


def _section_refusals(config: Mapping[Any, Any]) -> Iterator[_Refusal]:
    method, metric, scheduler = config.get("method"), config.get("metric"), config.get("scheduler")
    if method == "custom":
        yield ("method",), "`method: custom` needs a scheduler of your own. Here: grid, random or bayes."
    for key in ("optimizer", "search_space", "source"):
        if isinstance(scheduler, dict) and key in scheduler:
            yield ("scheduler", key), f"`scheduler.{key}` names code that only W&B's own scheduler runs."
    target = metric.get("target") if isinstance(metric, dict) else None
    if is_number(target) and not is_finite(target):
        yield ("metric", "target"), f"`metric.target` must be finite. {received(target)}"
    if metric is None and method == "bayes":
        yield ("method",), "`method: bayes` needs `metric`, for example {name: val_loss, goal: minimize}."
    if metric is None and "early_terminate" in config:
        yield ("early_terminate",), "`early_terminate` needs `metric`: what the runs are compared by."


def _hyperband_refusals(rule: Mapping[str, Any]) -> Iterator[_Refusal]:
    eta, s, section = rule.get("eta", 3), rule.get("s"), "early_terminate"
    if not is_finite(eta):
        yield (section, "eta"), f"`early_terminate.eta` must be finite. {received(eta)}"
    elif "max_iter" in rule and s is None:
        needs = "with `max_iter`, `early_terminate` needs `s` as well: W&B reads `max_iter` first and then fails."
        yield (section, "max_iter"), needs
    elif "max_iter" in rule and not is_int(s):
        sentence = f"`early_terminate.s` must be a whole number without a point, or W&B fails. {received(s)}"
        yield (section, "s"), sentence
    else:
        try:
            Hyperband.from_config(rule)
        except SpecError as error:
            yield (section, "max_iter" if "max_iter" in rule else "eta"), str(error)


def _parameter_refusals(config: Mapping[Any, Any], parameters_are_right: bool) -> Iterator[_Refusal]:
    parameters = [
        (path, ".".join(names), complete["distribution"])
        for path, names, one in leaves(config.get("parameters"))
        if (complete := filled(one)) is not None
    ]
    method = config.get("method")
    seen = set[str]()
    for path, dotted, distribution in parameters:
        if dotted in seen:
            yield path, f"'{dotted}' is given twice, dotted and nested, and both mean the same place."
        seen.add(dotted)
        if method == "grid" and distribution not in GRID_DISTRIBUTIONS:
            has_values = "values" in FORMS[distribution].required
            remedy = "leave the probabilities out" if has_values else "list its `values`"
            if distribution == "uniform":
                remedy += ", or give it steps: `distribution: q_uniform` with `q`"
            cannot = f"cannot be on a grid, which takes {', '.join(GRID_DISTRIBUTIONS)}"
            yield path, f"parameter '{dotted}' ({distribution}) {cannot}: {remedy}."
    if method == "bayes" and parameters_are_right and {one for _, _, one in parameters} <= {"constant"}:
        yield ("parameters",), "`method: bayes` needs at least one parameter that is not constant."
