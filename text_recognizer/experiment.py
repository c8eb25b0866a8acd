"""Experiment: a spec's parts, checked against each other and put together, without TensorFlow."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from text_recognizer.arguments import check_arguments, json_schema_of, to_json
from text_recognizer.datasets.base import Dataset
from text_recognizer.errors import SpecError, TextRecognizerError
from text_recognizer.models.base import Model
from text_recognizer.models.metric import Metric
from text_recognizer.models.transfer import transfer_problems
from text_recognizer.networks.base import Network
from text_recognizer.registry import names, resolve
from text_recognizer.spec import ExperimentSpec
from text_recognizer.train_args import TrainArgs
from text_recognizer.wording import did_you_mean, received

KINDS: dict[str, type] = {"dataset": Dataset, "network": Network, "model": Model}
_PART_MODULES = {
    "optimizer": "text_recognizer.optimizers",
    "schedule": "text_recognizer.schedules",
    "augmentation": "text_recognizer.augmentation.recipes",
}
TRAIN_PARTS = tuple(_PART_MODULES)
# What training passes to `build` of the objects that the functions of train_args return, in this order.
_BUILT_FROM = {
    "optimizer": ("learning_rate", "weight_decay", "clip_norm", "clip_value"),
    "schedule": ("learning_rate", "total_steps"),
    "augmentation": ("data_spec", "seed"),
}
# What a model's constructor gets from the other parts, not from the spec.
GIVEN_TO_MODEL = ("data_spec", "network")


@dataclass(frozen=True)
class Experiment:
    """A spec that passed, with what it names. The model has no weights yet, the dataset touched no file.

    Args:
        spec: with all defaults filled in.
    """

    spec: ExperimentSpec
    dataset: Dataset
    network: Network
    model: Model
    train_args: TrainArgs

    def train_part(self, kind: str) -> Any:
        """What train_args name as "optimizer", "schedule" or "augmentation"."""
        return resolve(kind, getattr(self.train_args, kind))(**getattr(self.train_args, f"{kind}_args"))

    def dataset_in_words(self) -> str:
        """The prepared dataset and the samples of its splits."""
        return f"{self.dataset.name}: " + ", ".join(f"{size:,} {name}" for name, size in self.dataset.sizes().items())

    def network_in_words(self) -> str:
        """The network and its parameters; builds it."""
        return f"{self.spec.network}, {self.model.keras_model.count_params():,} parameters"

    def check_sizes(self) -> dict[str, int]:
        """Checks what can be known once the dataset is prepared.

        Returns:
            the samples of each split.
        Raises:
            SpecError: an empty split, or a batch larger than the training split.
        """
        sizes = {str(name): size for name, size in self.dataset.sizes().items()}
        problems = [f"dataset '{self.spec.dataset}': the {name} split is empty." for name in sizes if not sizes[name]]
        if 0 < sizes["train"] < self.train_args.batch_size:
            problems.append(
                f"train_args.batch_size must be at most {sizes['train']:,}, the images of the training split. "
                f"{received(self.train_args.batch_size)}"
            )
        if problems:
            raise SpecError(problems)
        return sizes


def assemble(spec: ExperimentSpec) -> Experiment:
    """Checks everything that can be known before data, devices and TensorFlow are touched.

    Raises:
        SpecError: all problems: unknown names and arguments, wrong types and ranges, shapes that do not fit.
    """
    problems: list[str] = []
    completed = spec.to_json()
    dataset_class, dataset_args = _check_part("dataset", spec, completed, problems)
    network_class, network_args = _check_part("network", spec, completed, problems)
    model_class, model_args = _check_part("model", spec, completed, problems)
    train_args = _check_train_args(completed, problems)
    dataset = _construct(f"dataset '{spec.dataset}'", problems, dataset_class, **dataset_args)
    network = _construct(f"network '{spec.network}'", problems, network_class, **network_args)
    model = None
    if dataset is not None and network is not None:
        given = {"data_spec": dataset.data_spec, "network": network}
        model = _construct(f"model '{spec.model}'", problems, model_class, **given, **model_args)
    if model is not None:
        problems += _shape_problems(spec, network, model)
        undeclared = _metric_problems(spec, model)
        problems += undeclared
        if train_args is not None:
            problems += [] if undeclared else _monitor_problems(train_args, model)
            if train_args.jit_compile and model.xla_refuses is not None:
                problems.append(
                    f"train_args.jit_compile must be false for model '{spec.model}': XLA cannot compile "
                    f"{model.xla_refuses}. {received(train_args.jit_compile)}"
                )
            problems += transfer_problems(ExperimentSpec(**completed))
    if problems or model is None or train_args is None:
        raise SpecError(problems)
    return Experiment(ExperimentSpec(**completed), dataset, network, model, train_args)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a spec, for editors: every registered name with its arguments."""
    properties: dict[str, Any] = {}
    conditions: list[dict[str, Any]] = []
    for kind in ("dataset", "model", "network"):
        properties[kind] = _name_schema(kind)
        properties[f"{kind}_args"] = {"type": "object"}
        conditions += _argument_conditions(kind, GIVEN_TO_MODEL if kind == "model" else ())
    train_args = json_schema_of(TrainArgs)
    for part in TRAIN_PARTS:
        train_args["properties"][part] |= _name_schema(part)
    train_args["allOf"] = [
        condition
        for part in TRAIN_PARTS
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
        "required": ["dataset", "model", "network"],
        "additionalProperties": False,
        "allOf": conditions,
    }


def _check_part(
    kind: str, spec: ExperimentSpec, completed: dict[str, Any], problems: list[str]
) -> tuple[Any, dict[str, Any]]:
    """The class that a spec names and its checked arguments; the class is None when anything is wrong with them."""
    name = getattr(spec, kind)
    try:
        target = resolve(kind, name)
    except SpecError as error:
        problems += error.problems
        return None, {}
    base = KINDS[kind]
    if not (isinstance(target, type) and issubclass(target, base)):
        problems.append(f"{kind} '{name}' is not a subclass of {base.__module__}.{base.__name__}.")
        return None, {}
    given = GIVEN_TO_MODEL if kind == "model" else ()
    arguments, found = check_arguments(f"{kind} '{name}'", target, completed[f"{kind}_args"], apart_from=given)
    problems += found
    completed[f"{kind}_args"] = to_json(arguments)
    return (None if found else target), arguments


def _check_train_args(completed: dict[str, Any], problems: list[str]) -> TrainArgs | None:
    arguments, found = check_arguments("train_args", TrainArgs, completed["train_args"])
    for part in TRAIN_PARTS:
        name, part_args = arguments.get(part), arguments.get(f"{part}_args")
        if not isinstance(name, str) or not isinstance(part_args, dict):
            continue  # said already
        try:
            target = resolve(part, name)
        except SpecError as error:
            found += [f"train_args.{part}: {problem}" for problem in error.problems]
            continue
        label = f"train_args.{part} '{name}'"
        arguments[f"{part}_args"], found_here = check_arguments(label, target, part_args)
        found += found_here or _wrong_kind(label, part, target, arguments[f"{part}_args"])
    problems += found
    if found:
        return None
    completed["train_args"] = to_json(arguments)
    return TrainArgs(**arguments)


def _wrong_kind(label: str, part: str, target: Any, arguments: Mapping[str, Any]) -> list[str]:
    """What is wrong with what a function for an optimizer, schedule or augmentation returns."""
    problems: list[str] = []
    if inspect.isbuiltin(target):  # print, input, abort: none of them makes a part, and calling one may do harm
        made: Any = target
    else:
        made = _construct(label, problems, target, **arguments)
        if problems or (part == "augmentation" and made is None):
            return problems
    if _is_built_as(part, made):
        return []
    rate = " and a number usual_learning_rate" if part == "optimizer" else ""
    return [
        f"{label} must return an object with build({', '.join(_BUILT_FROM[part])}){rate}, "
        f"as the functions of {_PART_MODULES[part]} do. {received(made)}"
    ]


def _is_built_as(part: str, made: Any) -> bool:
    if type(made).__module__ in set(_PART_MODULES.values()) - {_PART_MODULES[part]}:
        return False  # one of ours, for another purpose
    try:
        inspect.signature(made.build).bind(*_BUILT_FROM[part])
        return part != "optimizer" or isinstance(made.usual_learning_rate, (int, float))
    except (AttributeError, TypeError, ValueError):
        return False


def _construct(label: str, problems: list[str], target: Any, **arguments: Any) -> Any:
    if target is None:
        return None
    try:
        return target(**arguments)
    except TextRecognizerError as error:
        problems += [f"{label}: {problem}" for problem in getattr(error, "problems", [str(error)])]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's constructor may refuse its arguments in any way
        problems.append(f"{label}: {type(error).__name__}: {error}")
    return None


def _shape_problems(spec: ExperimentSpec, network: Network, model: Model) -> list[str]:
    try:
        network.check(model.data_spec.input_shape, model.output_shape)
    except ValueError as error:
        return [f"network '{spec.network}' does not fit dataset '{spec.dataset}': {error}."]
    return []


def _metric_problems(spec: ExperimentSpec, model: Model) -> list[str]:
    wrong = [metric for metric in (*model.metrics, *model.metrics_in_training) if not isinstance(metric, Metric)]
    return [
        f"model '{spec.model}' must declare each metric with its direction: "
        f'Metric("iou", larger_is_better=True) of text_recognizer.models. {received(metric)}'
        for metric in wrong
    ]


def _monitor_problems(train_args: TrainArgs, model: Model) -> list[str]:
    reported = list(model.reported)
    asked = {"monitor": train_args.monitor}
    if train_args.early_stopping is not None and train_args.early_stopping.monitor is not None:
        asked["early_stopping.monitor"] = train_args.early_stopping.monitor
    return [
        f"train_args: {key} '{metric}' is not reported.{did_you_mean(metric, reported)} "
        f"Reported: {', '.join(reported)}."
        for key, metric in asked.items()
        if metric not in reported
    ]


def _name_schema(kind: str) -> dict[str, Any]:
    return {"anyOf": [{"enum": names(kind)}, {"type": "string", "pattern": r"^[\w.]+:\w+$"}]}


def _argument_conditions(kind: str, apart_from: tuple[str, ...], default: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            # Without "required" the condition also holds where the key is absent: there the default counts.
            "if": {"properties": {kind: {"const": name}}} | ({} if name == default else {"required": [kind]}),
            "then": {"properties": {f"{kind}_args": json_schema_of(resolve(kind, name), apart_from)}},
        }
        for name in names(kind)
    ]
