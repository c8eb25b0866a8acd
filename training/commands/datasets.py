"""`text-recognizer datasets`: lists, downloads, verifies, registers and exports datasets."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import text_recognizer.datasets.exports  # noqa: F401 - registers its kind
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.exports.base import DatasetExport
from text_recognizer.datasets.remote.fetch import any_file, fetch, raw_folder, verify
from text_recognizer.datasets.remote.metadata import (
    ABOUT_KEYS,
    find_table,
    load_registry,
    registry_files,
    shown,
)
from text_recognizer.datasets.samples import draw_samples
from text_recognizer.datasets.storage.store import Store
from text_recognizer.errors import DataError, SpecError
from text_recognizer.named_part import NamedPart
from text_recognizer.registry import names
from text_recognizer.settings import data_folder
from text_recognizer.wording import counted, did_you_mean
from training.api.samples import dataset_named, picture_file, save_picture
from training.commands.base import Command, add_action
from training.terminal.parser import add_dataset_args
from training.terminal.tables import wide_console
from training.views.datasets import describe_table

EXAMPLES = """examples:
  text-recognizer datasets list
  text-recognizer datasets show DigitsDataset --count 40
  text-recognizer datasets fetch mnist
  text-recognizer datasets verify
  text-recognizer datasets export RenderedLinesDataset lines.hdf5 --dataset_args '{"num_texts": 500}'
  text-recognizer datasets add my-letters https://example.org/letters.zip --title "My letters" --licence "CC BY 4.0"

Files are kept below TEXT_RECOGNIZER_DATA; the registry is
TEXT_RECOGNIZER_METADATA, files or folders with a metadata.toml (metadata/metadata.toml)."""


class Datasets(Command):
    """Datasets: list, show, fetch, verify, add to the registry, export."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

        listing = add_action(commands, "list", _list, "remote datasets with their state, and the dataset classes")
        showing = add_action(commands, "show", _show, "draw samples of a dataset with their labels into an image")
        showing.add_argument("--split", choices=SPLIT_NAMES, default="train", help="(default: %(default)s)")
        showing.add_argument("--count", type=int, default=16, metavar="N", help="samples (default: %(default)s)")
        showing.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
        font_help = "font for the labels (default: one that has their characters)"
        showing.add_argument("--font", default=DEFAULT_FONT, metavar="FILE", help=font_help)
        picture = Path("samples.png")
        showing.add_argument(
            "--output", type=picture_file, default=picture, metavar="FILE", help="(default: %(default)s)"
        )

        fetching = add_action(commands, "fetch", _fetch, "download and verify; prints the paths")
        verifying = add_action(commands, "verify", _verify, "compare everything fetched or converted with its hashes")
        verifying.add_argument(
            "names", nargs="*", metavar="NAME", help="a name in the registry, or a dataset class (default: all)"
        )
        for action in (listing, showing, verifying):
            action.add_argument("--json", action="store_true", help="print one JSON object")
        updating = add_action(commands, "update", _update, "write hashes of files that have changed into the registry")
        for action in (fetching, updating):
            action.add_argument("names", nargs="+", metavar="NAME", help="a name in the registry")

        adding = add_action(commands, "add", _add, "compute size and hash of files and write their table")
        adding.add_argument("name", metavar="NAME", help="the new name in the registry")
        adding.add_argument("sources", nargs="+", metavar="URL|FILE", help="https, http, s3 or file address, or a path")
        for key in ABOUT_KEYS:
            adding.add_argument(f"--{key}", default=None, metavar="TEXT")
        adding.add_argument("--login", metavar="TEXT", help="where users register to download the files")
        adding.add_argument("--sha256", action="append", default=[], metavar="HASH", help="expected hash; one per file")
        adding.add_argument("--endpoint-url", metavar="URL", help="server for s3:// addresses (default: AWS)")
        adding.add_argument("--replace", action="store_true", help="replace the entry of this name")

        exporting = add_action(commands, "export", _export, "write a dataset for other tools")
        for action in (showing, exporting):
            action.add_argument("dataset", metavar="DATASET", help="a dataset class")
            add_dataset_args(action)
        exporting.add_argument("output", type=Path, metavar="OUTPUT", help="a new file or folder")
        forms = "export format; see text-recognizer list exports (default: %(default)s)"
        exporting.add_argument("--as", dest="form", metavar="NAME[:ARGS]", default="hdf5", help=forms)


def _list(args: argparse.Namespace) -> int:
    tables = load_registry()
    described = {
        "remote": [describe_table(table) for table in tables.values()],
        "datasets": [_describe_class(name) for name in names("dataset")],
    }
    if args.json:
        sys.stdout.write(json.dumps(described, indent=2) + "\n")
    else:
        _print_tables(described)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    for table in [find_table(name) for name in args.names]:
        for path in fetch(table).values():
            sys.stdout.write(f"{path}\n")
    return 0


def _verify(args: argparse.Namespace) -> int:
    tables = load_registry()
    folders = sorted(path for path in (data_folder() / "processed").glob("[!.]*") if path.is_dir())
    known = {*tables, *names("dataset"), *map(_dataset_of, folders)}
    for name in args.names:
        if name not in known:
            what = f"there is no table, dataset class or store called '{name}'.{did_you_mean(name, known)}"
            raise DataError(f"{what} Known: {', '.join(sorted(known))}.")
    problems: list[str] = []
    file_count = store_count = 0
    for table in tables.values():
        if table.name in args.names or (not args.names and any_file(table)):
            file_count += len(table.files)
            problems += verify(table)
    for folder in folders:
        if not args.names or {_dataset_of(folder), _table_of(folder)} & set(args.names):
            store_count += 1
            problems += _store_problems(folder)
    if args.json:
        print(json.dumps({"files": file_count, "stores": store_count, "problems": problems}, indent=2))
        return 1 if problems else 0
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    read = f"{counted(file_count, 'file')} and {counted(store_count, 'store')} read"
    sys.stdout.write(f"{read}, {counted(len(problems), 'problem')}\n")
    return 1 if problems else 0


def _add(args: argparse.Namespace) -> int:
    from text_recognizer.datasets.remote.new_table import add_table

    table = add_table(
        args.name,
        args.sources,
        about={key: getattr(args, key) for key in ABOUT_KEYS if getattr(args, key)},
        sha256=args.sha256,
        login=args.login,
        endpoint_url=args.endpoint_url,
        replace=args.replace,
    )
    for file in table.files:
        sys.stdout.write(f"{file.filename}  {file.size_bytes} bytes  sha256 {file.sha256}\n")
    sys.stdout.write(f"added [{table.name}] to {shown(table.metadata)}; its files are in {raw_folder(table)}\n")
    return 0


def _update(args: argparse.Namespace) -> int:
    from text_recognizer.datasets.remote.new_table import update_table

    for name in args.names:
        for path in update_table(name):
            sys.stdout.write(f"{path}\n")
    return 0


def _show(args: argparse.Namespace) -> int:
    dataset = dataset_named(args.dataset, args.dataset_args)
    save_picture(draw_samples(dataset, args.split, args.count, args.seed, args.font), args.output)
    if args.json:
        facts = {"output": str(args.output), "split": args.split, "sizes": dataset.sizes()}
        print(json.dumps({"dataset": args.dataset, **facts, "classes": len(dataset.data_spec.classes)}, indent=2))
        return 0
    classes = f"{len(dataset.data_spec.classes):,} classes"
    sys.stdout.write(f"{args.output}: {args.split} samples of {args.dataset} ({_sizes(dataset)}; {classes})\n")
    return 0


def _export(args: argparse.Namespace) -> int:
    export: DatasetExport = NamedPart.parse("export", args.form).make()
    dataset = dataset_named(args.dataset, args.dataset_args)
    if (target := dataset.data_spec.target) != export.target:
        raise SpecError(
            f"--as {args.form} writes datasets of {export.target}s; '{args.dataset}' shows {target}s. "
            f"See text-recognizer list exports."
        )
    dataset.prepare()
    export.write(dataset, args.output)
    sys.stdout.write(f"{args.output}: {_sizes(dataset)} {target}s of {args.dataset}\n")
    return 0


def _sizes(dataset: Dataset) -> str:
    return ", ".join(f"{size:,} {name}" for name, size in dataset.sizes().items())


def _describe_class(name: str) -> dict[str, Any]:
    from training.views.parts import describe

    described = describe("dataset", name)
    if "problem" in described:
        return {"name": name, "problem": described["problem"], "arguments": []}
    arguments = [
        {"name": argument, "type": found["type"]} | ({} if found["required"] else {"default": found["default"]})
        for argument, found in described["arguments"].items()
    ]
    return {"name": name, "meaning": described["summary"], "arguments": arguments}


def _print_tables(described: dict[str, list[dict[str, Any]]]) -> None:
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    files = ", ".join(map(shown, registry_files()))
    remote = Table("name", "title", "licence", "files", "size", "state", title=f"Remote datasets ({files})")
    for table in described["remote"]:
        size = decimal(table["size_bytes"]) if table["size_bytes"] else "unknown"
        cells = (table["name"], table["title"], table["licence"], str(len(table["files"])), size, table["state"])
        remote.add_row(*map(Text, cells))
    title = "Dataset classes (with their arguments: text-recognizer list datasets NAME)"
    classes = Table("name", "meaning", title=title)
    for found in described["datasets"]:
        classes.add_row(*map(Text, (found["name"], found.get("problem") or found["meaning"])))
    wide_console().print(remote, classes)


def _dataset_of(store: Path) -> str:
    return store.name.rpartition("-")[0].removesuffix("-splits")


def _table_of(store: Path) -> str | None:
    try:
        table = Store(store).meta["key"].get("table")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # _store_problems reports it
    return table if isinstance(table, str) else None


def _store_problems(store: Path) -> list[str]:
    try:
        found = Store(store).problems()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        found = [f"{store / 'meta.json'} cannot be read ({error})"]
    return [f"{problem}: remove {store}, and it is made again" for problem in found]
