"""StoredDataset: a dataset that is converted once and then read from memory-mapped arrays."""

import json
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from text_recognizer.datasets.base import Dataset
from text_recognizer.datasets.storage.rejected import Rejected, summary, unpacked_rejected, write_table
from text_recognizer.datasets.storage.store import Store, StoreWriter, find_store, make_store, store_folder
from text_recognizer.errors import DataError
from text_recognizer.wording import received


class StoredDataset(Dataset):
    """A dataset with a store; subclasses define what the store depends on and fill it."""

    recipe_version: ClassVar[int] = 1  # increase it if the result of a conversion changes, to rebuild stores
    processes: int | None = None  # of the conversion; None takes all cores
    noun: ClassVar[str] = "item"  # what a sample is called in messages
    _store: Store | None = None

    @abstractmethod
    def depends_on(self) -> dict[str, Any]:
        """What the stored arrays depend on: files, options. Raises DataError: the files are missing."""

    @abstractmethod
    def _fill(self, writer: StoreWriter) -> None:
        """Converts everything into the store. Raises DataError: nothing can be used."""

    def fetch(self) -> None:
        """Downloads the files; the only method that accesses the network."""

    @property
    def recipe(self) -> dict[str, Any]:
        """What else the stored arrays depend on: the form of the images."""
        return {}

    @property
    def rejected(self) -> list[Rejected]:
        arrays = self.store.arrays()
        return unpacked_rejected(arrays) if "rejected.name" in arrays else []

    def prepare(self) -> None:
        self.fetch()
        self.__dict__.pop("_key", None)  # computed from the previous state
        is_new = find_store(self._folder) is None
        self._store = make_store(self._folder, self._key, self._fill)
        table = write_table(self._table_folder, self.rejected)
        if is_new and self.rejected:
            where = f" All: {table}" if table else ""
            sys.stderr.write(f"{self.name}: {summary(self.rejected, self.noun)}{where}\n")

    def is_prepared(self) -> bool:
        with suppress(DataError):  # the files that determine the key are missing
            return self._store is not None or find_store(self._folder) is not None
        return False

    @property
    def label(self) -> str:
        """The name of the dataset in messages."""
        return f"dataset '{self.name}'"

    @property
    def store_path(self) -> str:
        return str(self._folder)

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = find_store(self._folder)
        if self._store is None:
            raise DataError(f"{self.name} is not prepared: call prepare() first.")
        return self._store

    def derived_arrays(
        self, key: Mapping[str, Any], make: Callable[[], Mapping[Any, NDArray[Any]]]
    ) -> Mapping[str, NDArray[Any]]:
        """Arrays derived from store and key, such as members of splits; stored too, so that processes share them."""
        folder = self.derived_folder(key)
        if (store := find_store(folder)) is not None:
            return store.arrays()
        arrays = make()

        def fill(writer: StoreWriter) -> None:
            for name, array in arrays.items():
                writer.add(name, array)

        try:
            return make_store(folder, key, fill).arrays()
        except DataError:  # the data folder is read-only; each process then has its own
            return arrays

    def derived_folder(self, key: Mapping[str, Any]) -> Path:
        return store_folder(f"{self.name}-splits", key)

    @cached_property
    def _key(self) -> dict[str, Any]:
        return self._made_of()

    def _made_of(self) -> dict[str, Any]:
        """What the store depends on. Equal names in `depends_on` and the recipe do not hide each other."""
        recipe = self.recipe
        own = {f"own {name}" if name in recipe else name: value for name, value in self._checked_depends_on().items()}
        return {"version": self.recipe_version, **recipe, **own}

    def _checked_depends_on(self) -> dict[str, Any]:
        found = self.depends_on()
        with suppress(TypeError, ValueError):
            if isinstance(found, Mapping) and json.dumps(found, sort_keys=True):
                return dict(found)
        raise DataError(f"{self.name}: depends_on() must return a dict of JSON values. {received(found)}")

    @property
    def _folder(self) -> Path:
        return store_folder(self.name, self._key)

    @property
    def _table_folder(self) -> Path:
        return self._folder
