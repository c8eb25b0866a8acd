"""What the datasets of text lines share: conversion into a store, charset and labels, splits, batches."""

import hashlib
import json
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, graphemes, tidy_text
from text_recognizer.datasets.base import Dataset, DataSpec, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED
from text_recognizer.datasets.line_source import LineSource
from text_recognizer.datasets.lines.args import UNKNOWN_RULES, LineArgs
from text_recognizer.datasets.lines.charset_files import read_charset
from text_recognizer.datasets.lines.labels import derive
from text_recognizer.datasets.lines.pool import LinePool, fill_pool
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.datasets.storage.rejected import Rejected, summary, unpacked_rejected, write_table
from text_recognizer.datasets.storage.store import StoreWriter, find_store, make_store, store_folder
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_form import LineForm
from text_recognizer.reading_order import has_right_to_left, visual_order
from text_recognizer.wording import did_you_mean, received

# What labels and splits depend on, besides what the pool holds.
_DERIVED_BY = (
    "normalization",
    "unknown_characters",
    "max_length",
    "validation_fraction",
    "test_fraction",
    "subsample_fraction",
)
_MOST_SCANS = 64
_scans: dict[str, tuple[Charset, int]] = {}  # checking a sweep asks for the same charset at every point


@dataclass(kw_only=True, eq=False, repr=False)
class LineDataset(LineArgs, Dataset):
    """A dataset of text lines; a subclass says where they come from.

    Texts are in logical order, as they are read; labels in the order of the characters on the line, from its left end.
    The two differ where a text has right-to-left characters: a label of Hebrew begins with the last letter. Models turn
    their readings back; see text_recognizer.reading_order.

    Raises:
        SpecError: unknown_characters is neither a rule nor one character.
    """

    recipe_version: ClassVar[int] = 1  # raise it when a reader's result changes: stores are then made again
    processes: ClassVar[int | None] = None  # of the conversion; None takes all cores

    def __post_init__(self) -> None:
        rule = self.unknown_characters
        if rule not in UNKNOWN_RULES and len(graphemes(rule)) != 1:
            raise SpecError(
                f"unknown_characters must be one of {', '.join(UNKNOWN_RULES)}, or one character that replaces them."
                f"{did_you_mean(rule, UNKNOWN_RULES)} {received(rule)}"
            )
        self._pool: LinePool | None = None
        self._derived: Mapping[str, NDArray[Any]] | None = None

    @abstractmethod
    def source(self) -> dict[str, Any]:
        """What the stored pictures and texts depend on: files, options.

        Raises:
            DataError: the files are not there.
        """

    @abstractmethod
    def sources(self) -> Iterator[LineSource]:
        """All lines, in an order that is always the same. Reads what holds the texts, but no pictures.

        Raises:
            DataError: a file cannot be had or is damaged.
        """

    def fetch(self) -> None:
        """Gets the files on this machine; the only place that touches the network."""

    def given_splits(self, pool: LinePool) -> NDArray[np.int8]:
        """(N,) the split that the files put each line into: a position in SPLIT_NAMES, -1 for none, UNUSED."""
        return pool.splits

    @property
    def split_key(self) -> dict[str, Any]:
        """What `given_splits` depends on, apart from the stored lines."""
        return {}

    @property
    def label(self) -> str:
        """How messages name the dataset."""
        return f"dataset '{self.name}'"

    @property
    def form(self) -> LineForm:
        """What pictures are made into."""
        return LineForm(self.height, self.width or self.max_width, self.ink, self.source_ink, self.preprocessing)

    @cached_property
    def data_spec(self) -> DataSpec:
        charset, max_length = self.scan()
        return DataSpec(
            input_shape=(self.height, self.width, 1),
            classes=charset.classes,
            target="line",
            ink=self.ink,
            max_length=self.max_length or max_length,
            normalization=self.normalization,
            preprocessing=self.preprocessing,
        )

    def scan(self) -> tuple[Charset, int]:
        """The charset and the most characters of a line, read off the texts; the same before and after `prepare`."""
        args = [self.charset, self.normalization, self.unknown_characters]
        key = json.dumps([self.name, self.texts_key, args], sort_keys=True)
        if key not in _scans:
            while len(_scans) >= _MOST_SCANS:
                _scans.pop(next(iter(_scans)))
            _scans[key] = self._scan()
        return _scans[key]

    @property
    def texts_key(self) -> dict[str, Any]:
        """What the texts depend on; cheaper than `source` where the pictures are many files."""
        return self.source()

    @cached_property
    def given_charset(self) -> Charset | None:
        """The charset of the argument `charset`."""
        if self.charset is None:
            return None
        return read_charset(self.charset, self.normalization, self.label)

    def prepare(self) -> None:
        self.fetch()
        folder = self._folder
        is_new = find_store(folder) is None
        self._pool = LinePool(make_store(folder, self._key, self._fill), self.height)
        self._derived = self._stored_derived()
        write_table(folder, self._pool.rejected)
        table = write_table(self._derived_folder, self.rejected)
        if is_new and self.rejected:
            sys.stderr.write(f"{self.name}: {summary(self.rejected)}{f' All: {table}' if table else ''}\n")

    def is_prepared(self) -> bool:
        if self._pool is not None:
            return True
        with suppress(DataError):  # the files that say what to look for are not here
            return find_store(self._folder) is not None
        return False

    def split(self, name: SplitName) -> LineSplit:
        derived = self.derived
        return LineSplit(self.pool, derived[name], derived["labels"], derived["label_offsets"], self.data_spec)

    @property
    def rejected(self) -> list[Rejected]:
        """The lines that were left out, with reasons. Needs `prepare` first."""
        return [*self.pool.rejected, *unpacked_rejected(self.derived)]

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.pool.store.content_hash.encode())
        for name, array in sorted(self.derived.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    @property
    def store_path(self) -> str:
        return str(self._folder)

    @property
    def pool(self) -> LinePool:
        """All lines, of all splits."""
        if self._pool is None:
            store = find_store(self._folder)
            if store is None:
                raise DataError(f"{self.name} is not prepared: call prepare() first.")
            self._pool = LinePool(store, self.height)
        return self._pool

    @property
    def derived(self) -> Mapping[str, NDArray[Any]]:
        """What depends on charset and splits: members of each split, labels, lines rejected for their text."""
        if self._derived is None:
            self._derived = self._stored_derived()
        return self._derived

    @cached_property
    def _key(self) -> dict[str, Any]:
        return {"version": self.recipe_version, "form": asdict(self.form), **self.source()}

    @property
    def _folder(self) -> Path:
        return store_folder(self.name, self._key)

    @property
    def _derived_key(self) -> dict[str, Any]:
        args = {name: getattr(self, name) for name in _DERIVED_BY}
        charset = self.data_spec.charset
        return {
            "content": self.pool.store.content_hash,
            "seed": SPLIT_SEED,
            "charset": charset.to_json(),
            **({"order": "visual"} if any(map(has_right_to_left, charset.characters)) else {}),
            **self.split_key,
            **args,
        }

    @property
    def _derived_folder(self) -> Path:
        return store_folder(f"{self.name}-splits", self._derived_key)

    def _fill(self, writer: StoreWriter) -> None:
        fill_pool(writer, self.name, self.sources(), self.form, self.processes)

    def _stored_derived(self) -> Mapping[str, NDArray[Any]]:
        """Stored too: labels and members are then shared between processes."""
        folder = self._derived_folder
        if (store := find_store(folder)) is not None:
            return store.arrays()
        arrays = derive(self.pool, self.given_splits(self.pool), self.data_spec.charset, self, self.label)

        def fill(writer: StoreWriter) -> None:
            for name, array in arrays.items():
                writer.add(name, array)

        try:
            return make_store(folder, self._derived_key, fill).arrays()
        except DataError:  # the data lies where we may not write; each process then has its own
            return arrays

    def _scan(self) -> tuple[Charset, int]:
        texts = [visual_order(tidy_text(text, self.normalization)) for text in self._all_texts()]
        given = self.given_charset
        if given is None:
            charset = Charset.from_texts(texts, self.normalization)
        else:
            charset = given.extended(texts) if self.unknown_characters == "add" else given
        _, offsets = charset.encode_all(texts)
        return charset, int(np.diff(offsets).max(initial=1))

    def _all_texts(self) -> list[str]:
        """The texts of all lines whose pictures are looked for, whether or not they turn out to be damaged."""
        if not self.is_prepared():
            return [sample.text for source in self.sources() for sample in source.samples if not sample.problem]
        return [*self.pool.texts, *(one.text for one in self.pool.rejected)]
