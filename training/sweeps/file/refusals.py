"""What W&B's schema accepts in a sweep although nothing can run it: refused before anything starts."""

from collections.abc import Iterator, Mapping
from typing import Any

from text_recognizer.wording import received
from text_recognizer.yaml_source import YamlPath
from training.sweeps.file.forms import FORMS, filled
from training.sweeps.file.grid import GRID_DISTRIBUTIONS
from training.sweeps.file.parameter_problems import Problem
from training.sweeps.numbers import is_finite, is_int, is_number, is_whole
from training.sweeps.stopping_rules.hyperband import bands_of

_Refusal = tuple[YamlPath, str]


def refusals(config: Mapping[Any, Any], *, parameters_are_right: bool) -> Iterator[Problem]:
    """Problems beyond W&B's schema that concern the sweep as a whole.

    docs/explanation/differences-from-wandb.md lists them.
    """
    found = [*_section_refusals(config), *_hyperband_refusals(config.get("early_terminate"))]
    yield from (Problem(path, sentence, beyond_schema=True) for path, sentence in found)
    yield from _parameter_refusals(config, parameters_are_right=parameters_are_right)


def _section_refusals(config: Mapping[Any, Any]) -> Iterator[_Refusal]:
    method, scheduler = config.get("method"), config.get("scheduler")
    if method == "custom":
        yield ("method",), "`method: custom` needs a scheduler of your own. Here: grid, random or bayes."
    for key in ("optimizer", "search_space", "source"):
        if isinstance(scheduler, dict) and key in scheduler:
            yield ("scheduler", key), f"`scheduler.{key}` names code that only W&B's own scheduler runs."
    if "metric" in config:
        return
    if method == "bayes":
        yield ("method",), "`method: bayes` needs `metric`, for example {name: val_loss, goal: minimize}."
    if "early_terminate" in config:
        yield ("early_terminate",), "`early_terminate` needs `metric`: what the runs are compared by."


def _hyperband_refusals(rule: Any) -> Iterator[_Refusal]:
    if not isinstance(rule, dict):
        return
    section = "early_terminate"
    eta, max_iter, s = rule.get("eta", 3), rule.get("max_iter"), rule.get("s")
    is_right_eta = is_number(eta) and eta > 1
    if is_number(eta) and not is_finite(eta):
        yield (section, "eta"), f"`early_terminate.eta` must be finite. {received(eta)}"
    elif max_iter is None:
        if is_whole(rule.get("min_iter")) and is_right_eta:
            yield from _band_refusals(rule["min_iter"], None, None, eta)
    elif s is None:
        if "min_iter" in rule:
            needs = "with `max_iter`, `early_terminate` needs `s` as well: W&B reads `max_iter` first and then fails."
            yield (section, "max_iter"), needs
    elif is_number(s) and not is_int(s):
        sentence = f"`early_terminate.s` must be a whole number without a point, or W&B fails. {received(s)}"
        yield (section, "s"), sentence
    elif is_int(s) and is_whole(max_iter) and is_right_eta:
        yield from _band_refusals(None, max_iter, s, eta)


def _band_refusals(min_iter: float | None, max_iter: float | None, s: int | None, eta: float) -> Iterator[_Refusal]:
    key = "eta" if min_iter is not None else "max_iter"
    try:
        bands = bands_of(min_iter, max_iter, s, eta)
    except OverflowError:
        sentence = f"`early_terminate` with eta {eta} has bands too large or too many to be computed."
        yield ("early_terminate", key), sentence
        return
    if not bands:
        sentence = (
            f"`early_terminate` has no band: max_iter {max_iter}, divided by eta {eta} up to s = {s} times, "
            "gives nothing of 1 or more. Increase max_iter, or s if it is below 1."
        )
        yield ("early_terminate", "max_iter"), sentence


def _parameter_refusals(config: Mapping[Any, Any], *, parameters_are_right: bool) -> Iterator[Problem]:
    leaves = list(_leaves(config.get("parameters"), ("parameters",), ()))
    method = config.get("method")
    first_of: dict[str, YamlPath] = {}
    for path, dotted, parameter in leaves:
        if dotted in first_of:
            yield Problem(
                path, f"'{dotted}' is given twice, dotted and nested, and both mean the same place.", beyond_schema=True
            )
        first_of[dotted] = path
        distribution = parameter["distribution"]
        if method == "grid" and distribution not in GRID_DISTRIBUTIONS:
            has_values = "values" in FORMS[distribution].required
            remedy = "leave the probabilities out" if has_values else "list its `values`"
            if distribution == "uniform":
                remedy += ", or give it steps: `distribution: q_uniform` with `q`"
            cannot = f"cannot be on a grid, which takes {', '.join(GRID_DISTRIBUTIONS)}"
            yield Problem(path, f"parameter '{dotted}' ({distribution}) {cannot}: {remedy}.", beyond_schema=True)
    constant = all(parameter["distribution"] == "constant" for _, _, parameter in leaves)
    if method == "bayes" and parameters_are_right and constant:
        sentence = "`method: bayes` needs at least one parameter that is not constant."
        yield Problem(("parameters",), sentence, beyond_schema=True)


def _leaves(group: Any, path: YamlPath, names: tuple[str, ...]) -> Iterator[tuple[YamlPath, str, dict[str, Any]]]:
    """Every parameter that matches a form, with its path in the YAML and its dotted name."""
    if not isinstance(group, dict):
        return
    for key, config in group.items():
        if not isinstance(config, dict):
            continue
        place, full_name = (*path, key), (*names, str(key))
        if "parameters" in config:
            yield from _leaves(config["parameters"], (*place, "parameters"), full_name)
            continue
        complete = filled(config)
        if complete is not None:
            yield place, ".".join(full_name), complete
