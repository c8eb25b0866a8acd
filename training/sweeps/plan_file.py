"""Reads a sweep's plan from its file: a W&B YAML, or a JSON list of experiments."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec, base_spec, override_json, parse_json, read_spec, without_dotted_keys
from text_recognizer.wording import received, shell_word
from training.runs.find import with_bundles_found
from training.sweeps.file.config import SweepConfig, sweep_text
from training.sweeps.file.parameter import Point
from training.sweeps.plan import Condition, SweepPlan, applying
from training.terminal.command_line import say


def read_plan(
    path: Path,
    *,
    name: str | None = None,
    base: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    seeds: int = 1,
    sampler: str = "tpe",
    enqueued: Sequence[Point] = (),
    conditions: Sequence[Condition] = (),
    search: str = "",
    skip_invalid: bool = False,
) -> SweepPlan:
    """A plan from a file: `.json` is a list of experiments, else W&B's YAML. Raises SpecError: it is wrong, with lines.

    Args:
        base: a spec's JSON that the YAML's parameters override.
        overrides: values by dotted key, for every trial; they replace constants of the file, not searched parameters.
        skip_invalid: leave out experiments of a list that cannot be trained.
    """
    text = sweep_text(path)
    if path.suffix == ".json":
        return _from_experiments(path, text, name, overrides or {}, seeds, skip_invalid)
    config = SweepConfig.from_yaml(text, str(path))
    known = sorted(parameter.name for parameter in config.space.parameters)
    for one in (one for condition in conditions for one in (condition.parameter, condition.on)):
        if one not in known:
            raise SpecError(
                f"--when names '{one}', which is not a parameter of the sweep. There are: {', '.join(known)}."
            )
    return SweepPlan(
        name=name or config.name or path.stem,
        config=config,
        base=override_json(_base(config, base), overrides or {}),
        settings=_settings(config, overrides or {}),
        seed=seed,
        seeds=seeds,
        sampler=sampler,
        enqueued=tuple(_enqueued(point, config, conditions) for point in enqueued),
        conditions=tuple(conditions),
        text=text,
        source=str(path),
        search=search,
    )


def say_left_out(plan: SweepPlan) -> None:
    for problem in plan.left_out:
        say(f"left out: {problem}")


def _from_experiments(
    path: Path, text: str, name: str | None, overrides: Mapping[str, Any], seeds: int, skip_invalid: bool
) -> SweepPlan:
    """The format of the FSDL tool: {"experiment_group": …, "experiments": [{…}, …]}."""
    value = parse_json(text, str(path))
    experiments = value.get("experiments")
    unknown = sorted(set(value) - {"experiment_group", "experiments"})
    if unknown or not isinstance(experiments, list) or not experiments:
        what = f"unknown key '{unknown[0]}'" if unknown else "'experiments' must be a list of specs"
        hint = f" This looks like one experiment: run_experiment {shell_word(path)}." if "dataset" in value else ""
        raise SpecError(f"{path}: {what}. A file of experiments has: experiment_group, experiments.{hint}")
    group = value.get("experiment_group")
    if not isinstance(group, str | None):
        raise SpecError(f"{path}: experiment_group must be text. {received(group)}")
    name = name or group or path.stem
    valid, left_out = [], []
    for number, one in enumerate(experiments, start=1):
        try:
            if not isinstance(one, dict):
                raise SpecError(f"an experiment must be an object. {received(one)}")
            spec = override_json(without_dotted_keys(one), overrides)  # dotted keys as in run_experiment
            if skip_invalid:
                named = ExperimentSpec.parse({**spec, "experiment_group": name})
                assemble(with_bundles_found(named, in_sweep=True))
            valid.append(spec)
        except SpecError as error:
            left_out += [f"experiment {number}: {problem}" for problem in error.problems]
        except DataError as error:  # its data is missing
            if not skip_invalid:
                raise
            left_out.append(f"experiment {number}: {error}")
    if left_out and not (skip_invalid and valid):
        raise SpecError(left_out, str(path))
    return SweepPlan(name, text, str(path), experiments=tuple(valid), seeds=seeds, left_out=tuple(left_out))


def _base(config: SweepConfig, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The base of the points: a spec, overridden by the fixed arguments of the sweep's `command`."""
    fixed = config.fixed_arguments
    if given is not None:
        start = without_dotted_keys(given)
    elif fixed.spec is not None:
        start = without_dotted_keys(read_spec(fixed.spec)[0])
    else:
        start = base_spec({*(parameter.name for parameter in config.space.parameters), *fixed.overrides})
    try:
        return override_json(start, fixed.overrides)
    except SpecError as error:
        line = config.line_of("command")
        raise SpecError([f"line {line}: {problem}" for problem in error.problems], config.source) from None


def _settings(config: SweepConfig, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that replace constants of the file. Raises SpecError: one is of a searched parameter."""
    found: dict[str, Any] = {}
    for key, value in overrides.items():
        for one in config.space.parameters:
            if not (f"{one.name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one.name}.")):
                continue
            if not one.is_constant:
                raise SpecError(f"--set {key} is for all trials, but the sweep searches '{one.name}'. Remove one.")
            found[key] = value
    return found


def _enqueued(point: Mapping[str, Any], config: SweepConfig, conditions: Sequence[Condition]) -> Point:
    """A known point by (dotted) names, with the constants of the sweep; checked to lie in the space.

    Values that a condition leaves out may be omitted; they are then the middle of the range, which no run uses.
    """
    names = {parameter.name for parameter in config.space.parameters}
    given = _by_name(point, names)
    constants = {one.name: one.settings["value"] for one in config.space.parameters if one.is_constant}
    applies = applying({**dict.fromkeys(names), **constants, **given}, conditions)
    problems = [
        f"the enqueued point has {one.name} = {given[one.name]!r}, which the sweep does not. "
        f"It has {one.values_in_words()}."
        for one in config.space.parameters
        if one.name in given and not one.takes(given[one.name])
    ]
    problems += [
        f"the enqueued point {dict(point)} lacks {one.name}."
        for one in config.space.searchable
        if one.name not in given and one.name in applies
    ]
    problems += [
        f"the enqueued point has '{name}', which is not a parameter of the sweep."
        for name in given
        if name not in names
    ]
    if problems:
        raise SpecError(problems)
    return config.space.point(lambda one: given[one.name] if one.name in given else one.value_at(0.5))


def _by_name(point: Mapping[str, Any], names: Collection[str], group: str = "") -> dict[str, Any]:
    """A point's values by dotted name; a mapping under the name of a parameter is its value."""
    found: dict[str, Any] = {}
    for key, value in point.items():
        name = f"{group}{key}"
        is_group = isinstance(value, Mapping) and value and name not in names
        found |= _by_name(value, names, f"{name}.") if is_group else {name: value}
    return found
