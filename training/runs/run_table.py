"""Run folders as rows of a table: read fast, filtered, sorted, with any key of the spec or metric as a column."""

import contextlib
import math
import operator
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, SpecError, reason
from text_recognizer.spec import flatten, parse_value, typed_fields
from text_recognizer.wording import did_you_mean, received
from training.files.journals import examine
from training.files.json_objects import read_regular
from training.runs.checks import STATES, report_fault, spec_fault
from training.runs.contents import read_status, was_begun
from training.runs.places import group_folder_name, run_folders
from training.runs.run import Run
from training.runs.sent import synced
from training.runs.tails import last_reported

DEFAULT_COLUMNS = ("id", "group", "state", "epoch", "network", "dataset", "test_accuracy", "val_loss", "synced")
LISTED_STATES = (*STATES, "died", "damaged")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "~": lambda value, pattern: re.search(str(pattern), str(value)) is not None,
}
_FILTER = re.compile(rf"([\w.]+)\s*({'|'.join(_COMPARISONS)})\s*(.*)", flags=re.DOTALL)


@dataclass(frozen=True)
class RunRow:
    """The current state of a run, with a value for each column.

    Args:
        status, spec: content of the files, checked; empty if damaged.
        state: state of the run, or "damaged".
        damage: why the run cannot be read.
        reported: the latest metrics of an unfinished run, as far as its summary is not newer.
    """

    folder: Path
    status: dict[str, Any]
    state: str
    spec: dict[str, Any]
    damage: str | None = None
    reported: dict[str, Any] = field(default_factory=dict)

    def value(self, column: str) -> Any:
        """Built-in columns, then metrics, then (dotted) keys of the spec; None if there is none."""
        return self._found(column, None)

    def has(self, column: str) -> bool:
        """Whether the run has a column, even if its value is null."""
        return self._found(column, self) is not self

    def _found(self, column: str, otherwise: Any) -> Any:
        if column in _OWN:
            return _OWN[column](self)
        for metrics in (self.reported, self.summary):
            if column in metrics:
                return metrics[column]
        found: Any = self.spec
        for key in column.split("."):
            if not isinstance(found, dict) or key not in found:
                return otherwise
            found = found[key]
        return found

    @property
    def summary(self) -> dict[str, Any]:
        return self.status.get("summary", {})  # type: ignore[no-any-return]

    @property
    def metrics(self) -> dict[str, Any]:
        """The summary, or what an unfinished run has reported last."""
        return self.summary | self.reported

    @property
    def times(self) -> dict[str, float]:
        return self.status.get("times", {})  # type: ignore[no-any-return]

    @property
    def duration_s(self) -> float | None:
        """Duration of the latest attempt so far in seconds; if it died, up to its last output."""
        started = self.times.get("started")
        if started is None:
            return None
        until = self.times.get("ended", time.time())
        if self.state == "died":
            with contextlib.suppress(OSError):
                until = (self.folder / "log.txt").stat().st_mtime
        return round(max(0.0, until - started), 1)

    def flat(self) -> dict[str, Any]:
        """Every column with its value: built-in ones, then the dotted keys of the spec, and the metrics."""
        own = {column: self.value(column) for column in OWN_COLUMNS}
        spec = {key: value for key, value in flatten(self.spec).items() if value != {}}
        return own | spec | self.metrics | own

    def to_json(self) -> dict[str, Any]:
        own = {column: self.value(column) for column in OWN_COLUMNS}
        return {**own, "summary": self.summary, "reported": self.reported, "spec": self.spec}


_OWN: dict[str, Callable[[RunRow], Any]] = {
    "id": lambda row: row.folder.name,
    "group": lambda row: row.folder.parent.name,
    "state": lambda row: row.state,
    "epoch": lambda row: row.status.get("epoch"),
    "epochs": lambda row: row.status.get("epochs"),
    "created": lambda row: row.times.get("created"),
    "duration_s": lambda row: row.duration_s,
    "error": lambda row: row.status.get("error"),
    "cause": lambda row: row.status.get("cause"),
    "folder": lambda row: str(row.folder),
    "synced": lambda row: synced(row.folder, row.state),
    "damage": lambda row: row.damage,
}
OWN_COLUMNS = tuple(_OWN)


def read_rows(root: Path | None = None) -> Iterator[RunRow]:
    """All runs, unordered; damaged ones with the reason. Raises RunError: the folder of runs cannot be read."""
    return (row for folder in run_folders(root) if (row := read_row(folder)) is not None)


def read_row(folder: Path) -> RunRow | None:
    """One run; None if the folder does not contain one."""
    try:
        status = read_status(folder)
        spec = Run(folder).read_json("spec.json")
        state = status["state"]
        if state == "running":  # checking the lock takes two more calls: only if it matters
            state = Run.open(folder).status().state
    except RunError as error:
        return RunRow(folder, {}, "damaged", {}, str(error)) if was_begun(folder) else None
    fault = spec_fault(spec)
    if fault is not None:
        return RunRow(folder, {}, "damaged", {}, f"{folder / 'spec.json'} is not the spec of a run: {fault}")
    if state != "finished":
        return _with_reports(RunRow(folder, status, state, spec))
    lost = _lost_reports(folder)
    return RunRow(folder, status, state if lost is None else "damaged", spec, lost)


def _with_reports(row: RunRow) -> RunRow:
    """An unfinished run with the latest epoch and metrics that it has reported. Reads only the end of the reports."""
    reported, status = last_reported(row.folder / "metrics.jsonl"), dict(row.status)
    if "epoch" in reported:  # an imported run may count steps
        epoch = min(reported.pop("epoch"), status.get("epochs", math.inf))
        status["epoch"] = max(epoch, status.get("epoch", 0))
    # The summary of a run at work is of the time before it was extended; that of an imported run is complete.
    others = {"step", "time", *(row.summary if status["state"] != "running" else ())}
    news = {name: value for name, value in reported.items() if name not in others}
    return replace(row, status=status, reported=news)


def _lost_reports(folder: Path) -> str | None:
    """Why none of a run's reports can be read; None if one can, or if there are none. Reads as little as possible."""
    path = folder / "metrics.jsonl"
    with contextlib.suppress(OSError, RunError):
        if read_regular(path, 1) not in (b"", b"{") and not (journal := examine(path, report_fault)).rows:
            return f"{path} has no report that can be read. {journal.damage or 'Its only line has no end'}."
    return None


def usual_columns(rows: Sequence[RunRow]) -> list[str]:
    """The default columns of a table of runs."""
    return [*DEFAULT_COLUMNS, *(["damage"] if any(row.damage for row in rows) else [])]


def columns_to_show(asked: str | Sequence[str] | None, shown: Sequence[RunRow], every: Sequence[RunRow]) -> list[str]:
    """The columns of a table of some runs, also as "id,epoch". Raises SpecError: a column that no run has."""
    if asked is None:
        return usual_columns(shown)
    columns = [one.strip() for one in (asked.split(",") if isinstance(asked, str) else asked) if one.strip()]
    if not columns:
        raise SpecError("the columns must be at least one, like id,test_accuracy.")
    for column in columns:
        if column not in DEFAULT_COLUMNS:  # a run may have these later
            _check_column(column, every)
    return columns


def select(
    rows: Sequence[RunRow],
    filters: Sequence[str] = (),
    sort: str | None = None,
    limit: int | None = None,
    state: str | None = None,
    group: str | None = None,
) -> list[RunRow]:
    """The rows that pass all filters, sorted. Raises SpecError: an invalid filter, an unknown column or state.

    Args:
        filters: like "network=mlp", "test_accuracy>=0.9", "dataset~Emnist" (a regular expression).
        sort: a column, with a leading minus for descending; None: newest first. Runs without the column come last.
        limit: maximum number of rows, at least 1.
        state, group: state and group of the runs; None for all. A group is named as in a spec.
    """
    if limit is not None and limit < 1:
        raise SpecError(f"the limit must be at least 1. {received(limit)}")
    if state not in (None, *LISTED_STATES):
        known = ", ".join(LISTED_STATES)
        raise SpecError(f"unknown state '{state}'.{did_you_mean(str(state), LISTED_STATES)} Known: {known}.")
    conditions = [_parse_filter(text) for text in filters]
    column, descending = (sort.lstrip("-"), sort.startswith("-")) if sort else ("created", True)
    for name in (*(name for name, *_ in conditions), column):
        _check_column(name, rows)
    folder = None if group is None else group_folder_name(group)
    wanted = [row for row in rows if state in (None, row.state) and folder in (None, row.folder.parent.name)]
    kept = [row for row in wanted if all(_passes(row, *condition) for condition in conditions)]
    # Numbers before texts; runs without a value last, in both directions.
    keys = [(value, row) for row in kept if (value := row.value(column)) is not None]
    keys.sort(key=lambda one: (0, one[0]) if isinstance(one[0], (int, float)) else (1, str(one[0])), reverse=descending)
    return [*(row for _, row in keys), *(row for row in kept if row.value(column) is None)][:limit]


def is_filter(text: str) -> bool:
    """Whether a text has the form of a filter."""
    return _FILTER.fullmatch(text) is not None


def _parse_filter(text: str) -> tuple[str, Callable[[Any, Any], bool], str, Any]:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise SpecError(f"the filter '{text}' is not COLUMN, one of {' '.join(_COMPARISONS)}, VALUE, like network=mlp.")
    column, sign, value = match.groups()
    if sign == "~":
        try:
            re.compile(value)
        except re.error as error:
            raise SpecError(f"the filter '{text}' has no valid regular expression: {reason(error)}.") from None
    return column, _COMPARISONS[sign], value, value if sign == "~" else parse_value(value)


def _passes(row: RunRow, column: str, compare: Callable[[Any, Any], bool], text: str, wanted: Any) -> bool:
    value = row.value(column)
    if isinstance(value, str) and not isinstance(wanted, str):  # an id or group of digits
        wanted = text
    try:
        return value is not None and compare(value, wanted)
    except TypeError:  # a number compared with a text
        return False


def _check_column(column: str, rows: Sequence[RunRow]) -> None:
    if column in OWN_COLUMNS or column in typed_fields() or not rows or any(row.has(column) for row in rows):
        return
    metrics = {name for row in rows for name in row.metrics}
    keys = {key for row in rows for key in flatten(row.spec)} if "." in column else set()
    known = sorted(metrics) + list(OWN_COLUMNS)
    raise SpecError(
        f"no run has the column '{column}'.{did_you_mean(column, [*known, *sorted(keys), *typed_fields()])} "
        f"There are: {', '.join(known)}, and the keys of a spec like train_args.batch_size."
    )
