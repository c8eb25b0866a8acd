"""Index: the runs below a folder as rows, read again only if their files have changed."""

import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from text_recognizer.errors import RunError
from training.runs.contents import was_begun
from training.runs.places import cannot_look
from training.runs.run import AT_WORK, Run
from training.runs.run_table import RunRow, read_row

# Groups of runs are at the second level; copies from elsewhere may be in further folders.
DEEPEST = 4
_TICK_NS = 1_000_000_000


class Index:
    """The runs below a folder, by a key that is safe in an address.

    Only runs found by walking the folder can be named: no name in a request becomes a path.

    Args:
        root: a folder of groups, a group, or one run.
        source: the address it is a copy of.
    """

    def __init__(self, root: Path, source: str | None = None) -> None:
        self.root = root.resolve()
        self.source = source
        self.shown = source or str(self.root)
        self.unread = 0  # found runs that have not been read yet
        self._lock = threading.Lock()
        self._rows: dict[str, RunRow] = {}
        self._signatures: dict[str, _Signature] = {}
        self._places: dict[str, int] = {}

    def refresh(self, thorough: bool = True, within_s: float = math.inf) -> set[str]:
        """Reads what has changed; returns keys of changed, new and removed runs. Raises RunError: unreadable folder.

        Args:
            thorough: also check runs that have ended. New runs are searched for where a folder of runs has changed.
            within_s: after this time, the remaining (oldest) new runs stay unread.
        """
        with self._lock:
            is_settled = not self.unread and all(_mtime_ns(folder) == seen for folder, seen in self._places.items())
            if not thorough and is_settled:
                live = [key for key, row in self._rows.items() if row.state in AT_WORK]
                return {key for key in live if self._update(key, _signature(str(self._rows[key].folder)))}
            self._places = {}
            found = {key_below(self.root, folder): _signature(folder) for folder in runs_below(self.root, self._places)}
            changed = self._rows.keys() - found.keys()
            self.unread, until = 0, time.monotonic() + within_s
            for key in sorted(found, key=lambda key: found[key].changed_ns, reverse=True):
                if key not in self._rows and time.monotonic() >= until:
                    self.unread += 1
                elif self._update(key, found[key]):
                    changed.add(key)
            self._rows = {key: self._rows[key] for key in found if key in self._rows}
            self._signatures = {key: self._signatures[key] for key in self._rows}
            return changed

    def rows(self) -> list[RunRow]:
        with self._lock:
            return list(self._rows.values())

    def keyed(self) -> list[tuple[str, RunRow]]:
        with self._lock:
            return list(self._rows.items())

    def row(self, key: str) -> RunRow:
        """One run. Raises RunError: there is none."""
        with self._lock:
            if key not in self._rows:
                raise RunError(f"there is no run '{key}' in {self.root}.")
            return self._rows[key]

    def row_inside(self, key: str) -> RunRow:
        """One run whose files may be read. Raises RunError: none, or one with a link out of the folder."""
        row = self.row(key)
        if (out := link_that_leads_out(row.folder, self.root)) is not None:
            raise RunError(_no_way_out(out, self.root))
        return row

    def key_of(self, folder: Path) -> str | None:
        """The key of a run's folder; None if it is not below this one."""
        try:
            key = key_below(self.root, folder.resolve())
        except (OSError, ValueError):
            return None
        return key if key in self._rows else None

    def _update(self, key: str, signature: "_Signature") -> bool:
        before = self._rows.get(key)
        is_same = before is not None and signature == self._signatures[key]
        if is_same and (before.state != "running" or Run(before.folder).is_held()):  # type: ignore[union-attr]
            return False
        row = _read(Path(signature.folder), self.root)
        self._signatures[key] = signature
        if row is None:
            return self._rows.pop(key, None) is not None
        self._rows[key] = row
        return row != before


def key_below(root: Path, folder: str | Path) -> str:
    """The path of a folder below another, for an address. Raises ValueError: it is not below the other."""
    above, path = f"{root}/".replace("//", "/"), str(folder)
    if path == str(root):
        return "."
    if not path.startswith(above):
        raise ValueError(f"{path} is not below {root}.")
    return quote_from_bytes(os.fsencode(path[len(above) :]), safe="/=+,@ ")


def runs_below(root: Path, places: dict[str, int]) -> Iterator[str]:
    """Folders of runs, and links out of the root; hidden ones are skipped. Raises RunError: it cannot be read.

    Args:
        places: receives the searched folders and their modification times.
    """
    places[str(root)] = _settled_ns(str(root))
    try:
        os.scandir(root).close()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_look(root, error) from None
    if was_begun(root):
        yield str(root)
        return
    yield from _below(str(root), root, DEEPEST, places)


def _below(folder: str, root: Path, levels: int, places: dict[str, int]) -> Iterator[str]:
    """Uses strings for paths: with tens of thousands, creating objects would take most of the time."""
    places[folder] = _settled_ns(folder)  # before it is read: later changes are noticed next time
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # a group that this user may not read
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            if os.path.isdir(entry.path) and leads_out(Path(entry.path), root):  # noqa: PTH112
                yield entry.path
        elif entry.is_dir(follow_symlinks=False):
            if os.path.lexists(f"{entry.path}/status.json") or was_begun(Path(entry.path)):
                yield entry.path
            elif levels > 1:
                yield from _below(entry.path, root, levels - 1, places)
            else:
                places[entry.path] = _settled_ns(entry.path)


def _settled_ns(folder: str) -> int:
    """Modification time of a folder; -1 if very recent, as the file system's clock may be too coarse."""
    found = _mtime_ns(folder)
    return found if time.time_ns() - found > _TICK_NS else -1


def _mtime_ns(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path leads outside a folder, or into circular links."""
    try:
        return not path.resolve(strict=True).is_relative_to(root)
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError):
        return True


class _Signature(NamedTuple):
    """Changes whenever a file of a run is replaced, or gets a report: files are written beside and renamed."""

    folder: str
    changed_ns: int
    facts: tuple[int, ...]


def _signature(folder: str) -> _Signature:
    facts: list[int] = []
    for path in (folder, f"{folder}/status.json", f"{folder}/metrics.jsonl"):
        try:
            found = os.stat(path)  # noqa: PTH116
            facts += [found.st_mtime_ns, found.st_size, found.st_ino]
        except OSError as error:
            facts += [error.errno or 0]
    return _Signature(folder, facts[0], tuple(facts))


def _read(folder: Path, root: Path) -> RunRow | None:
    out = link_that_leads_out(folder, root)
    if out is not None:
        return RunRow(folder, {}, "damaged", {}, _no_way_out(out, root))
    try:
        return read_row(folder)
    except (RunError, OSError, ValueError) as error:
        return RunRow(folder, {}, "damaged", {}, str(error))


def _no_way_out(link: Path, root: Path) -> str:
    return f"{link} is a link that leads out of {root}. To see where it leads: text-recognizer ui FOLDER."


def link_that_leads_out(folder: Path, root: Path) -> Path | None:
    """The folder itself, or the first link in it, that leads out of another folder."""
    if folder.is_symlink():
        return folder
    try:
        links = [Path(entry.path) for entry in os.scandir(folder) if entry.is_symlink()]
    except OSError:
        return None  # reading it reports the error
    return next((link for link in links if leads_out(link, root)), None)
