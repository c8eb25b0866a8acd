"""Base of the datasets of text lines: conversion into a store, charset and labels, splits, batches."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from text_recognizer.charset import Charset, graphemes, tidy_text
from text_recognizer.datasets.base import DataSpec, SplitName
from text_recognizer.datasets.characters.base import SPLIT_SEED
from text_recognizer.datasets.formats.charset_files import read_charset
from text_recognizer.datasets.line_source import LineSample, LineSource
from text_recognizer.datasets.lines.args import UNKNOWN_RULES, LineArgs
from text_recognizer.datasets.lines.labels import derive
from text_recognizer.datasets.lines.pool import LinePool, fill_pool, text_problem
from text_recognizer.datasets.lines.remarks import remarks
from text_recognizer.datasets.lines.split import LineSplit
from text_recognizer.datasets.storage.rejected import Rejected, outlook_in_words, unpacked_rejected, write_table
from text_recognizer.datasets.storage.store import StoreWriter
from text_recognizer.datasets.stored import StoredDataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.images.line_form import LineForm
from text_recognizer.reading_order import has_right_to_left, visual_order
from text_recognizer.wording import did_you_mean, received

# Arguments that labels and splits depend on, besides the content of the pool.
_DERIVED_BY = (
    "normalization",
    "unknown_characters",
    "max_length",
    "validation_fraction",
    "test_fraction",
    "subsample_fraction",
)
_MOST_SCANS = 64
_scans: dict[str, tuple[Charset, int]] = {}  # cache: checking a sweep needs the same charset for every point


@dataclass(kw_only=True, eq=False, repr=False)
class LineDataset(LineArgs, StoredDataset):
    """A dataset of text lines. Raises SpecError: unknown_characters is neither a rule nor one character.

    Texts are in logical order, as they are read; labels are in visual order, from the left end of the line. The two
    differ if a text has right-to-left characters: a label of Hebrew begins with the last letter. Models convert their
    readings back; see text_recognizer.reading_order.
    """

    noun = "line"
    straightened: ClassVar[bool] = False  # as in DataSpec

    def __post_init__(self) -> None:
        rule = self.unknown_characters
        if rule not in UNKNOWN_RULES and len(graphemes(rule)) != 1:
            raise SpecError(
                f"unknown_characters must be one of {', '.join(UNKNOWN_RULES)}, or one character that replaces them."
                f"{did_you_mean(rule, UNKNOWN_RULES)} {received(rule)}"
            )

    @abstractmethod
    def sources(self) -> Iterator[LineSource]:
        """All lines, always in the same order, without their images. Raises DataError: a file is damaged."""

    def given_splits(self, pool: LinePool) -> NDArray[np.int8]:
        """(N,) the split given by the files for each line: a position in SPLIT_NAMES, -1 for none, UNUSED."""
        return pool.splits

    @property
    def split_key(self) -> dict[str, Any]:
        """What `given_splits` depends on, besides the stored lines."""
        return {}

    @property
    def form(self) -> LineForm:
        """The form to which images are converted."""
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
            straightened=self.straightened,
        )

    def scan(self) -> tuple[Charset, int]:
        """The charset and the maximum length of a line, from the texts; the same before and after `prepare`."""
        args = [self.charset, self.normalization, self.unknown_characters]
        key = json.dumps([self.name, self.texts_key, args], sort_keys=True)
        if key not in _scans:
            while len(_scans) >= _MOST_SCANS:
                _scans.pop(next(iter(_scans)))
            _scans[key] = self._scan()
        return _scans[key]

    @property
    def texts_key(self) -> dict[str, Any]:
        """What the texts depend on; cheaper than `depends_on` if the images are many files."""
        return self._checked_depends_on()

    @cached_property
    def given_charset(self) -> Charset | None:
        """The charset of the argument `charset`."""
        if self.charset is None:
            return None
        return read_charset(self.charset, self.normalization, self.label)

    def prepare(self) -> None:
        super().prepare()
        write_table(self._folder, self.pool.rejected)

    def outlook(self) -> str | None:
        with suppress(DataError):  # its files are not here
            pages = lines = 0
            rejected = []
            for source in self._checked_sources():
                problems = ((one, text_problem(one)) for one in source.samples)
                unfit = [Rejected(one.name, problem, noun=one.noun) for one, problem in problems if problem]
                pages += source.is_page and len(unfit) < len(source.samples)
                lines += len(source.samples) - len(unfit)
                rejected += unfit
            return outlook_in_words(pages, lines, rejected)
        return None

    def split(self, name: SplitName) -> LineSplit:
        derived, most = self.derived, None if self.width else self.max_width
        return LineSplit(self.pool, derived[name], derived["labels"], derived["label_offsets"], self.data_spec, most)

    def remarks(self, name: SplitName) -> list[str]:
        return list(remarks(self.split(name), name, self))

    @property
    def rejected(self) -> list[Rejected]:
        """The lines that were left out, with reasons. Needs `prepare` first."""
        return [*self.pool.rejected, *unpacked_rejected(self.derived)]

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.store.content_hash.encode())
        for name, array in sorted(self.derived.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    @cached_property
    def pool(self) -> LinePool:
        """All lines, of all splits."""
        return LinePool(self.store, self.height)

    @cached_property
    def derived(self) -> Mapping[str, NDArray[Any]]:
        """Arrays that depend on charset and splits: members of each split, labels, lines rejected for their text."""
        charset, given = self.data_spec.charset, self.given_splits(self.pool)
        return self.derived_arrays(self._derived_key, lambda: derive(self.pool, given, charset, self, self.label))

    @property
    def recipe(self) -> dict[str, Any]:
        return {"form": asdict(self.form)}

    def _fill(self, writer: StoreWriter) -> None:
        fill_pool(writer, self.name, self._checked_sources(), self.form, self.processes)

    def _checked_sources(self) -> Iterator[LineSource]:
        found: Any = self.sources()
        for source in found if isinstance(found, Iterable) else [found]:
            if not isinstance(source, LineSource) or not all(isinstance(one, LineSample) for one in source.samples):
                what = "LineSources, whose samples are LineSamples"
                raise DataError(f"{self.name}: sources() must yield {what}. {received(source)}")
            yield source

    @property
    def _derived_key(self) -> dict[str, Any]:
        charset = self.data_spec.charset
        return {
            "content": self.store.content_hash,
            "seed": SPLIT_SEED,
            "charset": charset.to_json(),
            **({"order": "visual"} if any(map(has_right_to_left, charset.characters)) else {}),
            **({"unwritable": "evaluated"} if self.unknown_characters == "drop" else {}),
            **self.split_key,
            **{name: getattr(self, name) for name in _DERIVED_BY},
        }

    @property
    def _table_folder(self) -> Path:
        return self.derived_folder(self._derived_key)

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
        """The texts of all lines whose images will be read, whether or not they turn out to be damaged."""
        if not self.is_prepared():
            samples = (sample for source in self._checked_sources() for sample in source.samples)
            return [sample.text for sample in samples if not sample.problem]
        return [*self.pool.texts, *(one.text for one in self.pool.rejected)]
