"""Experiment: the parts of a spec, checked against each other and assembled, without TensorFlow."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from text_recognizer.arguments import check_arguments, json_schema_of, to_json
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset, DataSpec, Split, SplitName
from text_recognizer.errors import Problem, SpecError, reason
from text_recognizer.models.base import Model
from text_recognizer.models.metric import Metric
from text_recognizer.models.transfer import transfer_problems
from text_recognizer.networks.base import Network
from text_recognizer.parts import make_part
from text_recognizer.registry import GIVEN, RECIPES, base_of, names, outside_packages, resolve
from text_recognizer.spec import PARTS, ExperimentSpec
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import did_you_mean, received


@dataclass(frozen=True)
class Experiment:
    """A valid spec with its parts. The model has no weights yet, the dataset has accessed no file.

    Args:
        spec: completed with all defaults.
        recipes: "optimizer", "schedule" and "augmentation" of the train_args; None for no augmentation.
    """

    spec: ExperimentSpec
    dataset: Dataset
    network: Network
    model: Model
    train_args: TrainArgs
    recipes: Mapping[str, Any]

    def dataset_in_words(self) -> str:
        """The prepared dataset and the samples of its splits."""
        return f"{self.dataset.name}: " + ", ".join(f"{size:,} {name}" for name, size in self.dataset.sizes().items())

    def network_in_words(self) -> str:
        """The network and its number of parameters; builds it."""
        return f"{self.spec.network}, {self.model.keras_model.count_params():,} parameters"

    def check_sizes(self) -> dict[str, int]:
        """Checks a prepared dataset. Raises SpecError: a split is missing, empty, or smaller than a training batch.

        Returns:
            the samples of each split.
        """
        for name in SPLIT_NAMES:
            self._split(name)
        sizes = {str(name): size for name, size in self.dataset.sizes().items()}
        problems = [f"dataset '{self.spec.dataset}': the {name} split is empty." for name in sizes if not sizes[name]]
        if 0 < sizes["train"] < self.train_args.batch_size:
            what = f"at most {sizes['train']:,}, the images of the training split"
            words = f"train_args.batch_size must be {what}. {received(self.train_args.batch_size)}"
            problems.append(Problem(words, "train_args.batch_size"))
        if problems:
            raise SpecError(problems)
        return sizes

    def check_samples(self) -> None:
        """Checks the first samples of a prepared dataset. Raises SpecError: one has another form than it should.

        Call it where TensorFlow may look for devices, as a user's own dataset may use it.
        """
        for name in SPLIT_NAMES:
            if problem := _sample_problem(self._split(name), name, self.dataset.data_spec):
                raise SpecError(f"dataset '{self.spec.dataset}': {problem}")

    def _split(self, name: SplitName) -> Split:
        split: Any = self.dataset.split(name)
        if not isinstance(split, Split):
            words = f"split('{name}') must return a Split. {received(split)}"
            raise SpecError(f"dataset '{self.spec.dataset}': {words}")
        return split


def _sample_problem(split: Split, name: SplitName, data_spec: DataSpec) -> str | None:
    """What is wrong with the first sample of a split, which may be a user's; None if nothing."""
    if not len(split):
        return None  # reported with its size
    batch: Any = split.batch(np.zeros(1, np.int64))
    if not isinstance(batch, Mapping) or not {"image", "label"} <= batch.keys():
        came = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
        return f"batch() of the {name} split must return a dict of arrays with image and label. Received: {came}."
    images, shape = np.asarray(batch["image"]), (1, *data_spec.input_shape)
    pairs = zip(images.shape, shape, strict=False)
    if images.dtype != np.uint8 or images.ndim != 4 or any(side not in (None, found) for found, side in pairs):
        wanted = f"images uint8 {shape} for one position"
        return f"batch() of the {name} split must return {wanted}. Received: {images.dtype} {images.shape}."
    if not isinstance(split.text(0), str):
        return f"text() of the {name} split must return text. {received(split.text(0))}"
    return None


def assemble(spec: ExperimentSpec, has_begun: bool = False) -> Experiment:
    """Checks everything that can be checked without data, devices and TensorFlow.

    Args:
        has_begun: the training has begun or ended, so that its initial weights are not needed and may be gone.
    Raises:
        SpecError: all problems: unknown names and arguments, wrong types and ranges, shapes that do not fit.
    """
    problems: list[str] = []
    dataset, dataset_args = make_part("dataset", spec.dataset, spec.dataset_args, problems, spec.origin)
    network, network_args = make_part("network", spec.network, spec.network_args, problems, spec.origin)
    is_made = dataset is not None and network is not None
    data_spec = _checked_data_spec(dataset, spec, problems) if is_made else None
    given = {"data_spec": data_spec, "network": network} if data_spec is not None else None
    model, model_args = make_part("model", spec.model, spec.model_args, problems, spec.origin, given=given)
    train_args, recipes = _check_train_args(spec, problems)
    completed = replace(
        spec,
        dataset_args=to_json(dataset_args),
        network_args=to_json(network_args),
        model_args=to_json(model_args),
        train_args=to_json(train_args) if train_args is not None else spec.train_args,
    )
    if model is not None:
        problems += _problems_together(completed, network, model, train_args)
        if train_args is not None and not has_begun:
            unfit = transfer_problems(completed, model.data_spec.input_shape)
            problems += [Problem(problem, "train_args.initial_weights") for problem in unfit]
    if problems or model is None or train_args is None:
        raise SpecError(problems)
    return Experiment(completed, dataset, network, model, train_args, recipes)


def _checked_data_spec(dataset: Dataset, spec: ExperimentSpec, problems: list[str]) -> DataSpec | None:
    """The data_spec of a dataset, which may be a user's; None if it adds `problems`."""
    data_spec, label = dataset.data_spec, f"the data_spec of dataset '{spec.dataset}'"
    if not isinstance(data_spec, DataSpec):
        problems.append(Problem(f"{label} must be a DataSpec. {received(data_spec)}", "dataset"))
        return None
    if not outside_packages:  # ours have the right types
        return data_spec
    values = {one.name: getattr(data_spec, one.name) for one in fields(DataSpec)}
    _, found = check_arguments(label, DataSpec, json.loads(json.dumps(values, default=repr)))
    problems += [Problem(one, "dataset") for one in found]
    return None if found else data_spec


def problems_besides(known: Sequence[Problem], value: Mapping[str, Any], origin: str | None) -> list[Problem]:
    """Further problems of a spec's JSON object, besides those of some of its keys."""
    wrong = {problem.key for problem in known}
    if not wrong.isdisjoint(PARTS):
        return []
    try:
        assemble(ExperimentSpec.parse({key: item for key, item in value.items() if key not in wrong}, origin=origin))
    except SpecError as error:
        return [one for one in error.problems if one.key is None or one.key.partition(".")[0] not in wrong]
    return []


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a spec, for editors: every registered name with its arguments."""
    properties: dict[str, Any] = {}
    conditions: list[dict[str, Any]] = []
    for kind in PARTS:
        properties[kind] = _name_schema(kind)
        properties[f"{kind}_args"] = {"type": "object"}
        conditions += _argument_conditions(kind, GIVEN[kind])
    train_args = json_schema_of(TrainArgs)
    for part in RECIPES:
        train_args["properties"][part] |= _name_schema(part)
    train_args["allOf"] = [
        condition
        for part in RECIPES
        for condition in _argument_conditions(part, (), default=train_args["properties"][part]["default"])
    ]
    properties["train_args"] = train_args
    properties["experiment_group"] = {"type": "string", "default": "default"}
    properties["seed"] = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "default": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Text Recognizer experiment",
        "type": "object",
        "properties": properties,
        "required": list(PARTS),
        "additionalProperties": False,
        "allOf": conditions,
    }


def _check_train_args(spec: ExperimentSpec, problems: list[str]) -> tuple[TrainArgs | None, dict[str, Any]]:
    """The checked train_args and the parts that they name, by kind; incomplete if there are `problems`."""
    arguments, found = check_arguments("train_args", TrainArgs, spec.train_args, key="train_args")
    recipes: dict[str, Any] = {}
    for kind in RECIPES:
        name, recipe_args = arguments.get(kind), arguments.get(f"{kind}_args")
        if not isinstance(name, str) or not isinstance(recipe_args, dict):
            continue  # already reported
        before = len(found)
        recipes[kind], arguments[f"{kind}_args"] = make_part(kind, name, recipe_args, found, spec.origin, "train_args.")
        made, base = recipes[kind], base_of(kind)
        may_be_none = made is None and kind == "augmentation"
        if len(found) == before and not (isinstance(made, base) or may_be_none):  # regardless of its annotation
            found.append(f"train_args.{kind} '{name}' must make an instance of {base.__name__}. {received(made)}")
    problems += found
    return (None if found else TrainArgs(**arguments)), recipes


def _problems_together(
    spec: ExperimentSpec, network: Network, model: Model, train_args: TrainArgs | None
) -> Iterator[str]:
    """Why parts that are valid by themselves do not fit together."""
    try:
        network.check(model.data_spec.input_shape, model.output_shape)
    except ValueError as error:
        yield Problem(f"network '{spec.network}' does not fit dataset '{spec.dataset}': {reason(error)}.", "network")
    undeclared: list[object] = []
    for declared in (model.metrics, model.metrics_in_training):
        in_order = isinstance(declared, list | tuple)
        undeclared += [one for one in declared if not isinstance(one, Metric)] if in_order else [declared]
    for metric in undeclared:
        yield (
            f"model '{spec.model}' must declare metrics and metrics_in_training as tuples, and each metric with its "
            f'direction: Metric("iou", larger_is_better=True) of text_recognizer.models. {received(metric)}'
        )
    if train_args is None:
        return
    if not undeclared:
        yield from _monitor_problems(train_args, model)
    if train_args.minutes is not None and train_args.steps_per_epoch is not None:
        yield Problem(
            f"train_args.steps_per_epoch must be null where train_args.minutes is given: an epoch is then "
            f"minutes / epochs long. {received(train_args.steps_per_epoch)}",
            "train_args.steps_per_epoch",
        )
    if train_args.jit_compile and model.xla_refuses is not None:
        yield Problem(
            f"train_args.jit_compile must be false for model '{spec.model}': XLA cannot compile {model.xla_refuses}. "
            f"{received(train_args.jit_compile)}",
            "train_args.jit_compile",
        )


def _monitor_problems(train_args: TrainArgs, model: Model) -> list[str]:
    reported = list(model.reported)
    asked = {"monitor": train_args.monitor}
    if train_args.early_stopping is not None and train_args.early_stopping.monitor is not None:
        asked["early_stopping.monitor"] = train_args.early_stopping.monitor
    return [
        Problem(
            f"train_args: {key} '{metric}' is not reported.{did_you_mean(metric, reported)} "
            f"Reported: {', '.join(reported)}.",
            f"train_args.{key}",
        )
        for key, metric in asked.items()
        if metric not in reported
    ]


def _name_schema(kind: str) -> dict[str, Any]:
    return {"anyOf": [{"enum": names(kind)}, {"type": "string", "pattern": r"^[\w.]+:\w+$"}]}


def _argument_conditions(kind: str, apart_from: tuple[str, ...], default: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            # Without "required", the condition also holds if the key is absent, where the default applies.
            "if": {"properties": {kind: {"const": name}}} | ({} if name == default else {"required": [kind]}),
            "then": {"properties": {f"{kind}_args": json_schema_of(resolve(kind, name), apart_from)}},
        }
        for name in names(kind)
    ]
