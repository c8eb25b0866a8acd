"""Finds a run by its folder, GROUP/ID, its id, the start of its id, or "last"; and the bundle of a run."""

import functools
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_recognizer.arguments import arguments_of
from text_recognizer.charset import Characters
from text_recognizer.datasets.formats.charset_files import read_characters
from text_recognizer.errors import DataError, Problem, RunError, SpecError, TextRecognizerError
from text_recognizer.promoted.store import ModelStore
from text_recognizer.registry import resolve
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.wording import did_you_mean, shell_word
from training.runs.contents import MODEL
from training.runs.places import group_folder_name, run_folders, runs_folder
from training.runs.run import Run

if TYPE_CHECKING:
    from text_recognizer.models.bundle import Bundle

INITIAL, CHARSET = "train_args.initial_weights", "dataset_args.charset"


def find_run(name: str, root: Path | None = None) -> Run:
    """A run by its folder, GROUP/ID, the start of its id, or "last". Raises RunError: no run, or several, match."""
    folder = _folder_of(name, root)
    if folder is None:
        known = [folder.name for folder in run_folders(root)]
        known += ["last"] if known else []
        raise RunError(
            f"there is no run '{name}' in {(root or runs_folder()).resolve()}.{did_you_mean(name, known)} "
            f"See them: text-recognizer runs list"
        )
    return Run.open(folder)


def bundle_named(name: str | Path) -> "Bundle":
    """The bundle of a name.

    Args:
        name: a bundle or run folder, the name of a promoted model (NAME or NAME@VERSION), a run's id, the start of one,
            "last", or the name of a bundle that comes with the program.
    Raises:
        DataError: there is no such bundle, or it is damaged.
        RunError: several runs have that name, or the run has no model yet.
    """
    from text_recognizer.models.bundle import DESCRIPTION, find_bundle  # lists of runs do not need it

    place = _place_of_bundle(str(name))
    if os.path.exists(f"{place}/status.json") and not os.path.exists(f"{place}/{MODEL}/{DESCRIPTION}"):  # noqa: PTH110
        state = Run(Path(place)).status().state
        how = f"It gets one when it finishes: run_experiment --resume {shell_word(place)}"
        if state == "finished":
            how = "It was imported, or its model was removed."
        raise RunError(f"the run {place} ({state}) has no model. {how}")
    return find_bundle(place)


def with_bundles_found(spec: ExperimentSpec, in_sweep: bool = False) -> ExperimentSpec:
    """The spec with the names of bundles resolved, so that they mean the same later.

    `initial_weights` becomes a folder. `charset` becomes the characters: a run needs them as long as it is used.

    Raises:
        SpecError: several runs have that name; or, in a sweep, "last" or a name without its version, which can change.
    """
    sweep = group_folder_name(spec.experiment_group) if in_sweep else None
    train_args = dict(spec.train_args)
    if "initial_weights" in train_args:
        train_args["initial_weights"] = _found(INITIAL, train_args["initial_weights"], sweep)
    dataset_args = with_charset_found(spec.dataset, spec.dataset_args, spec.origin, sweep)
    return replace(spec, train_args=train_args, dataset_args=dataset_args)


def with_charset_found(
    dataset: str, dataset_args: dict[str, Any], origin: str | None = None, sweep: str | None = None
) -> dict[str, Any]:
    """The arguments of a dataset, with `charset` as in `with_bundles_found`; for datasets without a spec."""
    try:
        known = arguments_of(resolve("dataset", dataset, origin))
    except TextRecognizerError:  # reported when the arguments are checked
        return dataset_args
    found = dict(dataset_args)
    for name in dataset_args.keys() & known.keys():
        given, meaning = dataset_args[name], known[name].annotation
        if name == "charset" and meaning == Characters | None:
            found[name] = _found(CHARSET, given, sweep)
        elif isinstance(given, (list, tuple)) and _are_parts(meaning):
            found[name] = [_with_charset_found_in_part(one, sweep) for one in given]
    return found


def _are_parts(meaning: Any) -> bool:
    from text_recognizer.datasets.lines.joined_lines import JoinedPart  # loads what few specs need

    return bool(meaning == tuple[JoinedPart, ...])


def _with_charset_found_in_part(part: Any, sweep: str | None) -> Any:
    match part:  # other values are reported when the arguments are checked
        case {"dataset": str(name), "dataset_args": dict(given)}:
            return {**part, "dataset_args": with_charset_found(name, given, None, sweep)}
    return part


def _found(key: str, name: Any, sweep: str | None) -> Any:
    if type(name) is int:  # the date at the start of an id, parsed as a number
        name = str(name)
    if not isinstance(name, str):
        return name
    if sweep is not None and name == "last":
        words = f"{key} 'last' would be another run for each trial of a sweep. Give the id or the folder of a run."
        raise SpecError([Problem(words, key)])
    try:
        place = _place_of_bundle(name) if sweep is None else _lasting_place(name, runs_folder(), sweep)
        if key == CHARSET and (place != name or ModelStore().find(name) is not None):
            return read_characters(bundle_named(place).folder)
        return place
    except (DataError, RunError) as error:
        raise SpecError([Problem(f"{key}: {error}", key)]) from None


@functools.lru_cache(maxsize=256)  # a sweep resolves the same name for each of its points
def _lasting_place(name: str, _root: Path, sweep: str) -> str:
    return _place_of_bundle(name, sweep)


def _place_of_bundle(name: str, sweep: str | None = None) -> str:
    """A run's folder for a run's name, NAME@VERSION for a promoted model's; other names are unchanged."""
    from text_recognizer.models.bundle import DESCRIPTION

    if any(os.path.exists(path / DESCRIPTION) for path in (Path(name), Path(name) / MODEL)):  # noqa: PTH110 - as below
        return name
    promoted = ModelStore().find(name)
    if promoted is not None:
        if sweep is not None and name != str(promoted):
            raise RunError(f"'{name}' may refer to another version while the sweep runs. Give '{promoted}'.")
        return str(promoted)
    if any(os.path.exists(path) for path in (Path(name), weights_folder() / name)):  # noqa: PTH110 - as below
        return name
    folder = _folder_of(name, sweep=sweep)
    return name if folder is None else str(folder.resolve())


def _folder_of(name: str, root: Path | None = None, sweep: str | None = None) -> Path | None:
    if not name:  # every id begins with ""
        return None
    for place in (Path(name), (root or runs_folder()) / name):
        if os.path.exists(place / "status.json"):  # noqa: PTH110 - Path.exists raises for names that are too long
            return place
    folders = {folder.name: folder for folder in run_folders(root)}
    if name == "last" and folders:
        return max(folders.values(), key=_made)
    if name in folders:
        return folders[name]
    found = sorted(run_id for run_id in folders if run_id.startswith(name))
    if len(found) > 1 and sweep is not None:  # its own trials must not change its meaning when the sweep is resumed
        found = [run_id for run_id in found if folders[run_id].parent.name != sweep] or found
    if len(found) > 1:
        raise RunError(f"'{name}' could be any of {len(found)} runs: {', '.join(found[:5])}. Give more of the id.")
    return folders[found[0]] if found else None


def _made(folder: Path) -> tuple[int, str]:
    """Creation time of a run: its spec is written once. An id given by W&B has no time."""
    try:
        return (folder / "spec.json").stat().st_mtime_ns, folder.name
    except OSError:
        return 0, folder.name
