"""Writes a folder of shards: in parallel, resumable, with a result independent of the number of workers."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from text_recognizer.arguments import to_json
from text_recognizer.datasets.base import SplitName
from text_recognizer.datasets.formats.tfrecord import write_record
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.records.label_files import LABELS, labels_json
from text_recognizer.datasets.records.reading import Record, Shard, records
from text_recognizer.datasets.records.shards import INDEX
from text_recognizer.datasets.remote.fetch import one_process
from text_recognizer.datasets.storage.parallel import in_processes, progress
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.errors import DataError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.whole_files import replace_file, sha256_of

_VERSION = 1
_ONE_PROCESS = 4096  # examples; below, starting processes costs more than they save


@dataclass(frozen=True)
class ShardTask:
    """A shard to be written; it is pickled and written in another process.

    Args:
        file: name of the shard.
        size: number of samples, including those that cannot become an example.
        examples: makes serialised Examples, deterministically, and reports samples that cannot become one.
    """

    file: str
    split: SplitName | None
    size: int
    examples: Callable[[], Iterator[bytes | Rejected]]


class MadeShard(NamedTuple):
    """A finished shard, read back from disk: examples per id, and what was left out."""

    examples: int
    size_bytes: int
    sha256: str
    ids: Counter[int]
    rejected: list[Rejected]
    is_new: bool


@dataclass(frozen=True)
class Plan:
    """What a folder of records is made of: texts of the ids, and `about`: what else the content depends on, as JSON."""

    form: RecordForm
    texts: Sequence[str]
    about: Mapping[str, Any]

    @property
    def head(self) -> dict[str, Any]:
        return {"version": _VERSION, "form": to_json(self.form), "labels": LABELS, **self.about}


def make_shards(
    folder: Path, plan: Plan, tasks: Sequence[ShardTask], processes: int | None = None
) -> tuple[dict[str, Any], list[MadeShard]]:
    """Writes missing shards, then the index. Raises DataError: the folder has other content, or is read-only.

    Shards are written atomically; those that exist after a kill are kept if they can be read.

    Returns:
        the index, and the shards in the order of the tasks.
    """
    total = sum(task.size for task in tasks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_process(folder / ".writing", f"to write records to {folder}"):
            _claim(folder, plan)
            replace_file(folder / LABELS, labels_json(plan.texts))
            made = []
            with progress(str(folder), total, "record") as done:
                work = partial(_made, folder=folder, form=plan.form)
                for shard in in_processes(work, tasks, 1 if total < _ONE_PROCESS else processes):
                    made.append(shard)
                    done(shard.examples)
            index = _index(plan, tasks, made)
            replace_file(folder / INDEX, json.dumps(index, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        is_none = isinstance(error, FileExistsError | NotADirectoryError)
        advice = "" if is_none else " Finished shards are kept: the same command continues."
        raise DataError(f"cannot write {error.filename or folder}: {reason(error, folder)}.{advice}") from error
    return index, made


def _claim(folder: Path, plan: Plan) -> None:
    """Claims the folder for this content, or checks that it is claimed for it."""
    head = plan.head
    if not (folder / INDEX).exists():
        if any(not file.name.startswith(".") and file.name != LABELS for file in folder.iterdir()):
            raise DataError(f"{folder} is not empty, and has no {INDEX}. Give another folder, or empty it.")
        replace_file(folder / INDEX, json.dumps(head, ensure_ascii=False, indent=1) + "\n")
        return
    try:
        found = parse_json_text((folder / INDEX).read_text(encoding="utf-8"))
        different = [key for key, value in head.items() if found.get(key) != value]
    except (OSError, ValueError, AttributeError):
        different = ["everything"]
    if different:
        raise DataError(
            f"{folder} holds records of something else; these differ: {', '.join(different)}. Give another folder."
        )


def _made(task: ShardTask, folder: Path, form: RecordForm) -> MadeShard:
    """Runs in a worker process."""
    path, rejected = folder / task.file, []

    def write(file: BinaryIO) -> None:
        for example in task.examples():
            if isinstance(example, Rejected):
                rejected.append(example)
            else:
                write_record(file, example)

    found = _read_again(path, form) if path.exists() else None
    is_new = found is None
    if is_new:
        replace_file(path, write)
        found = _read_again(path, form)
    if found is None:
        raise DataError(f"{path} was written but cannot be read back. Is the disk faulty?")
    examples, ids = found
    if not is_new and examples != task.size:
        rejected += [one for one in task.examples() if isinstance(one, Rejected)]
    return MadeShard(examples, path.stat().st_size, sha256_of(path), ids, rejected, is_new)


def _read_again(path: Path, form: RecordForm) -> tuple[int, Counter[int]] | None:
    """The numbers of examples and ids in a shard; None if it is damaged."""
    examples, ids = 0, Counter[int]()
    for record in records(Shard(path, form), with_picture=False):
        if not isinstance(record, Record):
            return None
        examples += 1
        ids.update(record.label)
    return examples, ids


def _index(plan: Plan, tasks: Sequence[ShardTask], made: Sequence[MadeShard]) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    ids: dict[str, Counter[int]] = {}
    for task, shard in zip(tasks, made, strict=True):
        split = splits.setdefault(task.split or "", {"examples": 0, "shards": {}})
        split["examples"] += shard.examples
        about = {"examples": shard.examples, "bytes": shard.size_bytes, "sha256": shard.sha256}
        split["shards"][task.file] = about
        ids.setdefault(task.split or "", Counter()).update(shard.ids)
    classes = {text: {split: found[number] for split, found in ids.items()} for number, text in enumerate(plan.texts)}
    return {**plan.head, "splits": splits, "classes": classes}
