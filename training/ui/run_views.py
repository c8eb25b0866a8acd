"""Runs as the page shows them: a table, one run, several side by side. The content is that of `runs`."""

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from text_recognizer.errors import RunError, TextRecognizerError, reason
from text_recognizer.spec import flatten
from text_recognizer.wording import shell_word
from training.files.json_objects import is_finite
from training.runs.run import Run
from training.runs.run_table import OWN_COLUMNS, RunRow, select, usual_columns
from training.runs.sealing import looks_in_words
from training.runs.tails import LOG_BYTES, Cursor, read_tail, reports, text_of
from training.terminal.tables import shown
from training.views.index import Index, link_that_leads_out

MOST_COMPARED = 20
_RESUMABLE = ("stopped", "preempted", "died", "failed")


def cells(row: RunRow, columns: Sequence[str]) -> list[str]:
    """The cells of a row, as `runs list` prints them."""
    return [shown(column, row.value(column)) for column in columns]


def table(
    index: Index, filters: Sequence[str], sort: str | None, columns: Sequence[str], most: int | None = None
) -> dict[str, Any]:
    """The rows that pass all filters. Raises SpecError: a filter is invalid, or no run has the column.

    Args:
        most: at most this many rows.
    """
    every = index.keyed()
    keys = {id(row): key for key, row in every}
    rows = select([row for _, row in every], filters, sort)
    columns = columns or usual_columns(rows)
    return {
        "folder": index.shown,
        "total": len(every) + index.unread,
        "unread": index.unread,
        "passed": len(rows),
        "columns": list(columns),
        "rows": [[keys[id(row)], row.state, *cells(row, columns)] for row in rows[:most]],
    }


def grouped(index: Index, filters: Sequence[str], sort: str | None, columns: Sequence[str], by: str) -> dict[str, Any]:
    """One row per value of a column: runs, means with intervals. Raises SpecError: as `table`; no such column.

    What unfinished runs have reported does not count.
    """
    every = index.rows()
    rows = select(every, filters, by)
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        groups.setdefault(shown(by, row.value(by)), []).append(row)
    wanted = [name for name in columns or ("test_accuracy", "val_loss") if name not in OWN_COLUMNS and name != by]
    ended = {value: [replace(row, reported={}) for row in one] for value, one in groups.items()}
    means = {
        (value, name): mean_of([row.value(name) for row in one]) for value, one in ended.items() for name in wanted
    }
    order = list(groups)
    if sort and (name := sort.lstrip("-")) in wanted:
        order.sort(key=lambda value: means[value, name].value or 0.0, reverse=sort.startswith("-"))
        order.sort(key=lambda value: means[value, name].value is None)
    found = [
        [_filter(by, groups[one][0]), "", one, str(len(groups[one])), *(str(means[one, name]) for name in wanted)]
        for one in order
    ]
    return {"folder": index.shown, "total": len(every), "columns": [by, "runs", *wanted], "rows": found, "by": by}


def _filter(by: str, row: RunRow) -> str:
    value = row.value(by)
    return "" if value is None else f"{by}={value if isinstance(value, str) else json.dumps(value)}"


@dataclass(frozen=True)
class Mean:
    """A mean over runs with other seeds; `half` of its 95 % interval by Student's t, None for fewer than two."""

    value: float | None
    half: float | None
    count: int

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.4f}" + (f" ± {self.half:.4f} ({self.count})" if self.half is not None else "")


def mean_of(values: Sequence[Any]) -> Mean:
    """The mean of those that are numbers."""
    numbers = [float(value) for value in values if is_finite(value)]
    if len(numbers) < 2:
        return Mean(numbers[0] if numbers else None, None, len(numbers))
    from scipy.special import stdtrit

    spread = statistics.stdev(numbers) / math.sqrt(len(numbers))
    return Mean(statistics.fmean(numbers), float(stdtrit(len(numbers) - 1, 0.975)) * spread, len(numbers))


def columns_of(index: Index) -> list[str]:
    """All possible columns of a table."""
    rows = index.rows()
    metrics = {name for row in rows for name in row.metrics}
    return [*OWN_COLUMNS, *sorted(metrics), *sorted({key for row in rows for key in flatten(row.spec)})]


def one(index: Index, key: str, is_brief: bool = False) -> dict[str, Any]:
    """Everything about a run, or what is known of a damaged one. Raises RunError: there is no such run.

    Args:
        is_brief: leave out reports and log.
    """
    row = index.row(key)
    run = Run(row.folder)
    return {
        "key": key,
        **row.to_json(),
        "times": {name: shown("created", moment) for name, moment in row.times.items()},
        "shown": {name: shown(name, value) for name, value in row.summary.items()},
        "damage": row.damage or _damage(run),
        "ending": _ending(index, row),
        "commands": [] if index.source else _commands(row),
        "memory": row.status.get("peak_memory_mib"),
        **({} if link_that_leads_out(row.folder, index.root) else _records(run)),
        **({} if is_brief else _files(row)),
    }


def _records(run: Run) -> dict[str, Any]:
    return {
        "environment": _told(lambda: run.read_json("environment.json") if run.has("environment.json") else None),
        "attempts": _told(lambda: list(map(_attempt, run.attempts()))),
        "figures": _told(lambda: figures(run)),
        "test_looks": _told(lambda: looks_in_words(run.folder)),
        "has_predictions": (run.folder / "predictions.jsonl").is_file(),
    }


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    """A start of a run, with its command as text to copy."""
    words = attempt.get("command")
    return {**attempt, "command": " ".join(map(shell_word, words)) if isinstance(words, list) else None}


def _files(row: RunRow) -> dict[str, Any]:
    if row.state == "damaged":
        return {"reports": {"rows": [], "cursor": str(Cursor())}, "log": {"text": "", "cursor": str(Cursor())}}
    log = read_tail(row.folder / "log.txt", Cursor(), LOG_BYTES)
    return {"reports": _reports(row), "log": {"text": text_of(log), "cursor": str(log.cursor)}}


def _reports(row: RunRow) -> dict[str, Any]:
    tail = read_tail(row.folder / "metrics.jsonl", Cursor(), whole_lines=True)
    return {"rows": reports(tail), "cursor": str(tail.cursor)}


def compare(index: Index, keys: Sequence[str]) -> dict[str, Any]:
    """How several runs differ, and their curves. Raises RunError: too many, or one is missing or damaged."""
    if not 1 <= len(keys) <= MOST_COMPARED:
        raise RunError(f"1 to {MOST_COMPARED} runs can be compared. Received: {len(keys)}.")
    rows = [index.row(key) for key in keys]
    if (damaged := next((row for row in rows if row.damage), None)) is not None:
        raise RunError(str(damaged.damage))
    runs = []
    for key, row in zip(keys, rows, strict=True):
        found = _told(lambda row=row: figures(Run(row.folder)))  # type: ignore[misc]
        runs.append({"key": key, "id": row.folder.name, "state": row.state, "reports": _reports(row), "figures": found})
    from training.views.runs import compared

    said = compared(rows)
    for part in ("differing", "metrics"):
        said[part] = {name: [shown(name, value) for value in values] for name, values in said[part].items()}
    return {
        "runs": runs,
        "test": said["in_words"],
        **{name: said[name] for name in ("differing", "metrics", "changes")},
    }


def figures(run: Run) -> dict[str, Any] | None:
    """The metrics in evaluation.json, if it exists, also formatted for tables. Raises RunError: it is damaged."""
    if not run.has("evaluation.json"):
        return None
    evaluation = run.read_json("evaluation.json")
    intervals = evaluation.get("intervals_95", {})
    try:
        return {
            "split": evaluation.get("split"),
            "count": evaluation.get("count"),
            "metrics": [
                {"name": name, "value": value, "shown": shown(name, value), "interval": intervals.get(name)}
                for name, value in evaluation["metrics"].items()
            ],
            "calibration": [
                {"level": one["level"], "error": one["expected_calibration_error"], "bins": one["bins"]}
                for one in evaluation.get("calibration", [])
            ],
            "risk_coverage": [[one["coverage"], one["error"]] for one in evaluation.get("risk_coverage", [])],
            "unseen": evaluation.get("unseen"),
            "confusions": [
                [one["label"], one["predicted"], str(one["count"])] for one in evaluation.get("confusions", [])[:50]
            ],
        }
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise RunError(
            f"{run.folder / 'evaluation.json'} is damaged: {type(error).__name__}: {reason(error)}."
        ) from None


def _ending(index: Index, row: RunRow) -> list[str]:
    """Why a run ended: its own error message, and the decisions of its sweep."""
    said = [str(row.status["error"])] if row.status.get("error") else []
    if (row.folder.parent / "sweep.json").is_file() and row.folder != index.root:
        from training.sweeps.folder import SweepFolder
        from training.sweeps.trials import read_trials

        try:
            trials = read_trials(SweepFolder(row.folder.parent).journal().rows, row.folder.parent)
        except TextRecognizerError as error:
            return [*said, str(error)]
        for trial in trials.values():
            own = [one["text"] for one in trial.decisions if one["run"] == row.folder.name]
            if own or any(run.folder == row.folder for run in trial.runs):
                said += [f"trial {trial.number} of the sweep {row.folder.parent.name}", *own]
    return said


def _commands(row: RunRow) -> list[str]:
    folder = shell_word(row.folder)
    resume = [f"run_experiment --resume {folder}"] if row.state in _RESUMABLE else []
    predict = [f"text-recognizer predict --bundle {folder} IMAGE"] if (row.folder / "model").is_dir() else []
    more = [f"text-recognizer runs {action} {folder}" for action in ("show", "rerun", "tail")]
    return [] if row.state == "damaged" else [*resume, *more, *predict]


def _damage(run: Run) -> str | None:
    try:
        return run.damage()
    except RunError as error:
        return str(error)


def _told(read: Callable[[], Any]) -> Any:
    """The content of a file of the run, or why it cannot be read, which the page shows instead."""
    try:
        return read()
    except TextRecognizerError as error:
        return {"problem": str(error)}
