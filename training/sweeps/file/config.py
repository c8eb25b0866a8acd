"""SweepConfig: a sweep as described by W&B's YAML, checked before anything runs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from text_recognizer.errors import SpecError, reason
from text_recognizer.yaml_source import YamlSource
from training.sweeps.file.command import FixedArguments, fixed_arguments, macro_warnings
from training.sweeps.file.forms import FORMS, inferred_distribution, leaves
from training.sweeps.file.parameters import ParameterSpace
from training.sweeps.file.schema import problems
from training.sweeps.stopping_rules.base import Goal

Method = Literal["grid", "random", "bayes"]
Strategy = Literal["latest", "best", "worst"]

_FOR_WANDB_ONLY = {"controller", "image_uri", "job", "scheduler"}


@dataclass(frozen=True)
class Metric:
    """The metric by which runs are compared.

    Args:
        name: its key in reports.
        target: no new run is started once a run has reached it.
        impute: which value a failed run gets in a bayes search.
        impute_while_running: the same for unfinished runs; "false" leaves them out.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None
    impute: Strategy = "worst"
    impute_while_running: Strategy | Literal["false"] = "false"

    @property
    def sign(self) -> int:
        """The factor that makes lower values better."""
        return -1 if self.goal == "maximize" else 1

    def best(self, values: Iterable[float]) -> float | None:
        return min(values, key=lambda value: self.sign * value, default=None)

    def reached(self, value: float) -> bool:
        """Whether a value reaches the target; never without a target."""
        return self.target is not None and self.sign * value <= self.sign * self.target


@dataclass(frozen=True)
class SweepConfig:
    """A sweep.

    Args:
        space: the section `parameters`.
        run_cap: maximum number of runs; None for no limit.
        command: how W&B's agent starts a run, with macros; None for its default.
        warnings: valid but probably unintended settings, one sentence each.
    """

    method: Method
    space: ParameterSpace
    metric: Metric | None
    early_terminate: Mapping[str, Any] | None
    run_cap: int | None
    program: str | None
    command: tuple[Any, ...] | None
    name: str | None
    warnings: tuple[str, ...]
    source: str
    document: YamlSource = field(repr=False, compare=False)

    @classmethod
    def from_file(cls, path: Path) -> "SweepConfig":
        """Reads a YAML file. Raises SpecError: the file cannot be read, or as for `from_yaml`."""
        return cls.from_yaml(sweep_text(path), str(path))

    @classmethod
    def from_yaml(cls, text: str, source: str = "sweep.yaml") -> "SweepConfig":
        """Parses a YAML text.

        Args:
            source: the file's name, for messages.
        Raises:
            SpecError: all problems at once, each with its line. A sweep is refused if W&B's schema, its client or its
                engine refuses it or fails, and for the few further reasons listed in
                docs/explanation/differences-from-wandb.md.
        """
        document = YamlSource(text, source)
        if document.data is None:
            raise SpecError("the sweep is empty: it needs at least `method` and `parameters`.", source)
        by_line = sorted(
            (document.line_of(found.path), index, found.sentence) for index, found in enumerate(problems(document.data))
        )
        if by_line:
            raise SpecError([f"line {line}: {sentence}" for line, _, sentence in by_line], source)
        config = json.loads(json.dumps(document.data))  # as sent to W&B: keys in mappings become text
        return cls(
            method=config["method"],
            space=ParameterSpace(config["parameters"]),
            metric=Metric(**config["metric"]) if "metric" in config else None,
            run_cap=int(config["run_cap"]) if "run_cap" in config else None,
            command=tuple(config["command"]) if config.get("command") else None,
            **{key: config.get(key) for key in ("early_terminate", "program", "name")},
            warnings=tuple(_warnings(config, document)),
            source=source,
            document=document,
        )

    @property
    def fixed_arguments(self) -> FixedArguments:
        """The arguments that `command` gives to all runs."""
        return fixed_arguments(self.program, self.command)

    def line_of(self, *path: Any) -> int:
        """The line of a key in the YAML, given as its path; that of its parent if it is absent."""
        return self.document.line_of(path)

    def line_of_parameter(self, name: str) -> int:
        """The line of a parameter in the YAML, by its dotted name."""
        path = next((parameter.path for parameter in self.space.parameters if parameter.name == name), ())
        return self.document.line_of(tuple(part for key in path for part in ("parameters", key)) or ("parameters",))

    def to_wandb(self) -> dict[str, Any]:
        """The configuration as registered by W&B's client: the YAML, with inferred distributions of bounds."""
        config: dict[str, Any] = json.loads(json.dumps(self.document.data))
        for parameter in config["parameters"].values():
            if parameter.keys() == {"min", "max"}:
                parameter["distribution"] = inferred_distribution(parameter)
        return config


def sweep_text(path: Path) -> str:
    """The text of a sweep's file. Raises SpecError: it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the sweep {path} cannot be read: {reason(error, path)}.") from None


def _warnings(config: Mapping[str, Any], document: YamlSource) -> Iterator[str]:
    yield from document.traps(("parameters",))

    def at(*path: Any) -> str:
        return f"line {document.line_of(path)}: "

    for path, names, parameter in leaves(config["parameters"]):
        if len(names) == 1:
            continue
        name = f"{at(*path)}'{path[-1]}'"
        distribution = parameter.get("distribution") or inferred_distribution(parameter)
        if distribution in FORMS and FORMS[distribution].exponents:
            yield f"{name}: the bounds of {distribution} are exponents of e; {distribution}_values takes the limits."
        if parameter.keys() == {"min", "max"} and len({isinstance(bound, float) for bound in parameter.values()}) > 1:
            yield f"{name}: only one bound is whole; W&B takes that for uniform here and refuses it at the top level."
    for sentence in macro_warnings(config.get("command") or []):
        yield at("command") + sentence
    place = "command" if config.get("command") else "program"
    for sentence in fixed_arguments(config.get("program"), config.get("command")).warnings:
        yield at(place) + sentence
    for key in sorted(config.keys() & _FOR_WANDB_ONLY):
        yield f"{at(key)}`{key}` concerns W&B's own services; a sweep here ignores it."
    if config["method"] == "random" and not ParameterSpace(config["parameters"]).searchable:
        yield f"{at('parameters')}all parameters are constant: a random search repeats one run."
