"""Sweeps as the page shows them: the output of `sweeps list`, `show` and `explain`, and why each trial was stopped."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from text_recognizer.errors import RunError, TextRecognizerError
from training.files.json_objects import version_of
from training.sweeps.folder import SIGNS, SweepFolder
from training.sweeps.history import History
from training.sweeps.table import COLUMNS, SweepRow, read_sweep, sweep_state
from training.sweeps.trials import Trial, read_trials
from training.terminal.tables import shown
from training.ui.run_views import mean_of
from training.views.index import Index, key_below, leads_out
from training.views.sweeps import explained, trial_rows

_READ = ("sweep.json", "trials.jsonl", "control", "sweep.yaml", "sweep.lock")


class Sweeps:
    """The sweeps below the index's folder, cached."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._views: dict[str, SweepView] = {}
        self._lock = threading.Lock()

    def folders(self) -> dict[str, SweepFolder]:
        """Sweeps by key: every folder with a sweep's files that contains runs, or that is at the level of groups."""
        root = self._index.root
        places = {row.folder.parent for row in self._index.rows() if row.folder != root}
        places |= {path.parent for sign in SIGNS for path in root.glob(f"*/{sign}")}
        has_sign = (path for path in places if any((path / sign).is_file() for sign in SIGNS))
        found = [path for path in has_sign if not path.is_symlink()]
        return {key_below(root, path): SweepFolder(path) for path in sorted(found)}

    def table(self) -> dict[str, Any]:
        rows = self.rows()
        columns = [*COLUMNS, *(["damage"] if any(row.damage for _, row in rows) else [])]
        cells = [[key, row.state, *(shown(name, getattr(row, name)) for name in columns)] for key, row in rows]
        return {"columns": columns, "rows": cells}

    def rows(self) -> list[tuple[str, SweepRow]]:
        """All sweeps by key, newest first."""
        rows = [(key, self._row(folder)) for key, folder in self.folders().items()]
        return sorted(rows, key=lambda one: (-(one[1].created or 0.0), one[1].name))

    def view(self, key: str) -> "SweepView":
        """One sweep. Raises RunError: there is none."""
        with self._lock:
            if key not in self._views:
                folder = self.folders().get(key)
                if folder is None:
                    raise RunError(f"there is no sweep '{key}' in {self._index.root}.")
                self._views[key] = SweepView(folder, self._index)
            return self._views[key]

    def _row(self, folder: SweepFolder) -> SweepRow:
        out = _link_out(folder.path, self._index.root)
        return read_sweep(folder) if out is None else SweepRow(name=folder.name, state="damaged", damage=out)


class SweepView:
    """One sweep; reports are read again only if a run has new ones."""

    def __init__(self, folder: SweepFolder, index: Index) -> None:
        self.folder = folder
        self._index = index
        self._lock = threading.Lock()
        self._history: History | None = None
        self._journal: tuple[int, int] | None = None

    def described(self) -> dict[str, Any]:
        """The output of `sweeps show`, and why each trial ended. Raises RunError: the sweep is damaged."""
        if (out := _link_out(self.folder.path, self._index.root)) is not None:
            raise RunError(out)
        summary, facts = read_sweep(self.folder), self.folder.facts()
        if summary.state == "damaged":
            raise RunError(str(summary.damage))
        history = self._current()
        return {
            **summary.to_json(),
            "goal": history.metric.goal,
            "source": facts.source,
            "folder": str(self.folder.path),
            "created": shown("created", facts.created),
            "best_shown": shown("best", summary.best),
            "holder": self.folder.holder(),
            "trials_shown": self.trials(),
        }

    def state(self) -> str:
        return sweep_state(self.folder, self.folder.journal().rows)

    def trials(self) -> list[dict[str, Any]]:
        """Best first."""
        with self._lock:
            history = self._current()
            return [self._row(row, history, history.trials[row["trial"]]) for row in trial_rows(history)]

    def _row(self, row: Mapping[str, Any], history: History, trial: Trial) -> dict[str, Any]:
        runs = [self._index.key_of(run.folder) for run in trial.runs]
        rows = [self._index.row(key) for key in runs if key is not None]
        tested = {name for one in rows for name in one.summary if name.startswith("test_")}
        return {
            **row,
            "shown": shown("value", row["value"]),
            "runs": runs,
            "half": mean_of([history.run_value(run) for run in trial.runs]).half if len(trial.runs) > 1 else None,
            "ended": max((one.times["ended"] for one in rows if "ended" in one.times), default=None),
            "tested": {name: mean_of([one.summary.get(name) for one in rows]).value for name in sorted(tested)},
            "why": [trial.error] if trial.error else [],
            **{name: value for name, value in explained(trial).items() if name in ("how", "decisions")},
        }

    def importance(self) -> dict[str, float]:
        """Each parameter's importance, if known. Raises TextRecognizerError: the sweep's file cannot be read."""
        from training.sweeps.plan_file import read_plan
        from training.sweeps.results.ending import importance_of

        if not (self.folder.path / "sweep.yaml").is_file():
            return {}
        plan = read_plan(self.folder.path / "sweep.yaml", name=self.folder.name, base={})
        with self._lock:
            return importance_of(plan, self._current())

    def _current(self) -> History:
        seen = version_of(self.folder.path / "trials.jsonl")
        if self._history is None or seen != self._journal:
            trials = read_trials(self.folder.journal().rows, self.folder.path)
            for run in (run for trial in trials.values() for run in trial.runs):
                if run.reused and self._index.key_of(run.folder) is None:  # no path may lead out of the folder
                    run.folder = self.folder.path / run.folder.name
            history = History(self.folder.facts().metric, trials)
            if self._history is not None:
                history.reports = self._history.reports
            self._history, self._journal = history, seen
        return self._history


class SweepFeed:
    """Updates of the page of one sweep: the changed trials; none if only its state has changed."""

    def __init__(self, view: SweepView) -> None:
        self._view = view
        self._state = ""
        self._told: dict[int, dict[str, Any]] | None = None

    def news(self) -> Iterator[tuple[str, Any]]:
        try:
            trials, state = {row["trial"]: row for row in self._view.trials()}, self._view.state()
        except TextRecognizerError:  # it is briefly unavailable
            return
        changed = [row for number, row in trials.items() if self._told is None or self._told.get(number) != row]
        if self._told is not None and (changed or state != self._state):
            yield "trials", changed
        self._told, self._state = trials, state


def _link_out(folder: Path, root: Path) -> str | None:
    """Why the files of a sweep are not read."""
    out = next((name for name in _READ if leads_out(folder / name, root)), None)
    return None if out is None else f"{folder / out} is a link that leads out of {root}."
