"""Checks records: contents, damage, missing shards, characters that share a label."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from text_recognizer.charset import graphemes
from text_recognizer.datasets.records.reading import Record, Shard, records, sound_pictures
from text_recognizer.datasets.records.shards import lacking
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.images.line_steps import Grey
from text_recognizer.reading_order import visual_order
from text_recognizer.wording import counted

_MOST_LISTED = 20


@dataclass
class Findings:
    """The result of reading all records.

    Args:
        examples, shards: number per split; "" for files whose names give none.
        texts: examples of each character with each label: {label: {character: count}}.
        listed: texts of the ids in the label file.
        samples: images with their texts, chosen at random.
        lacking: missing shards, or what to do if the writing was interrupted.
    """

    examples: Counter[str] = field(default_factory=Counter)
    shards: Counter[str] = field(default_factory=Counter)
    texts: dict[int, Counter[str]] = field(default_factory=dict)
    without_text: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    lacking: str = ""
    listed: Mapping[int, str] | None = None
    samples: list[tuple[Grey, str]] = field(default_factory=list)

    @property
    def characters(self) -> Counter[str]:
        """How often each character occurs."""
        return sum(self.texts.values(), Counter())

    def problems(self) -> Iterator[str]:
        """One sentence per problem."""
        for number, texts in sorted(self.texts.items()):
            if len(texts) > 1:
                shown = ", ".join(f"{quoted(text)} ({count:,})" for text, count in texts.most_common(_MOST_LISTED))
                yield f"label {number} is shared by {counted(len(texts), 'character')}: {shown}"
            for text in texts:
                if self.listed is not None and (listed := self.listed.get(number)) != text:
                    meant = quoted(listed) if listed is not None else "nothing"
                    yield f"label {number} is {meant} in the label file, and {quoted(text)} in records"
        labels: dict[str, list[int]] = {}
        for number, texts in sorted(self.texts.items()):
            for text in texts:
                labels.setdefault(text, []).append(number)
        for text, numbers in sorted(labels.items()):
            if len(numbers) > 1:
                shown = ", ".join(map(str, numbers[:_MOST_LISTED]))
                yield f"{quoted(text)} has {counted(len(numbers), 'label')}: {shown}"
        if self.lacking:
            yield self.lacking
        for one in self.rejected:
            yield f"{one.name}: {one.reason}"


def check_records(shards: Sequence[Shard], samples: int = 0) -> Findings:
    """Reads all records, decodes their images and keeps some as samples."""
    found, random = Findings(lacking=lacking(shards), listed=shards[0].texts), np.random.default_rng(0)
    found.shards.update(shard.split or "" for shard in shards)
    for seen, (shard, record, picture) in enumerate(sound_pictures(shards, found.rejected), start=1):
        found.examples[shard.split or ""] += 1
        together = _pairs(record)
        found.without_text += not together
        for number, text in together:
            found.texts.setdefault(number, Counter())[text] += 1
        # Reservoir sampling: each image is kept with the same probability.
        place = len(found.samples) if len(found.samples) < samples else int(random.integers(seen))
        if place < samples:
            found.samples[place : place + 1] = [(picture, record.text)]
    return found


def quoted(text: str) -> str:
    """A text from a file, made safe for a terminal: one line, no control sequences."""
    return f"'{text[:80]}'" if text[:80].isprintable() else ascii(text[:80])


def _pairs(record: Record) -> list[tuple[int, str]]:
    """Ids with their characters; none if their numbers differ."""
    if len(record.label) == 1 and record.text:
        return [(record.label[0], record.text)]
    shown = visual_order(record.text)
    for characters in (list(shown), graphemes(shown)):
        if len(characters) == len(record.label):
            return list(zip(record.label, characters, strict=True))
    return []


def all_characters(shards: Sequence[Shard]) -> list[str]:
    """The characters of all records, sorted; images are not decoded."""
    found: set[str] = set()
    for shard in shards:
        for record in records(shard):
            if isinstance(record, Record):
                found |= {record.text} if len(record.label) <= 1 else set(graphemes(record.text))
    return sorted(found - {""})
