"""ModelStore: promoted bundles by name. A bundle never changes, but a name can point to another one.

names/NAME/1.json 2.json …   the versions of a name, in order: the bundle of each, and when it was promoted
names/NAME/current           the number of the name's current version
bundles/SHA256/              a bundle as written by its run, under the hash of its promoted.json:
    promoted.json            hashes and sizes of its other files, and its origin
"""

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, SpecError, TextRecognizerError, reason, system_errors
from text_recognizer.json_text import parse_json_text
from text_recognizer.promoted.manifest import MANIFEST, MOST_BYTES, Manifest, digest_of, is_digest, is_plain_name
from text_recognizer.settings import models_folder
from text_recognizer.whole_files import replace_file, replace_folder, sha256_of
from text_recognizer.wording import did_you_mean, received

CURRENT = "current"
HOW = "See them: text-recognizer models list"
_NAME = re.compile(r"[^\W_][\w.+-]{0,127}")
_RESERVED = ("last",)  # the newest run


@dataclass(frozen=True)
class Version:
    """One promotion of a name.

    Args:
        digest: address of its bundle.
        promoted: seconds since 1970.
        folder: of its bundle.
    """

    name: str
    number: int
    digest: str
    promoted: float
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    def to_json(self) -> dict[str, Any]:
        return {"bundle": self.digest, "promoted": self.promoted}


class ModelStore:
    """The promoted bundles of a folder; by default of the one in the settings."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or models_folder()
        self._names, self._bundles = self.folder / "names", self.folder / "bundles"

    def names(self) -> list[str]:
        """The names of all promoted models."""
        return sorted(path.parent.name for path in self._names.glob(f"*/{CURRENT}"))

    def state(self) -> tuple[tuple[str, int, int], ...]:
        """A value that changes when a name is added, removed or repointed, or a file of its bundle has changed."""
        found = []
        for name in self.names():
            paths = [self._names / name / CURRENT]
            with suppress(OSError, TextRecognizerError):  # a damaged record: there is no bundle to check
                paths += sorted(self.current(name).folder.iterdir())
            for path in paths:
                with suppress(OSError):  # removed meanwhile, or briefly unavailable
                    state = path.stat()
                    found.append((str(path), state.st_ino, state.st_mtime_ns))
        return tuple(found)

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, oldest first; none for an unknown name. Raises DataError: one is damaged."""
        paths = (self._names / name).glob("*.json") if _NAME.fullmatch(name) else ()
        numbers = [number for path in paths if (number := version_number(path.stem)) is not None]
        return [self._version(name, number) for number in sorted(numbers)]

    def current(self, name: str) -> Version:
        """The current version of a name. Raises DataError: there is no such name, or its records are damaged."""
        path = self._names / name / CURRENT
        if not _NAME.fullmatch(name) or not path.exists():
            raise self._no_model(name)
        text = path.read_bytes()[:10].strip()
        if not text.isdigit():
            raise DataError(f"{path} is damaged. Set it again: text-recognizer models rollback {name} --to VERSION")
        return self.version(name, int(text))

    def version(self, name: str, number: int) -> Version:
        """One version of a name. Raises DataError: there is none, or its record is damaged."""
        if not (self._names / name / f"{number}.json").exists():
            raise self._unknown(name, str(number))
        return self._version(name, number)

    def find(self, address: str) -> Version | None:
        """The version of NAME or NAME@NUMBER; None if there is no such model. Raises DataError: no version or bundle.

        Its bundle is the promoted one; `Bundle.load` checks whether its files are unchanged.
        """
        name, at, text = address.partition("@")
        number = version_number(text)
        if not _NAME.fullmatch(name) or not (self._names / name).is_dir() or (at and not text.isdecimal()):
            return None
        if at and number is None:
            raise self._unknown(name, text)
        version = self.current(name) if number is None else self.version(name, number)
        self.manifest(version)
        return version

    def manifest(self, version: Version) -> Manifest:
        """The content and origin of a version's bundle. Raises DataError: it is missing, or of another bundle."""
        path = version.folder / MANIFEST
        again = f"Promote or pull it again, or go back: text-recognizer models rollback {version.name}"
        try:
            content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        except OSError as error:
            raise DataError(f"the bundle of {version} cannot be read: {path}: {error.strerror}. {again}") from None
        if digest_of(content) != version.digest:
            raise DataError(f"{path} is not what was promoted as {version}: its hash differs. {again}")
        manifest = Manifest.parse(content, str(path))
        found = {entry.name for entry in version.folder.iterdir()} - {MANIFEST}
        if wrong := sorted(found.symmetric_difference(manifest.files)):
            words = "has lost" if wrong[0] in manifest.files else "was given"
            raise DataError(f"the bundle of {version} {words} the file {version.folder / wrong[0]}. {again}")
        return manifest

    def add(self, name: str, folder: Path, lineage: Mapping[str, Any]) -> Version:
        """Promotes a copy of the bundle in a folder as the current version of a name.

        A bundle that is already promoted under that name keeps its number.

        Raises:
            SpecError: the name is invalid.
            DataError: the store cannot be written.
        """
        check_name(name)
        with self.changing(), self.new_folder() as temporary:
            for path in folder.iterdir():
                if path.is_file() and is_plain_name(path.name):  # without files of file managers
                    shutil.copyfile(path, temporary / path.name)
            manifest = Manifest.parse(Manifest.of(temporary, lineage).to_bytes(), str(folder))
            self.put(temporary, manifest)
            return self.keep(name, manifest)

    def set_current(self, version: Version) -> None:
        """Makes another version of a name the current one."""
        with self.changing():
            self.manifest(version)
            replace_file(self._names / version.name / CURRENT, f"{version.number}\n")

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """An empty temporary folder for the files of a bundle, beside the bundles; removed unless moved."""
        temporary = self._bundles / ".new"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def has(self, manifest: Manifest) -> bool:
        """Whether a bundle is complete and unchanged at its address."""
        place = self._bundles / manifest.digest
        try:
            return Manifest.of(place, manifest.lineage).digest == sha256_of(place / MANIFEST) == manifest.digest
        except OSError:
            return False

    def put(self, temporary: Path, manifest: Manifest) -> None:
        """Moves a folder with the files of a bundle to its address; a damaged bundle there is replaced."""
        if self.has(manifest):
            return
        (temporary / MANIFEST).write_bytes(manifest.to_bytes())
        for path in temporary.iterdir():
            path.chmod(0o444)
        replace_folder(temporary, self._bundles / manifest.digest)

    def keep(self, name: str, manifest: Manifest) -> Version:
        """Makes a bundle at its address the current version of a name, adding a version if necessary."""
        (self._names / name).mkdir(parents=True, exist_ok=True)
        known = self.versions(name)
        version = next((one for one in known if one.digest == manifest.digest), None)
        if version is None:
            number = known[-1].number + 1 if known else 1
            version = Version(name, number, manifest.digest, round(time.time(), 3), self._bundles / manifest.digest)
            replace_file(self._names / name / f"{number}.json", json.dumps(version.to_json()) + "\n")
        replace_file(self._names / name / CURRENT, f"{version.number}\n")
        return version

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Lock held while names or bundles are written. Raises DataError: the folder cannot be written."""
        import filelock

        with system_errors(f"write into the models folder {self.folder}", setting="TEXT_RECOGNIZER_MODELS"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / ".lock"):
                yield

    def _no_model(self, name: str) -> DataError:
        return DataError(f"there is no model '{name}' in {self.folder}.{did_you_mean(name, self.names())} {HOW}")

    def _unknown(self, name: str, number: str) -> DataError:
        known = ", ".join(str(one.number) for one in self.versions(name))
        if not known and name not in self.names():
            return self._no_model(name)
        return DataError(f"the model '{name}' has no version {number}. It has: {known or 'none'}.")

    def _version(self, name: str, number: int) -> Version:
        path = self._names / name / f"{number}.json"
        try:
            value = parse_json_text(path.read_text(encoding="utf-8"))
            digest, promoted = value["bundle"], float(value["promoted"])
            if not is_digest(digest):
                raise ValueError("it names no bundle")
        except (OSError, OverflowError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged: {type(error).__name__}: {reason(error)}. Remove it, and promote again."
            ) from None
        return Version(name, number, digest, promoted, self._bundles / digest)


def version_number(text: str) -> int | None:
    """A version number given by a user; None if it is invalid."""
    return int(text) if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) else None


def check_name(name: str) -> None:
    """Checks the name of a model. Raises SpecError: it is invalid."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise SpecError(
            f"a model's name must have at most 128 letters, digits, '_', '-', '+' and '.', and begin with a letter or "
            f"digit; '{_RESERVED[0]}' is the newest run. {received(name)}"
        )
