"""Resolves names: built-in table, then entry points, then "package.module:Name". Imports only the named part."""

import functools
import importlib
import os
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from text_recognizer.errors import SpecError, reason
from text_recognizer.trust import current_folder, import_path, is_trusted, remember, source_of
from text_recognizer.wording import did_you_mean

if TYPE_CHECKING:
    import importlib.metadata

BUILT_IN: dict[str, dict[str, str]] = {
    "dataset": {
        "AltoLinesDataset": "text_recognizer.datasets.lines.alto_lines:AltoLinesDataset",
        "AltoParagraphsDataset": "text_recognizer.datasets.pages.alto_paragraphs:AltoParagraphsDataset",
        "DigitsDataset": "text_recognizer.datasets.characters.digits:DigitsDataset",
        "EmnistDataset": "text_recognizer.datasets.characters.emnist:EmnistDataset",
        "EmnistLinesDataset": "text_recognizer.datasets.lines.emnist_lines:EmnistLinesDataset",
        "Hdf5LinesDataset": "text_recognizer.datasets.lines.hdf5_lines:Hdf5LinesDataset",
        "HwdbDataset": "text_recognizer.datasets.characters.hwdb:HwdbDataset",
        "IamDataset": "text_recognizer.datasets.lines.iam:IamDataset",
        "IamLinesDataset": "text_recognizer.datasets.lines.iam:IamLinesDataset",
        "IamParagraphsDataset": "text_recognizer.datasets.pages.iam_paragraphs:IamParagraphsDataset",
        "ImageFolderDataset": "text_recognizer.datasets.characters.image_folder:ImageFolderDataset",
        "JoinedLinesDataset": "text_recognizer.datasets.lines.joined_lines:JoinedLinesDataset",
        "LineListDataset": "text_recognizer.datasets.lines.line_list:LineListDataset",
        "MnistDataset": "text_recognizer.datasets.characters.mnist:MnistDataset",
        "PageListDataset": "text_recognizer.datasets.pages.page_list:PageListDataset",
        "RecordLinesDataset": "text_recognizer.datasets.lines.records:RecordLinesDataset",
        "RecordsDataset": "text_recognizer.datasets.characters.records:RecordsDataset",
        "RenderedCharactersDataset": "text_recognizer.datasets.characters.rendered:RenderedCharactersDataset",
        "RenderedLinesDataset": "text_recognizer.datasets.lines.rendered_lines:RenderedLinesDataset",
    },
    "model": {
        "CharacterModel": "text_recognizer.models.character:CharacterModel",
        "LineDetectorModel": "text_recognizer.models.line_detector:LineDetectorModel",
        "LineModel": "text_recognizer.models.line:LineModel",
        "LineModelCtc": "text_recognizer.models.line_ctc:LineModelCtc",
    },
    "network": {
        "bluche": "text_recognizer.networks.bluche:Bluche",
        "crnn": "text_recognizer.networks.crnn:Crnn",
        "fcn": "text_recognizer.networks.fcn:Fcn",
        "flor": "text_recognizer.networks.flor:Flor",
        "hanzi_cnn": "text_recognizer.networks.hanzi_cnn:HanziCnn",
        "hanzi_net": "text_recognizer.networks.hanzi_net:HanziNet",
        "inception": "text_recognizer.networks.inception:Inception",
        "lenet": "text_recognizer.networks.lenet:Lenet",
        "line_cnn_all_conv": "text_recognizer.networks.line_cnn_all_conv:LineCnnAllConv",
        "line_lstm_ctc": "text_recognizer.networks.line_lstm_ctc:LineLstmCtc",
        "line_reader": "text_recognizer.networks.line_reader:LineReader",
        "mlp": "text_recognizer.networks.mlp:Mlp",
        "page_net": "text_recognizer.networks.page_net:PageNet",
        "puigcerver": "text_recognizer.networks.puigcerver:Puigcerver",
    },
    "optimizer": {
        name: f"text_recognizer.optimizers:{name}"
        for name in ("adadelta", "adagrad", "adam", "adamw", "lion", "muon", "nadam", "rmsprop", "sgd")
    },
    "schedule": {
        "constant": "text_recognizer.schedules:Constant",
        "cosine": "text_recognizer.schedules:Cosine",
        "exponential": "text_recognizer.schedules:Exponential",
        "reduce_on_plateau": "text_recognizer.schedules:ReduceOnPlateau",
    },
    "augmentation": {
        "none": "text_recognizer.augmentation.recipes:none",
        "affine": "text_recognizer.augmentation.recipes:Affine",
        "character_elastic": "text_recognizer.augmentation.recipes:CharacterElastic",
        "line_affine": "text_recognizer.augmentation.recipes:LineAffine",
        "line_elastic": "text_recognizer.augmentation.recipes:LineElastic",
        "line_worn": "text_recognizer.augmentation.recipes:LineWorn",
        "page_affine": "text_recognizer.augmentation.recipes:PageAffine",
    },
}

# The base class of each kind; a recipe may also be a function annotated to return one.
BASES = {
    "dataset": "text_recognizer.datasets.base:Dataset",
    "model": "text_recognizer.models.base:Model",
    "network": "text_recognizer.networks.base:Network",
    "optimizer": "text_recognizer.recipes:OptimizerRecipe",
    "schedule": "text_recognizer.recipes:ScheduleRecipe",
    "augmentation": "text_recognizer.recipes:AugmentationRecipe",
}
RECIPES = ("optimizer", "schedule", "augmentation")

_BY_PATH = r"\w+(\.\w+)*:\w+"
PLURALS = {kind: f"{kind}s" for kind in BUILT_IN}
outside_packages: set[str] = set()  # packages whose parts this process has imported
_OURS = {"text_recognizer", "evaluation", "training"}
# Arguments of constructors that come from the program, not from the user.
GIVEN: dict[str, tuple[str, ...]] = dict.fromkeys(BUILT_IN, ()) | {"model": ("data_spec", "network")}


def add_kind(kind: str, table: dict[str, str], base: str, plural: str = "", given: tuple[str, ...] = ()) -> None:
    """Adds a kind of parts with its table.

    Args:
        table: names and "package.module:Name".
        base: their base class.
        plural: plural of the kind, as in its entry point group, "text_recognizer.searches".
        given: arguments of constructors that do not come from the user.
    """
    BUILT_IN[kind], BASES[kind], PLURALS[kind], GIVEN[kind] = table, base, plural or f"{kind}s", given


def resolve(kind: str, name: str, origin: str | None = None) -> Callable[..., Any]:
    """The class or function with a name; its kind has been checked, and it has not been called.

    Args:
        kind: one of BUILT_IN's keys.
        name: a registered name, or "package.module:Name" for a class that is importable from here.
        origin: the bundle or run folder that contains the name, as text; None if it comes from the user.
    Raises:
        SpecError: no such name; its module cannot be imported, with the reason; it is of another kind; or it would run
            foreign code.
    """
    if name in BUILT_IN[kind]:
        return _load(kind, name, BUILT_IN[kind][name])
    if ":" in name:
        return _load_by_path(kind, name, origin)
    for entry_point in _entry_points(kind):
        if entry_point.name == name:
            return _load(kind, name, entry_point.value)
    known = names(kind)
    raise SpecError(
        f"unknown {kind.replace('_', ' ')} '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}. "
        f'Your own: "package.module:Name".'
    )


def names(kind: str) -> list[str]:
    """All registered names of a kind, built-in and from entry points, sorted."""
    return sorted({*BUILT_IN[kind], *(entry_point.name for entry_point in _entry_points(kind))})


def _entry_points(kind: str) -> "tuple[importlib.metadata.EntryPoint, ...]":
    return _entry_points_on(tuple(sys.path), f"text_recognizer.{PLURALS[kind]}")


@functools.lru_cache(maxsize=64)  # reading those of all packages takes 9 ms, for each point of a sweep
def _entry_points_on(_search_path: tuple[str, ...], group: str) -> "tuple[importlib.metadata.EntryPoint, ...]":
    import importlib.metadata  # slow to import, and only needed for names that are not built in

    return tuple(importlib.metadata.entry_points(group=group))


def _load_by_path(kind: str, name: str, origin: str | None) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    meant = f"{module.removesuffix('.py').replace('/', '.')}:{attribute}"
    if meant != name or not re.fullmatch(_BY_PATH, name):
        guess = f" Did you mean '{meant}'?" if meant != name and re.fullmatch(_BY_PATH, meant) else ""
        raise SpecError(f"{kind} '{name}' is not a name like package.module:Name.{guess}")
    if origin is not None and (problem := code_from_elsewhere(kind, name, origin)) is not None:
        raise SpecError(problem)
    sys.path[:] = import_path()
    found = _load(kind, name, name)
    if origin is None:
        remember(module)
    return found


def code_from_elsewhere(kind: str, name: str, origin: str) -> str | None:
    """Why a name from elsewhere is not loaded; None if it may be, or if it names no module."""
    module = name.partition(":")[0]
    if not re.match(_BY_PATH, name) or is_trusted(module):
        return None
    return (
        f"{kind} '{name}' is code from elsewhere: {origin} names it, and importing the module {module} "
        f"({source_of(module) or 'not found from here'}) runs it. Look at it first; if you trust it, add "
        f"--trust-code."
    )


def _load(kind: str, name: str, target: str) -> Callable[..., Any]:
    module_name, _, attribute = target.partition(":")
    package = module_name.partition(".")[0]
    if package not in _OURS:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # no notes of TensorFlow, which the module may import
    try:
        found: Any = getattr(importlib.import_module(module_name), attribute, None)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not f"{module_name}.".startswith(f"{missing}."):
            why = f"{type(error).__name__}: {reason(error)}"
            raise SpecError(f"{kind} '{name}': importing {module_name} failed: {why}.") from error
        raise SpecError(
            f"{kind} '{name}': there is no module '{missing}' to import from "
            f"{current_folder() or 'the current folder, which was removed,'} or the Python environment."
            f"{did_you_mean(module_name, names(kind))}"
        ) from None
    if found is None:
        raise SpecError(f"{kind} '{name}': module {module_name} has no '{attribute}'.")
    _check_kind(kind, name, found)
    outside_packages.update({package} - _OURS)
    return found  # type: ignore[no-any-return]


def base_of(kind: str) -> type:
    """The base class of a kind."""
    module, _, attribute = BASES[kind].partition(":")
    base: type = getattr(importlib.import_module(module), attribute)
    return base


def _check_kind(kind: str, name: str, found: Any) -> None:
    """Refuses a part of another kind by its class or annotation, without calling it."""
    base, may_be_function = base_of(kind), kind in RECIPES
    if isinstance(found, type) and issubclass(found, base):
        return
    if may_be_function and isinstance(found, types.FunctionType) and _returns(found, base):
        return
    nor = (
        f", nor a function that is annotated to return one (`def …(…) -> {base.__name__}:`)" if may_be_function else ""
    )
    raise SpecError(f"{kind} '{name}' is not a subclass of {base.__module__}.{base.__name__}{nor}.")


def _returns(function: types.FunctionType, base: type) -> bool:
    """Whether a function is annotated to return a class of a base, or that or None."""
    try:
        annotation = typing.get_type_hints(function).get("return")
    except (NameError, AttributeError, TypeError):
        return False
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    options = [one for one in (typing.get_args(annotation) if union else [annotation]) if one is not type(None)]
    return bool(options) and all(isinstance(one, type) and issubclass(one, base) for one in options)
