"""User settings in environment variables."""

import glob
import os
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs

from text_recognizer.errors import SpecError

REPOSITORY = Path(__file__).resolve().parent.parent


def where_included(path: str | Path) -> str:
    """For an error about a missing file: where the program includes it, such as an experiment; "" if it does not."""
    included = REPOSITORY / path
    # Unlike Path.is_file, this takes any text.
    is_included = os.path.isfile(included) and ".." not in included.parts  # noqa: PTH113
    return f" The included file of that name is {included}." if is_included else ""


def data_folder() -> Path:
    """TEXT_RECOGNIZER_DATA: downloads and converted datasets; by default in the user's cache."""
    return user_folder("TEXT_RECOGNIZER_DATA", lambda: platformdirs.user_cache_dir("text_recognizer"))


def metadata_places() -> list[Path]:
    """TEXT_RECOGNIZER_METADATA: files, folders and patterns of registries; by default the project's own."""
    variable = "TEXT_RECOGNIZER_METADATA"
    listed = [text for text in os.environ.get(variable, "").split(os.pathsep) if text]
    if listed:
        paths = [str(_expanded(variable, text)) for text in listed]
        return [Path(one) for path in paths for one in sorted(glob.glob(path)) or [path]]  # noqa: PTH207 - of any root
    in_repository = REPOSITORY / "metadata" / "metadata.toml"
    installed = Path(sys.prefix) / "share" / "text_recognizer" / "metadata.toml"
    return [in_repository if in_repository.exists() else installed]


def weights_folder() -> Path:
    """TEXT_RECOGNIZER_WEIGHTS: the bundles that come with the program; by default inside the package."""
    return user_folder("TEXT_RECOGNIZER_WEIGHTS", lambda: Path(__file__).parent / "weights")


def models_folder() -> Path:
    """TEXT_RECOGNIZER_MODELS: the promoted bundles; by default in the user's data folder."""
    return user_folder("TEXT_RECOGNIZER_MODELS", lambda: Path(platformdirs.user_data_dir("text_recognizer"), "models"))


def state_folder() -> Path:
    """TEXT_RECOGNIZER_STATE: state kept between commands; by default in the user's state folder."""
    return user_folder("TEXT_RECOGNIZER_STATE", lambda: platformdirs.user_state_dir("text_recognizer"))


def user_folder(variable: str, usual: Callable[[], Path | str]) -> Path:
    """The path in a variable, with ~ and ~user, or else the default.

    Raises:
        SpecError: it needs an unknown home folder, as for a user of a container.
    """
    if set_to := os.environ.get(variable):
        return _expanded(variable, set_to)
    try:
        return Path(usual())
    except RuntimeError:
        raise SpecError(f"your home folder is not known. Set HOME to its path, or {variable}.") from None


def given_path(text: str) -> Path:
    """A path in a spec, with ~ and ~user expanded. Raises SpecError: it is empty, or there is no such user."""
    if not text:  # it would be the current folder
        raise SpecError("a path is empty; perhaps a variable is not set. Give the path ('.' is the current folder).")
    return _expanded("the path", text)


def _expanded(label: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SpecError(f"{label} names a user whose home folder is not known: {text!r}. Give a whole path.") from None
