"""text-recognizer records: writes, reads, checks and relabels TFRecords of characters or lines."""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT, characters_of
from text_recognizer.datasets.records.checking import Findings, check_records, quoted
from text_recognizer.datasets.records.forms import ENCODINGS, FORMS, form_named
from text_recognizer.datasets.records.label_files import read_labels
from text_recognizer.datasets.records.reading import Shard, sound_pictures
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.datasets.samples import draw_pictures
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.spec import parse_json
from text_recognizer.wording import counted
from training.api.samples import dataset_named, picture_file, save_picture
from training.commands.base import Command, add_action
from training.terminal.parser import POSITIVE, add_dataset_args
from training.terminal.tables import print_table

EXAMPLES = """examples:
  text-recognizer records write DigitsDataset digits --encoding raw
  text-recognizer records read digits --limit 5
  text-recognizer records read digits --output pictures
  text-recognizer records check digits --output samples.png
  text-recognizer records relabel old new --labels characters.txt
  text-recognizer records write HwdbDataset hwdb --form inception --dataset_args '{"side": 74, "stretch": true}'"""
_MOST_NAMED = _ROWS = 20


class Records(Command):
    """TFRecords of characters or lines: write, read, check, relabel."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

        writing = add_action(commands, "write", _write, "write a dataset as shards; continues after an interruption")
        writing.add_argument("dataset", metavar="DATASET", help="a dataset class")
        writing.add_argument("folder", type=Path, metavar="FOLDER", help="folder for the shards")
        add_dataset_args(writing)
        writing.add_argument("--encoding", choices=ENCODINGS, help="encoding of images (default: that of the form)")
        writing.add_argument(
            "--shard-size", type=POSITIVE, default=4096, metavar="N", help="records per shard (default: %(default)s)"
        )
        writing.add_argument("--seed", type=POSITIVE, default=1, metavar="N", help="seed of the shuffle (default: 1)")

        reading = add_action(commands, "read", _read, "list records, or extract images and a table")
        reading.add_argument("--limit", type=POSITIVE, metavar="N", help="records (default: 20; with --output, all)")
        reading.add_argument("--output", type=Path, metavar="FOLDER", help="write images to this new folder")

        checking = add_action(commands, "check", _check, "read everything; report damage and conflicting labels")
        checking.add_argument("--output", type=picture_file, metavar="FILE", help="write a sheet of sample images")
        checking.add_argument("--count", type=POSITIVE, default=40, metavar="N", help="samples (default: %(default)s)")
        font_help = "font for the labels (default: one that has their characters)"
        checking.add_argument("--font", default=DEFAULT_FONT, metavar="FILE", help=font_help)

        mending = add_action(commands, "relabel", _relabel, "write new shards with other labels")
        for action in (reading, checking, mending):
            action.add_argument("records", type=Path, metavar="RECORDS", help="a folder of shards, or one shard")
        mending.add_argument("folder", type=Path, metavar="FOLDER", help="folder for the new shards")
        labels = "ids of texts as JSON, one text per line (.txt), a char_dict or a pickle"
        mending.add_argument(
            "--labels", type=Path, metavar="FILE", help=f"the correct {labels} (default: all characters, sorted)"
        )
        for action, option in ((reading, "--labels"), (checking, "--labels"), (mending, "--old-labels")):
            action.add_argument(
                option, dest="old_labels", type=Path, metavar="FILE", help=f"for records without texts: {labels}"
            )
        for action in (writing, reading, checking, mending):
            usual = "default" if action is writing else "detected"
            action.add_argument("--form", choices=FORMS, help=f"names of keys and files (default: {usual})")
            action.add_argument("--keys", default="{}", metavar="JSON", help="replacements for keys of the form")
            action.add_argument("--json", action="store_true", help="print JSON instead of tables")
        for action in (writing, mending):
            action.add_argument("--processes", type=POSITIVE, metavar="N", help="processes (default: one per core)")


def _write(args: argparse.Namespace) -> int:
    from text_recognizer.datasets.records.writing import write_records

    form = form_named(args.form or "default", parse_json(args.keys, "--keys"))
    dataset = dataset_named(args.dataset, args.dataset_args)
    index, made = write_records(dataset, args.folder, form, args.encoding, args.shard_size, args.seed, args.processes)
    _print_made(args, index, made)
    return 0


def _read(args: argparse.Namespace) -> int:
    shards = _shards(args, whole=args.output is not None)
    if args.output is not None:
        from text_recognizer.datasets.records.extracting import TABLE, extract_records

        count, rejected = extract_records(shards, args.output, args.limit)
        if args.json:
            print(json.dumps({"table": str(args.output / TABLE), "pictures": count}))
        else:
            print(f"{args.output / TABLE}: {counted(count, 'image')}")
    else:
        rows, rejected = _listed(shards, args.limit or _ROWS)
        if args.json:
            print(json.dumps(rows, indent=1))
        else:
            _print_listed(rows)
    return _named(rejected)


def _check(args: argparse.Namespace) -> int:
    characters_of(args.font)  # before everything is read
    found = check_records(_shards(args), args.count if args.output else 0)
    problems = list(found.problems())
    if args.json:
        splits = {split: {"shards": found.shards[split], "records": count} for split, count in found.examples.items()}
        told = {"splits": splits, "characters": found.characters, "without_text": found.without_text}
        print(json.dumps({**told, "problems": problems}, indent=1))
    else:
        _print_found(found, problems)
    if args.output is not None and found.samples:
        save_picture(draw_pictures(found.samples, args.font), args.output)
        if not args.json:
            print(f"{args.output}: {counted(len(found.samples), 'sample')}")
    return 1 if problems else 0


def _relabel(args: argparse.Namespace) -> int:
    from text_recognizer.datasets.records.relabelling import relabel_records

    ids = read_labels(args.labels) if args.labels is not None else None
    index, made = relabel_records(_shards(args, whole=True), args.folder, ids, args.processes)
    _print_made(args, index, made)
    return _named([one for shard in made for one in shard.rejected])


def _shards(args: argparse.Namespace, whole: bool = False) -> list[Shard]:
    return open_shards(args.records, args.form, parse_json(args.keys, "--keys"), args.old_labels, whole)


def _print_found(found: Findings, problems: Sequence[str]) -> None:
    rows = [[split or "-", f"{found.shards[split]:,}", f"{count:,}"] for split, count in found.examples.items()]
    print_table(["split", "shards", "records"], rows)
    if counts := found.characters:
        least, most = f"{min(counts.values()):,}", f"{max(counts.values()):,}"
        print(f"{counted(len(counts), 'character')}, each {least if least == most else f'{least} to {most}'} times")
    if found.without_text:
        print(f"{counted(found.without_text, 'record')} cannot be compared: no text, or not an id for each character")
    for problem in problems:
        print(problem)
    print(f"{counted(len(problems), 'problem')}")


def _print_made(args: argparse.Namespace, index: dict[str, Any], made: Sequence[Any]) -> None:
    sizes = {
        split: {"shards": len(one["shards"]), "records": one["examples"]} for split, one in index["splits"].items()
    }
    labels, kept = len(index["classes"]), sum(not shard.is_new for shard in made)
    if args.json:
        print(json.dumps({"folder": str(args.folder), "splits": sizes, "labels": labels, "kept": kept}, indent=1))
        return
    rows = [[split or "-", *(f"{count:,}" for count in one.values())] for split, one in sizes.items()]
    print_table(["split", "shards", "records"], rows)
    print(f"{args.folder}: {counted(labels, 'label')}" + (f", {counted(kept, 'shard')} kept" if kept else ""))


def _listed(shards: Sequence[Shard], limit: int) -> tuple[list[dict[str, Any]], list[Rejected]]:
    rows: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    for shard, record, picture in islice(sound_pictures(shards, rejected), limit):
        height, width = picture.shape
        about = {"record": record.place, "split": shard.split, "label": list(map(int, record.label))}
        rows.append({**about, "text": record.text, "width": width, "height": height, "name": record.name})
    return rows, rejected


def _print_listed(rows: Sequence[dict[str, Any]]) -> None:
    cells = [
        [
            row["record"],
            row["split"] or "-",
            " ".join(map(str, row["label"])),
            quoted(row["text"]),
            f"{row['width']} x {row['height']}",
            quoted(row["name"]),
        ]
        for row in rows
    ]
    print_table(["record", "split", "label", "text", "pixels", "name"], cells)


def _named(rejected: Sequence[Rejected]) -> int:
    """Reports what was left out; returns the exit code."""
    for one in rejected[:_MOST_NAMED]:
        sys.stderr.write(f"{one.name}: {one.reason}\n")
    if rejected:
        sys.stderr.write(f"{counted(len(rejected), 'record')} left out.\n")
    return 1 if rejected else 0
