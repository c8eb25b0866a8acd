"""Transfer: training that starts from the weights of a bundle, even with other classes."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from text_recognizer.arguments import to_json
from text_recognizer.charset import describe
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle, build_model, find_bundle
from text_recognizer.networks.base import Shape
from text_recognizer.parts import present_names
from text_recognizer.registry import resolve
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.wording import counted

if TYPE_CHECKING:
    import keras

MOST_NAMED = 10  # new classes listed in a message


@dataclass(frozen=True)
class Transfer:
    """The source of a model's initial weights, and the new classes, whose weights are random."""

    source: str
    new: tuple[str, ...]

    def in_words(self) -> str:
        if not self.new:
            return f"weights of {self.source}"
        named = ", ".join(describe(one) if len(one) == 1 else f"'{one}'" for one in self.new[:MOST_NAMED])
        more = ", …" if len(self.new) > MOST_NAMED else ""
        outputs = f"{counted(len(self.new), 'output')} for classes that it has not begin afresh"
        return f"weights of {self.source}; {outputs}: {named}{more}"


def transfer_problems(spec: ExperimentSpec, input_shape: Shape) -> list[str]:
    """Why a spec's model cannot start from the bundle in its `train_args.initial_weights`.

    Args:
        input_shape: shape of the spec's images.
    """
    name = spec.train_args.get("initial_weights")
    if name is None:
        return []
    label = f"train_args.initial_weights '{name}'"
    try:
        bundle = find_bundle(name)
    except (DataError, SpecError) as error:
        return [f"{label}: {error}"]
    for kind in ("network", "model"):
        if (found := getattr(bundle.spec, kind)) != (wanted := getattr(spec, kind)):
            return [f"{label} is of {kind} '{found}', the spec's is '{wanted}'."]
    network = resolve("network", spec.network, spec.origin)
    theirs, ours = (to_json(present_names(network, one.network_args)) for one in (bundle.spec, spec))
    free = getattr(network, "only_in_training", ())
    # Old bundles lack newer arguments.
    differing = sorted(key for key in theirs if key not in free and theirs[key] != ours.get(key))
    if differing:
        return [f"{label} has network_args.{key}={theirs.get(key)!r}, the spec {ours.get(key)!r}." for key in differing]
    sizes_in_weights = network(**spec.network_args).sizes_in_weights
    if sizes_in_weights(bundle.data_spec.input_shape) == sizes_in_weights(input_shape):
        return []
    (height, width, _), (our_height, our_width, _) = bundle.data_spec.input_shape, input_shape
    return [
        f"{label} is for images of {height} x {width or 'any'} pixels, those of dataset '{spec.dataset}' have "
        f"{our_height} x {our_width or 'any'}, and weights of network '{spec.network}' depend on it. Give the dataset "
        f"the bundle's size in dataset_args, where it has one, or begin with random weights."
    ]


def take_over_weights(model: Model, bundle: Bundle) -> Transfer:
    """Loads a bundle's weights into a model, matching classes by text. Raises DataError: damaged, or other shapes."""
    trained = bundle.load()
    axes = _class_axes(bundle)
    old = {text: position for position, text in enumerate(bundle.data_spec.classes)}
    matched = [(position, old[text]) for position, text in enumerate(model.data_spec.classes) if text in old]
    ours, theirs = np.array(matched, np.intp).reshape(-1, 2).T
    pairs = list(zip(model.keras_model.weights, trained.keras_model.weights, axes, strict=False))
    if len(model.keras_model.weights) != len(axes) or not all(_fit(*pair) for pair in pairs):
        raise DataError(
            f"the weights of {bundle.folder} do not fit: they are for images of {bundle.data_spec.input_shape}, "
            f"these are {model.data_spec.input_shape}."
        )
    for variable, source, axis in pairs:
        values = np.array(source if axis is None else variable)
        if axis is not None:
            np.moveaxis(values, axis, 0)[ours] = np.moveaxis(np.asarray(source), axis, 0)[theirs]
        variable.assign(values)
    new = tuple(text for text in model.data_spec.classes if text not in old)
    source = bundle.folder.name if bundle.folder.parent == weights_folder() else f"run {bundle.run_id}"
    return Transfer(source, new)


def _class_axes(bundle: Bundle) -> list[int | None]:
    """For every weight, the axis of the classes: the one that is longer with one more class."""
    spec = bundle.data_spec
    more = replace(spec, classes=(*spec.classes, "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"))
    usual, larger = (build_model(bundle.spec, one).keras_model.weights for one in (spec, more))
    return [
        next((axis for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b), None)
        for one, two in zip(usual, larger, strict=True)
    ]


def _fit(variable: "keras.Variable", source: "keras.Variable", axis: int | None) -> bool:
    shapes = [tuple(size for at, size in enumerate(one.shape) if at != axis) for one in (variable, source)]
    return shapes[0] == shapes[1]
