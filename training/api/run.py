"""Runs in Python: run folders with metrics as arrays, and tables of runs."""

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluation.predictions import prediction_fault
from text_recognizer.errors import RunError, TextRecognizerError
from text_recognizer.models.bundle import Bundle
from text_recognizer.spec import ExperimentSpec
from text_recognizer.trust import trust_all
from training.api.edited import read_edited_again
from training.api.typed import typed
from training.files.journals import read_journal
from training.runs.environment import users_modules
from training.runs.find import bundle_named, find_run
from training.runs.run import Run as RunFolder
from training.runs.run_table import RunRow, columns_to_show, read_row, read_rows, select
from training.terminal.log_file import standard_error_off

if TYPE_CHECKING:
    from text_recognizer.predictors.base import Predictor


class Run:
    """One run: `tr.Run("last")`, an id, the start of one, a folder, or a run. Its files are read on demand.

    Raises:
        RunError: no run, or several, have that name.

    Example:
        >>> run = tr.Run("last")
        >>> run.metrics["val_accuracy"].max()
        >>> run.predictor().predict("digit.png").text
    """

    def __init__(self, name: "str | Path | Run | RunFolder") -> None:
        given = name._run if isinstance(name, Run) else name
        self._run: RunFolder = given if isinstance(given, RunFolder) else find_run(str(given))

    @property
    def folder(self) -> Path:
        return self._run.folder

    @property
    def id(self) -> str:
        return self._run.id

    @property
    def spec(self) -> ExperimentSpec:
        """The completed spec."""
        return self._run.spec

    @property
    def state(self) -> str:
        """created, running, finished, stopped, failed, preempted, died, or damaged. Raises RunError: it is gone."""
        if (row := read_row(self.folder)) is None:
            raise RunError(f"the run {self.folder} is gone.")
        return row.state

    @property
    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """Every metric of the epochs so far, "epoch" among them: (epochs,) each; NaN where an epoch has none."""
        rows = {row["epoch"]: row for row in self._run.rows() if "epoch" in row and "loss" in row}
        ordered = [rows[epoch] for epoch in sorted(rows)]
        names = dict.fromkeys(name for row in ordered for name in row)
        return {name: np.array([_number(row.get(name)) for row in ordered]) for name in names}

    @property
    def summary(self) -> dict[str, float]:
        """Metrics of the best weights on the validation and the test split; empty until the run is finished."""
        return dict(self._run.status().summary)

    @property
    def evaluation(self) -> dict[str, Any]:
        """evaluation.json: test metrics with 95 % intervals, and more. Raises RunError: the run is not finished."""
        if not self._run.has("evaluation.json"):
            raise RunError(f"the run {self.folder} has no evaluation: its state is {self.state}.")
        return self._run.read_json("evaluation.json")

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """The reading of every sample of the test split; empty until the run is finished."""
        return read_journal(self.folder / "predictions.jsonl", prediction_fault)

    @property
    def log(self) -> str:
        """The output of the run."""
        try:
            return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def predictor(self) -> "Predictor":
        """Reads images with the best weights."""
        return load_predictor(self)

    def resume(self, **arguments: Any) -> "Run":
        """Resumes from the last checkpoint; arguments: see `run_experiment`. Raises RunError: it failed."""
        from training.api.experiments import resume

        return resume(self, **arguments)

    def stop(self, reason: str = "requested from Python") -> None:
        """Asks the run to stop at its next checkpoint. Raises RunError: it is not running."""
        self._run.ask_to_stop(reason)

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self._in_words()}>"

    def _repr_html_(self) -> str:
        from evaluation.pages import render
        from training.terminal.tables import shown

        summary, spec = {}, ""
        with contextlib.suppress(TextRecognizerError):  # the state says what is wrong
            spec = json.dumps(self.spec.to_json(), indent=2, ensure_ascii=False)
            summary = {name: shown(name, value) for name, value in self.summary.items()}
        return render("api_run.html", run=self, words=self._in_words(), summary=summary, spec=spec)

    def _in_words(self) -> str:
        from training.terminal.tables import test_results

        if (row := read_row(self.folder)) is not None and row.damage:
            return row.damage
        try:
            status = self._run.status()
        except RunError as error:
            return str(error)
        epoch = (row and row.value("epoch")) or 0
        words = test_results(status.summary) or (f"epoch {epoch} of {status.epochs}" if status.epochs else "")
        return ", ".join(filter(None, (status.state, words, status.error)))


class Table(ABC):
    """A table, shown in a terminal or a notebook."""

    @abstractmethod
    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        """Columns and rows."""

    def __repr__(self) -> str:
        from training.terminal.tables import table_lines

        return "\n".join(table_lines(*self._table()))

    def _repr_html_(self) -> str:
        from evaluation.pages import render

        columns, rows = self._table()
        return render("api_table.html", columns=columns, rows=rows)


class Runs(Table, Sequence[Run]):
    """Several runs, printed as by `text-recognizer runs list`."""

    def __init__(self, rows: Sequence[RunRow], columns: Sequence[str]) -> None:
        self._rows = list(rows)
        self.columns = tuple(columns)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        """A run, or for a slice, a selection of runs."""
        if isinstance(place, slice):
            return Runs(self._rows[place], self.columns)
        return Run(RunFolder(self._rows[place].folder))  # may be damaged or deleted

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One object per run, as in `text-recognizer runs list --json`."""
        return [row.to_json() for row in self._rows]

    def to_pandas(self) -> Any:
        """A pandas.DataFrame: one row per run, columns as in `runs list --columns`. Raises RunError: no pandas."""
        try:
            import pandas as pd
        except ImportError:
            raise RunError("to_pandas needs the package pandas: pip install pandas. `rows` works without it.") from None
        return pd.DataFrame([row.flat() for row in self._rows])

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        from training.terminal.tables import shown

        return self.columns, [[shown(column, row.value(column)) for column in self.columns] for row in self._rows]

    def __repr__(self) -> str:
        return super().__repr__() if self._rows else "no runs"


@typed
def runs(
    *filters: str,
    state: str | None = None,
    group: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    columns: str | Sequence[str] | None = None,
) -> Runs:
    """All runs, newest first. Raises SpecError: an invalid filter or state, a column that no run has.

    Args:
        filters: conditions that must all hold: "network=mlp", "test_accuracy>=0.9", "dataset~Emnist".
        state, group: only runs in this state, or in this experiment group.
        sort: a metric or a key of the spec; "-COLUMN" for descending.
        limit: maximum number of runs.
        columns: columns of the printed table, also as "id,test_accuracy".
    Example:
        >>> tr.runs("network=lenet", sort="-test_accuracy", limit=5)
    """
    rows = list(read_rows())
    found = select(rows, filters, sort, limit, state, group)
    return Runs(found, columns_to_show(columns, found, rows))


@typed
def load_predictor(source: Run | Bundle | str | Path, *, trust_code: bool = False) -> "Predictor":
    """A predictor with a trained model, for images of one character or one line.

    `text_recognizer.predictors.ParagraphTextRecognizer(reader=PREDICTOR)` reads pages with a line reader.

    Args:
        source: a run (`tr.Run`, an id, the start of one, "last"), a run or bundle folder, or a model's name.
        trust_code: run code named by a bundle or run from elsewhere, like --trust-code; for the rest of this process.
    Raises:
        RunError, DataError: there is no such run or bundle, or it is damaged.
        SpecError: it names code from elsewhere.

    Example:
        >>> tr.load_predictor("last").predict("digit.png").text
    """
    from text_recognizer.predictors.load import load

    if trust_code:
        trust_all()
    found = source.folder if isinstance(source, Run) else source
    with standard_error_off():  # TensorFlow's start-up notes
        bundle = bundle_named(found) if isinstance(found, (str, Path)) else found
        read_edited_again(users_modules([bundle.spec]))
        return load(bundle)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
