"""Writes records again with other labels; everything else in an Example stays."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from text_recognizer.charset import graphemes
from text_recognizer.datasets.formats.gnt import map_file
from text_recognizer.datasets.formats.tfrecord import encode_example, find_frames
from text_recognizer.datasets.records.checking import all_characters
from text_recognizer.datasets.records.folder import MadeShard, Plan, ShardTask, make_shards
from text_recognizer.datasets.records.reading import Shard, records, target_of
from text_recognizer.datasets.storage.file_states import state_of_files
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError
from text_recognizer.reading_order import visual_order


def relabel_records(
    shards: Sequence[Shard], folder: Path, ids: Mapping[str, int] | None = None, processes: int | None = None
) -> tuple[dict[str, Any], list[MadeShard]]:
    """Writes new shards of the same names; records without a label, and damaged ones, are left out.

    Args:
        ids: ids of the texts, counting from 0 without gaps; by default those of all characters found, sorted.
    Returns:
        the index, and the result for each shard.
    Raises:
        DataError: as `make_shards`; the ids have gaps, or no record has a text.
    """
    if any(shard.path.parent.absolute() == folder.absolute() for shard in shards):
        raise DataError(f"{folder} holds the old records. Give another folder for the new ones.")
    ids = ids if ids is not None else {text: number for number, text in enumerate(all_characters(shards))}
    if not ids:
        raise DataError("the records do not hold their texts. Give the labels they were written with as --old-labels.")
    if sorted(ids.values()) != list(range(len(ids))):
        raise DataError(f"the labels do not count from 0 to {len(ids) - 1} without gaps.")
    tasks = [
        ShardTask(shard.path.name, shard.split, count, partial(_relabelled, shard, ids))
        for shard in shards
        for count in [sum(1 for _ in find_frames(map_file(shard.path)))]
    ]
    about = {"relabelled": state_of_files(shard.path for shard in shards), "target": target_of(shards)}
    return make_shards(folder, Plan(shards[0].form, sorted(ids, key=ids.__getitem__), about), tasks, processes)


def _relabelled(shard: Shard, ids: Mapping[str, int]) -> Iterator[bytes | Rejected]:
    for record in records(shard):
        if isinstance(record, Rejected):
            yield record
            continue
        characters = [record.text]
        if len(record.label) > 1 or record.text not in ids:  # a line; its ids are in visual order
            shown = visual_order(record.text)
            characters = list(shown) if all(one in ids for one in shown) else graphemes(shown)
        if unknown := [one for one in characters if one not in ids]:
            yield Rejected(record.place, f"there is no label for '{unknown[0]}'", record.text)
        elif not characters:
            yield Rejected(record.place, "it says no text, by which a label could be found")
        else:
            yield encode_example({**record.features, shard.form.label: [ids[one] for one in characters]})
