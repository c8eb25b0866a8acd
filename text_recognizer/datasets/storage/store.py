"""The store: arrays that are converted once, then memory-mapped, so that all processes of a machine share one copy.

A store is a folder of .npy files and a meta.json. It is written to a temporary folder beside its path and renamed when
complete, so a partial store is never visible.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.storage.rejected import data_arrays
from text_recognizer.errors import DataError, reason, system_errors
from text_recognizer.settings import data_folder
from text_recognizer.whole_files import folder_beside, replace_folder, sha256_of

FORMAT = 1
MOST_READ_AHEAD = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # larger arrays do not stay in memory


class StoreWriter:
    """Receives the named arrays of a conversion. All methods raise DataError: the folder cannot be written.

    Args:
        folder: temporary folder of the arrays.
        store: final path, for messages.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._store = store

    def add(self, name: str, array: NDArray[Any]) -> None:
        with self.grow(name, array.dtype.str, array.shape[1:]) as append:
            append(array)

    @contextmanager
    def grow(self, name: str, dtype: str, shape: tuple[int, ...] = ()) -> Iterator[Callable[[NDArray[Any]], None]]:
        """Writes an array of unknown length to disk: yields a function that appends (n, *shape)."""
        length = 0
        with _writing(self._store):
            file = open(self._folder / f"{name}.npy", "wb")  # noqa: SIM115 - the caller's errors are not errors of writing
            _write_header(file, dtype, (0, *shape))

        def append(values: NDArray[Any]) -> None:
            nonlocal length
            with _writing(self._store):
                file.write(np.ascontiguousarray(values, np.dtype(dtype)).data)
            length += len(values) if shape else values.size

        try:
            yield append
            with _writing(self._store):
                file.seek(0)
                # The header has the same size: numpy reserves space for a growing length.
                _write_header(file, dtype, (length, *shape))
        finally:
            with _writing(self._store):
                file.close()


class Store:
    """An existing store, opened for reading."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self._open: dict[str, NDArray[Any]] = {}

    @property
    def content_hash(self) -> str:
        """sha256 of all arrays but paths and rejected samples, recorded when they were written."""
        return str(self.meta["content_hash"])

    def array(self, name: str) -> NDArray[Any]:
        """A read-only array backed by the file; nothing is copied."""
        if name not in self._open:
            mapped: Any = np.load(self.folder / f"{name}.npy", mmap_mode="r")
            if mapped.nbytes > MOST_READ_AHEAD:
                # Read-ahead would load 31 other pages with each image, and drop them before they are needed.
                mapped._mmap.madvise(mmap.MADV_RANDOM)
            self._open[name] = np.asarray(mapped)  # a plain view: indexing np.memmap is several times slower
        return self._open[name]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {name: self.array(name) for name in self.meta["arrays"]}

    def problems(self) -> list[str]:
        """Compares every array with its recorded hash; empty if all match."""
        found = []
        for name, recorded in self.meta["arrays"].items():
            path = self.folder / f"{name}.npy"
            if not path.exists():
                found.append(f"{path} is missing")
            elif sha256_of(path) != recorded["sha256"]:
                found.append(f"{path} has changed since it was written")
        return found


def _write_header(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def store_folder(dataset: str, key: Mapping[str, Any]) -> Path:
    """The folder of a dataset's store; the key contains everything that the stored arrays depend on."""
    digest = hashlib.sha256(json.dumps({"format": FORMAT, **key}, sort_keys=True).encode()).hexdigest()[:12]
    return data_folder() / "processed" / f"{dataset}-{digest}"


def find_store(folder: Path) -> Store | None:
    """The store at this path if it is complete. An incomplete one has lost files and is made again."""
    try:
        store = Store(folder)
        sizes = {name: (folder / f"{name}.npy").stat().st_size for name in store.meta["arrays"]}
    except (OSError, ValueError, KeyError):
        return None
    whole = all(sizes[name] == recorded["size_bytes"] for name, recorded in store.meta["arrays"].items())
    return store if whole else None


def make_store(folder: Path, key: Mapping[str, Any], convert: Callable[[StoreWriter], None]) -> Store:
    """The store; if missing, one process converts it first. Raises DataError: it cannot be written or read."""
    import filelock

    if found := find_store(folder):  # without the lock: a finished store may be on a read-only disk
        return found
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            return find_store(folder) or _convert(folder, key, convert)


def _writing(store: Path) -> AbstractContextManager[None]:
    return system_errors(f"write the dataset store {store}", setting="TEXT_RECOGNIZER_DATA", place=store)


def _convert(folder: Path, key: Mapping[str, Any], convert: Callable[[StoreWriter], None]) -> Store:
    with folder_beside(folder) as temporary:
        try:
            convert(StoreWriter(temporary, folder))
        except OSError as error:  # not an error of writing, which the writer reports itself
            raise DataError(
                f"cannot convert the data for the dataset store {folder}: {reason(error)}. Nothing was stored."
            ) from error
        arrays: dict[str, dict[str, Any]] = {}
        for path in sorted(temporary.glob("*.npy")):
            array, size_bytes = np.load(path, mmap_mode="r"), path.stat().st_size
            about = {"dtype": str(array.dtype), "shape": list(array.shape), "size_bytes": size_bytes}
            arrays[path.stem] = about | {"sha256": sha256_of(path)}
        counted = data_arrays({name: described["shape"] for name, described in arrays.items()})
        content = "".join(f"{name} {arrays[name]['sha256']}\n" for name in counted)
        content_hash = hashlib.sha256(content.encode()).hexdigest()
        meta = {"format": FORMAT, "key": dict(key), "arrays": arrays, "content_hash": content_hash}
        (temporary / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        replace_folder(temporary, folder)
    return Store(folder)
