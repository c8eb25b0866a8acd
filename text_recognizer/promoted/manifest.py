"""Manifest: promoted.json, the files and the origin of a promoted bundle. Its hash is the bundle's address."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from text_recognizer import __version__
from text_recognizer.arguments import check_value
from text_recognizer.errors import DataError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.whole_files import sha256_of

MANIFEST = "promoted.json"
FORMAT = 1
MOST_BYTES, MOST_BUNDLE_BYTES = 1 << 24, 1 << 33
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileFacts:
    """Hash and size of a file when it was promoted."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """The content of a promoted bundle.

    Args:
        files: all files except the manifest itself, by name.
        lineage: the run, its data and code, and recursively the lineage of its initial weights.
    """

    files: Mapping[str, FileFacts]
    lineage: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, lineage: Mapping[str, Any]) -> "Manifest":
        """The manifest of the current files of a folder."""
        paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
        return cls({path.name: FileFacts(sha256_of(path), path.stat().st_size) for path in paths}, lineage)

    @classmethod
    def parse(cls, content: bytes, origin: str) -> "Manifest":
        """Parses a promoted.json. Raises DataError: it is of a newer version, or damaged."""
        try:
            value = parse_json_text(content.decode())
            if value["format"] > FORMAT:
                raise DataError(
                    f"{origin} has format {value['format']}, Text Recognizer {__version__} reads up to {FORMAT}. "
                    f"Upgrade to the version that promoted it."
                )
            found, problems = check_value(MANIFEST, cls, value)
            problems = problems or [
                f"it names {name!r}, which is not a file inside the bundle, or without its hash or size."
                for name, facts in found.files.items()
                if not is_plain_name(name) or not is_digest(facts.sha256) or facts.size_bytes < 0
            ]
            size_bytes = sum(facts.size_bytes for facts in found.files.values()) if not problems else 0
            if size_bytes > MOST_BUNDLE_BYTES:
                problems.append(f"its files have {size_bytes:,} bytes, at most {MOST_BUNDLE_BYTES:,} are kept.")
        except (ValueError, KeyError, TypeError) as error:
            found, problems = None, [f"{type(error).__name__}: {reason(error)}."]
        if found is None or problems:
            raise DataError(f"{origin} is damaged: {' '.join(problems)} Promote or pull the model again.")
        if found.to_bytes() != content:  # its address would differ
            raise DataError(f"{origin} is not in the form in which it was written. Promote or pull the model again.")
        return found  # type: ignore[no-any-return]

    def to_bytes(self) -> bytes:
        value = {"format": FORMAT, **asdict(self)}
        return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @property
    def digest(self) -> str:
        """The address of the bundle: it changes with every byte of every file."""
        return digest_of(self.to_bytes())

    @property
    def hashes(self) -> dict[str, str]:
        return {name: facts.sha256 for name, facts in self.files.items()}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_digest(text: object) -> bool:
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def is_plain_name(name: str) -> bool:
    """Whether a name is a plain file name, other than the manifest's."""
    return name == Path(name).name and not name.startswith(".") and "\0" not in name and name not in ("", MANIFEST)
