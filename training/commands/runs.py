"""text-recognizer runs: shows and compares runs, and runs one again."""

import argparse
import csv
import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.predictions import prediction_fault
from text_recognizer.errors import RunError
from text_recognizer.wording import counted, shell_word
from training.commands.base import Command, add_action, other_runs
from training.commands.curves import draw_curves
from training.files.journals import read_journal
from training.runs.find import find_run
from training.runs.places import runs_folder
from training.runs.run import AT_WORK, Run
from training.runs.run_table import (
    DEFAULT_COLUMNS,
    LISTED_STATES,
    RunRow,
    columns_to_show,
    is_filter,
    read_row,
    read_rows,
    select,
)
from training.runs.sealing import looks_at, looks_in_words
from training.terminal.command_line import say
from training.terminal.parser import number
from training.terminal.tables import print_table, shown
from training.views.runs import compared, described

TAIL_S = 0.2
CHANGES_SHOWN = 5  # of each kind; --json has more
_EXPORTED = (("TE_L", "label"), ("TE_P", "predicted"))
EXAMPLES = """examples:
  text-recognizer runs list --filter network=mlp --filter "test_accuracy>=0.9" --sort=-test_accuracy
  text-recognizer runs list --columns id,train_args.batch_size,test_accuracy --format csv
  text-recognizer runs list --state failed --group my-lines --json
  TEXT_RECOGNIZER_RUNS=/other/disk/runs text-recognizer runs list
  text-recognizer runs show last
  text-recognizer runs compare 20261120-093012 20261120-094520
  text-recognizer runs rerun last --seed=1
  text-recognizer runs tail last
  text-recognizer runs export last predict.txt
  text-recognizer runs import mlruns --group older
"""


class Runs(Command):
    """Look at runs: list, show, compare, rerun, stop, tail, export, import."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(metavar="ACTION", required=True)
        listing = add_action(actions, "list", _list, "all runs, the newest first")
        listing.set_defaults(hint_if_surplus=_hint_if_surplus)
        add = listing.add_argument
        add("--filter", action="append", default=[], metavar="COND", help="like network=mlp, epoch>3, id~lenet")
        add("--sort", metavar="COLUMN", help="a metric or key of the spec; -COLUMN for descending")
        usual = f"{','.join(DEFAULT_COLUMNS)}; damage where a run is damaged"
        add("--columns", help=f"comma-separated (default: {usual})")
        add("--state", metavar="STATE", help=", ".join(LISTED_STATES))
        add("--group", metavar="NAME", help="only runs of this experiment group")
        forms = listing.add_mutually_exclusive_group()
        forms.add_argument("--format", choices=("table", "csv", "json"), default="table")
        forms.add_argument("--json", dest="format", action="store_const", const="json", help="same as --format json")
        add("--limit", type=int, metavar="N", help="at most N runs (a table on a terminal: 50)")
        show = add_action(actions, "show", _show, "everything about one run")
        what = "differences between runs, metrics side by side, learning curves"
        compare = add_action(actions, "compare", _compare, what)
        stop = add_action(actions, "stop", _stop, "ask a run to stop at its next checkpoint")
        tail = add_action(actions, "tail", _tail, "follow the output of a run until it ends")
        what = "a new run with the spec of an old one; further arguments as for run_experiment"
        rerun = add_action(actions, "rerun", _rerun, what)
        export = add_action(actions, "export", _export, "labels and readings of the test split, as lines TE_L and TE_P")
        importing = add_action(actions, "import", _import, "runs of MLflow, W&B (offline), TensorBoard or a CSV file")
        importing.add_argument("path", type=Path, metavar="PATH", help="a folder or a CSV file")
        importing.add_argument("--group", metavar="NAME", help="experiment group (default: the name of PATH)")
        for action in (show, stop, tail, rerun, export):
            action.add_argument("name", metavar="RUN", help="folder, id, start of an id, or last")
        show.add_argument("--json", action="store_true", help="print one JSON object")
        compare.add_argument("names", nargs="+", metavar="RUN", help="folder, id, start of an id, or last")
        forms = compare.add_mutually_exclusive_group()
        forms.add_argument("--json", action="store_true", help="print one JSON object")
        forms.add_argument("--curve", metavar="METRIC", help="draw this metric (default: val_accuracy or val_loss)")
        stop.add_argument("--reason", default="asked to by text-recognizer runs stop", help="recorded in the run")
        lines = "earlier lines shown first (default: 20)"
        tail.add_argument("--lines", type=number(int, 0), default=20, metavar="N", help=lines)
        export.add_argument("output", type=Path, metavar="FILE", help="a new file, like predict.txt")
        rerun.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…")


def _hint_if_surplus(given: str) -> str:
    return f" Did you mean --filter {shell_word(given)}?" if is_filter(given) else other_runs(given)


def _list(arguments: argparse.Namespace) -> int:
    limit = arguments.limit
    if limit is None and arguments.format == "table" and sys.stdout.isatty():
        limit = 50
    every = list(read_rows())
    rows = select(every, arguments.filter, arguments.sort, limit, arguments.state, arguments.group)
    columns = columns_to_show(arguments.columns, rows, every)
    if arguments.format == "json":
        print(json.dumps([row.to_json() for row in rows], indent=1))
    elif arguments.format == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        values = ([row.value(column) for column in columns] for row in rows)
        writer.writerows([json.dumps(one) if isinstance(one, (dict, list)) else one for one in line] for line in values)
    else:
        print_table(columns, [[shown(column, row.value(column)) for column in columns] for row in rows])
        if not every:
            print(f"no run in {runs_folder()} yet; TEXT_RECOGNIZER_RUNS names another folder")
        elif len(rows) < len(every):
            print(f"{len(rows):,} of {len(every):,} runs")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    run = find_run(arguments.name)
    if arguments.json:
        print(json.dumps({**described(run), "test_looks": looks_at(run.folder)}, indent=2))
        return 0
    status, spec, row = run.status(), run.spec, read_row(run.folder)
    rows, damage, looks = run.rows(), run.damage() or (row and row.damage), looks_in_words(run.folder)
    print(
        f"run         {run.id}   {row.state if row else status.state}" + (f": {status.error}" if status.error else "")
    )
    print(f"folder      {run.folder}")
    created = shown("created", status.times.get("created"))
    print(f"created     {created}, epoch {(row and row.value('epoch')) or len(rows)} of {status.epochs}")
    print(f"experiment  {spec.network} on {spec.dataset}, group {spec.experiment_group}, seed {spec.seed}")
    if damage:
        print(f"damage      {damage}")
    for name, value in status.summary.items():
        print(f"  {name:<24} {shown(name, value)}")
    if looks is not None:
        print(f"test looks  {looks}")
    if curves := draw_curves({run.id: rows}):
        print(curves)
    for name in ("report.html", "log.txt", "model"):
        if (run.folder / name).exists():
            print(f"{name:<11} {run.folder / name}")
    if status.state in ("stopped", "preempted", "died", "failed"):
        print(f"resume with run_experiment --resume {shell_word(run.folder)}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    runs = [find_run(name) for name in arguments.names]
    rows = [_row(run) for run in runs]
    found = compared(rows)
    words = found.pop("in_words")
    if arguments.json:
        print(json.dumps({"runs": [row.to_json() for row in rows], **found}, indent=1))
        return 0
    table = [["state", *(row.state for row in rows)]]
    for name, values in (*found["differing"].items(), *found["metrics"].items()):
        table.append([name, *(shown(name, value) for value in values)])
    print_table(["", *(run.id for run in runs)], table)
    if curves := draw_curves({run.id: run.rows() for run in runs}, arguments.curve):
        print(curves)
    elif arguments.curve is not None:
        print(f"no curve of {arguments.curve}: no run has a number of it for two epochs or more")
    if words is not None:
        print(f"test: {words}")
        _print_changes(found["changes"], [run.id for run in runs])
    return 0


def _print_changes(changed: dict[str, Any], ids: Sequence[str]) -> None:
    for name, part in changed.items():
        print(f"{name}: {counted(part['count'], 'sample')} in the second run")
        cells = [
            [json.dumps(row[key], ensure_ascii=False) for key in ("sample", "label", "first", "second")]
            for row in part["largest"]
        ]
        if cells:
            print_table(["sample", "label", *ids], cells[:CHANGES_SHOWN])


def _export(arguments: argparse.Namespace) -> int:
    run = find_run(arguments.name)
    rows = read_journal(run.folder / "predictions.jsonl", prediction_fault)
    if not rows:
        raise RunError(f"the run {run.folder} has no predictions: it is not finished.")
    lines = ((sign, " ".join(row[key].splitlines())) for row in rows for sign, key in _EXPORTED)
    text = "".join(f"{sign} {line}\n" for sign, line in lines)
    try:
        with open(arguments.output, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"cannot write {arguments.output}: {error.strerror or error}. Name a new file.") from None
    print(f"{counted(len(rows), 'prediction')} in {arguments.output}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from training.runs.imports import import_runs

    made, known = import_runs(arguments.path, arguments.group)
    for run in made:
        print(run.folder)
    print(f"{counted(len(made), 'run')} imported" + (f", {known} were there already" if known else ""))
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    run = find_run(arguments.name)
    run.ask_to_stop(arguments.reason)
    print(f"{run.id} will stop at its next checkpoint. Resume it later: run_experiment --resume {shell_word(run.id)}")
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    run = find_run(arguments.name)
    log = run.folder / "log.txt"
    if run.status().state == "created":
        say(f"{run.id} has not started yet; waiting for its first line (Ctrl-C to stop waiting)")
    while not log.exists():
        # The log again, after the state: a run may start and end in between.
        if run.status().state not in AT_WORK and not log.exists():
            raise RunError(f"the run {run.folder} has no log.")
        time.sleep(TAIL_S)
    if not log.is_file():
        raise RunError(f"{log} is not a file.")
    with open(log, encoding="utf-8", errors="replace") as file:
        sys.stdout.writelines(deque(file, arguments.lines))
        while True:
            # Before reading, so that the last output is included. The lock is free once the log is complete.
            at_work = run.status().state in AT_WORK or run.is_held()
            sys.stdout.write(file.read())
            sys.stdout.flush()
            if not at_work:
                return 0
            time.sleep(TAIL_S)


def _rerun(arguments: argparse.Namespace) -> int:
    from training.run_experiment import run

    old = find_run(arguments.name)
    return run([str(old.folder / "spec.json"), *arguments.arguments], prog="text-recognizer runs rerun")


def _row(run: Run) -> RunRow:
    """The row of a run in the table of runs. Raises RunError: the run is damaged."""
    row = read_row(run.folder)
    if row is None or row.damage:
        raise RunError(str(row.damage) if row else f"{run.folder} is no longer a run folder.")
    return row
