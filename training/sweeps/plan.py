"""SweepPlan: the fixed part of a sweep, checked before any computation."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from text_recognizer.datasets.base import Dataset
from text_recognizer.errors import Problem, SpecError
from text_recognizer.experiment import Experiment, assemble
from text_recognizer.models.metric import LOSS
from text_recognizer.models.metric import Metric as ReportedMetric
from text_recognizer.spec import ExperimentSpec, flatten, override_json, parse_value
from text_recognizer.wording import counted, did_you_mean, received
from training.runs.find import with_bundles_found
from training.sweeps.file.config import Metric, SweepConfig
from training.sweeps.file.parameter import Point

# All points of a grid are checked up to this number; beyond, the corners of the space and a thousand others.
MOST_CHECKED = 10_000
RANDOM_POINTS_CHECKED = 1000
# Keys of a YAML that may change between two starts of one sweep.
_NOT_IDENTITY = ("run_cap", "description")
# Key of a point: values by dotted key that a copy of another trial has besides those of the sweep's space.
COPIED, COPIED_KEYS = "copied", ("train_args.initial_weights", "train_args.epochs")


@dataclass(frozen=True)
class Condition:
    """A parameter that applies only if another, `on`, has one of these values from the YAML; else it is left out."""

    parameter: str
    on: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Parses "network_args.num_layers:network=mlp,lenet". Raises SpecError: another form."""
        parameter, colon, rest = text.partition(":")
        on, equals, values = rest.partition("=")
        if not (parameter and colon and on and equals and values):
            raise SpecError(
                f"--when takes PARAMETER:OTHER=VALUE,…, like network_args.num_layers:network=mlp. Received: {text!r}."
            )
        return cls(parameter.strip(), on.strip(), tuple(parse_value(value) for value in values.split(",")))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the other parameter is among the values of a point, by dotted name, and has one of these."""
        return self.on in values and values[self.on] in self.values


@dataclass(frozen=True)
class SweepPlan:
    """The fixed part of a sweep, without settings that may change between two starts (jobs, retries, cap).

    Args:
        config: configuration of a W&B YAML; None for a list of experiments.
        experiments: for a list, the JSON of each spec.
        base: JSON of the spec that points override; may be incomplete.
        settings: values by dotted key for all trials, replacing constants of the file.
        seed: seed of the search.
        seeds: runs per trial, with different seeds; their mean counts.
        sampler: sampler of a bayes search.
        search: a search that replaces the file's method, with its arguments; "" for that of the file.
        text: content of the file, stored in the sweep's folder.
        left_out: the problem of each experiment of the file that is not run.
    """

    name: str
    text: str = field(repr=False)
    source: str
    config: SweepConfig | None = None
    experiments: tuple[Mapping[str, Any], ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    seeds: int = 1
    sampler: str = ""
    search: str = ""
    enqueued: tuple[Point, ...] = ()
    conditions: tuple[Condition, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        return "list" if self.config is None else self.config.method

    @property
    def metric(self) -> Metric | None:
        return None if self.config is None else self.config.metric

    @property
    def size(self) -> int | None:
        """The total number of trials; None for an unlimited search."""
        if self.config is None:
            return len(self.experiments)
        return self.config.space.grid.size if self.config.method == "grid" else None

    @property
    def digest(self) -> str:
        """Hash of the sweep's identity, without settings like a cap or a description."""
        config = None
        if self.config is not None:
            config = {key: value for key, value in self.config.to_wandb().items() if key not in _NOT_IDENTITY}
        identity = {
            "config": config,
            "experiments": list(self.experiments),
            "base": self.base,
            "seed": self.seed,
            "seeds": self.seeds,
            "sampler": self.sampler if self.method == "bayes" else None,
            "enqueued": list(self.enqueued),
            "conditions": [repr(condition) for condition in self.conditions],
            **({"search": self.search} if self.search else {}),
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def specs(self, point: Point) -> list[ExperimentSpec]:
        """The specs of a point, one per seed. Raises SpecError: an impossible value, or no such experiment."""
        if self.config is None:
            index: Any = point.get("experiment")
            if index not in range(len(self.experiments)):  # the journal is damaged
                raise SpecError(
                    f"trials.jsonl has a trial that is none of {self.source}. {received(index)} Remove its line."
                )
            value: dict[str, Any] = dict(self.experiments[index])
        else:
            value = override_json(self.base, self.overrides(point))
        spec = with_bundles_found(ExperimentSpec.parse({**value, "experiment_group": self.name}), in_sweep=True)
        return [replace(spec, seed=(spec.seed + index) % 2**32) for index in range(self.seeds)]

    def overrides(self, point: Point) -> dict[str, Any]:
        """The values of a point by dotted key, without those whose condition fails, and with copied values."""
        assert self.config is not None
        values = {**self.config.space.values_of(point), **self.settings}
        return {**applying(values, self.conditions), **point.get(COPIED, {})}

    def swept(self, point: Point) -> dict[str, Any]:
        """The distinguishing values of this trial, for tables."""
        if self.config is None:
            flat, varying = self._flat_experiments
            return {key: value for key, value in flat[point["experiment"]].items() if key in varying}
        searched = {parameter.name for parameter in self.config.space.searchable}
        return {name: value for name, value in self.overrides(point).items() if name in searched}

    @cached_property
    def _flat_experiments(self) -> tuple[list[dict[str, Any]], set[str]]:
        """The flattened experiments of a list, and the keys in which they differ."""
        flat = [flatten(experiment) for experiment in self.experiments]
        keys = {key for experiment in flat for key in experiment}
        return flat, {key for key in keys if any(other.get(key) != flat[0].get(key) for other in flat)}

    def check(self, sizes: bool = False) -> list[Experiment]:
        """Assembles the specs of trials, or of corners. Raises SpecError: each problem once, with its YAML line.

        Args:
            sizes: also compare them with prepared data, as each run does.
        Returns:
            the checked experiments, one per point.
        """
        experiments: list[Experiment] = []
        prepared: dict[str, Dataset | None] = {}
        problems: dict[str, None] = {}
        for number, point in enumerate([*self.enqueued, *self._points_to_check()]):
            try:
                experiment = assemble(self.specs(point)[0])
                if sizes and (dataset := _prepared(experiment, prepared)) is not None:
                    replace(experiment, dataset=dataset).check_sizes()
                experiments.append(experiment)
            except SpecError as error:
                for problem in error.problems:
                    problems.setdefault(self._located(problem, point, number), None)
        problems |= dict.fromkeys(self._metric_problems(experiments))
        if problems:
            raise SpecError(list(problems), self.source)
        return experiments

    def _points_to_check(self) -> Iterator[Point]:
        if self.config is None:
            yield from ({"experiment": index} for index in range(len(self.experiments)))
            return
        space = self.config.space
        if self.config.method == "grid" and space.grid.size <= MOST_CHECKED:
            yield from space.grid
            return
        # One parameter at a time at its minimum, its maximum and, for a list, at each value.
        for parameter in space.searchable:
            listed = parameter.settings.get("values")
            for share in (0.0, 0.5, 1.0) if listed is None else map(parameter.share_of, listed):
                yield space.sample(lambda name, one=parameter.name, share=share: share if name == one else 0.5)  # type: ignore[misc]
        for trial in range(RANDOM_POINTS_CHECKED):
            yield space.random_point(self.seed, trial)

    def _located(self, problem: Problem, point: Point, number: int) -> str:
        if self.config is None:
            return f"experiment {number + 1}: {problem}"
        if culprits := _culprits(problem.key, self.config.space.values_of(point)):
            lines = [str(line) for line in sorted({self.config.line_of_parameter(name) for name in culprits})]
            return f"{'line' if len(lines) == 1 else 'lines'} {', '.join(lines)}: {problem}"
        if _culprits(problem.key, self.config.fixed_arguments.overrides):
            return f"line {self.config.line_of('command')}: {problem}"
        return problem

    def _metric_problems(self, experiments: Sequence[Experiment]) -> list[str]:
        if self.metric is None or not experiments or self.config is None:
            return []
        reported = _reported(experiments[0])
        name = self.metric.name
        if name in reported:
            return []
        hint = did_you_mean(name.rpartition("/")[2], reported)
        line = self.config.line_of("metric", "name")
        return [f"line {line}: metric '{name}' is not reported by a run.{hint} Reported: {', '.join(reported)}."]

    def warnings(self) -> list[str]:
        """Valid but probably unintended settings."""
        found = list(self.config.warnings) if self.config is not None else []
        if self.metric is not None and self.metric.name.startswith("test_"):
            found.append(
                f"the metric {self.metric.name} chooses by the test split: its best value will be too good to be true. "
                f"Choose by val_{self.metric.name.removeprefix('test_')}."
            )
        return found

    def doubt(self, experiments: Sequence[Experiment]) -> str | None:
        """A problem with the metric's goal, known from these experiments."""
        if self.metric is None:
            return None
        name, goal = self.metric.name, self.metric.goal
        meant = "maximize" if _reported(experiments[0])[name].larger_is_better else "minimize"
        words = (
            f"metric.goal is {goal} (minimize where none is given), which takes the worst runs by {name} for the best."
        )
        return None if goal == meant else f"{words} Write `goal: {meant}`."

    def in_words(self, run_cap: int | None = None) -> str:
        """The sweep in one line."""
        trials = ", unlimited trials" if self.size is None else f", {counted(self.size, 'trial')}"
        if run_cap is not None and (self.size is None or run_cap < self.size):
            trials = f", at most {counted(run_cap, 'trial')}"
        seeds = f", {self.seeds} seeds each" if self.seeds > 1 else ""
        chosen = f", {self.metric.goal} {self.metric.name}" if self.metric is not None else ""
        searched = f"{self.search} search" if self.search else f"{self.method} search{trials}"
        return f"{self.name}: {searched}{seeds}{chosen}"


def _reported(experiment: Experiment) -> dict[str, ReportedMetric]:
    """The metrics that a run reports, including those of the test split."""
    model = experiment.model
    return {**model.reported, **{f"test_{metric.name}": metric for metric in (LOSS, *model.metrics)}}


def applying(values: Mapping[str, Any], conditions: Sequence[Condition]) -> dict[str, Any]:
    """The values, by dotted name, whose conditions hold; a condition on an inapplicable value never holds."""
    left = dict(values)
    while True:
        out = {condition.parameter for condition in conditions if not condition.holds(left)}.intersection(left)
        if not out:
            return left
        left = {name: value for name, value in left.items() if name not in out}


def _prepared(experiment: Experiment, known: dict[str, Dataset | None]) -> Dataset | None:
    """The dataset of an experiment if it is prepared; each of the few different ones is opened once."""
    key = json.dumps([experiment.spec.dataset, experiment.spec.dataset_args], sort_keys=True)
    if key not in known:
        known[key] = experiment.dataset if experiment.dataset.is_prepared() else None
    return known[key]


def _culprits(key: str | None, names: Iterable[str]) -> list[str]:
    """The values that determine a key of the spec: the one that contains it, else all below it."""
    if key is None:
        return []
    names = list(names)
    holders = [name for name in names if f"{key}.".startswith(f"{name}.")]
    return [max(holders, key=len)] if holders else [name for name in names if name.startswith(f"{key}.")]
