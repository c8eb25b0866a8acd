"""The tools of an agent: the output of commands, without test metrics, and runs within a budget."""

import contextlib
import inspect
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len

from text_recognizer.arguments import check_arguments, json_schema_of
from text_recognizer.errors import RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.registry import code_from_elsewhere
from text_recognizer.spec import ExperimentSpec, without_dotted_keys
from text_recognizer.wording import did_you_mean, received
from training.devices.gpu_manager import GPUManager
from training.files.json_objects import every_value
from training.mcp.budget import Budget, Started
from training.runs.find import find_run, with_bundles_found
from training.runs.places import group_folder_name, new_run_id, runs_folder
from training.runs.run import Run
from training.runs.run_table import RunRow, select
from training.runs.sealing import is_test_figure, looks_at, note_look, sealed, without_test
from training.runs.tails import LOG_BYTES, Cursor, read_tail, text_of
from training.ui.sweep_views import Sweeps
from training.views.devices import as_json
from training.views.index import Index
from training.views.sweeps import steered

CHANGING = ("run_experiment", "run_sweep", "stop", "test_figures")
_LOOKING = ("list_runs", "show_run", "compare_runs", "list_sweeps", "show_sweep", "list_parts", "devices")
_AGENT = "a spec of an agent"
_LONGEST = 100_000  # characters of a spec, which is an argument of a process
_SEALED = "{} is a figure of the test split, which is sealed. Take one of the validation split."
# Keys of a sweep or trial that reveal the metric.
_VALUES = ("value", "shown", "half", "best", "best_shown", "how", "decisions", "why")
Name = Annotated[str, Len(1, 200)]
Why = Annotated[str, Len(1, 500)]
Count = Annotated[int, Ge(1), Le(200)]
Answer = dict[str, Any]


@dataclass
class Tools:
    """The tools of an agent; `by`: the name recorded for views of test metrics."""

    budget: Budget
    index: Index = field(default_factory=lambda: Index(runs_folder()))
    by: str = "mcp"

    def described(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Name, meaning, and JSON Schema of the arguments of each tool."""
        for name in (*_LOOKING, *CHANGING):
            yield name, inspect.getdoc(getattr(self, name)) or "", json_schema_of(getattr(self, name))

    def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """A tool's result, and the remaining budget. Raises TextRecognizerError: wrong arguments, or it failed."""
        if name not in (known := (*_LOOKING, *CHANGING)):
            raise SpecError(f"there is no tool '{name}'.{did_you_mean(name, known)} There are: {', '.join(known)}.")
        values, problems = check_arguments(f"tool '{name}'", getattr(self, name), arguments)
        if problems:
            raise SpecError(problems)
        self.index.refresh()
        return {**getattr(self, name)(**values), "budget": self.budget.left()}

    def list_runs(
        self, filters: Annotated[list[Name], Len(0, 20)] | None = None, sort: Name = "-created", limit: Count = 20
    ) -> Answer:
        """Runs with their settings, state and validation metrics (if unfinished: those reported last), newest first.

        filters: conditions that must all hold, like "network=mlp", "val_loss<0.5", "state=finished", "id~lenet"
        (contains), "train_args.batch_size>=64". sort: such a column; "-val_accuracy" for descending.
        """
        rows, filters = self.index.rows(), filters or []
        for column in (re.match(r"-*([\w.]*)", text)[1] for text in [*filters, sort]):  # type: ignore[index]
            if is_test_figure(column) and any(column in row.metrics for row in rows):
                raise SpecError(_SEALED.format(column))
        # As plain text: a regular expression may take forever.
        filters = [
            re.sub(r"(?s)^([\w.]+\s*~)(.*)", lambda found: found[1] + re.escape(found[2]), one) for one in filters
        ]
        found = select([sealed(row) for row in rows], filters, sort)
        return {"runs": [row.to_json() for row in found[:limit]], "found": len(found), "total": len(rows)}

    def show_run(self, run: Name, reports: Count = 20, log_lines: Annotated[int, Ge(0), Le(500)] = 0) -> Answer:
        """State, exit reason, settings, validation metrics, last reports and last lines of output of one run.

        run: its id, the start of it, or "last". A run that was just started prepares its data and waits for a device;
        until then, there is only its state. The log is hidden once the run is evaluated, because it has test metrics.
        """
        from training.views.runs import described

        if (starting := self._starting(run)) is not None:
            return starting
        row = self._row(run)
        found = described(Run(row.folder))
        rows = [without_test(one) for one in found.pop("rows")]
        (found["environment"] or {}).pop("packages", None)
        if log_lines:
            log = text_of(read_tail(row.folder / "log.txt", Cursor(), LOG_BYTES)).splitlines()[-log_lines:]
            # After reading: evaluation.json is written before any of it is printed.
            is_sealed = row.state == "finished" or (row.folder / "evaluation.json").exists()
            found["log"] = "sealed: it has figures of the test split" if is_sealed else "\n".join(log)
        found |= {"summary": without_test(found["summary"]), "test_looks": len(looks_at(row.folder))}
        return {**found, "rows": rows[-reports:], "reported": len(rows)}

    def compare_runs(self, runs: Annotated[list[Name], Len(2, 20)]) -> Answer:
        """The differences between the settings of runs, and their validation metrics side by side."""
        from training.views.runs import differences

        rows = [sealed(self._row(run)) for run in runs]
        return {"runs": [row.folder.name for row in rows], **differences(rows)}

    def list_sweeps(self, limit: Count = 50) -> Answer:
        """Sweeps with their state and their best value, newest first."""
        return {"sweeps": [_sealed_sweep(row.to_json()) for _, row in Sweeps(self.index).rows()[:limit]]}

    def show_sweep(self, sweep: Name, trials: Count = 30) -> Answer:
        """A sweep and its best trials: parameters, value, why each was suggested, and why it was stopped."""
        if (starting := self._starting(sweep)) is not None:
            return starting
        found = _sealed_sweep(Sweeps(self.index).view(sweep).described())
        rows = [{name: value for name, value in row.items() if name != "tested"} for row in found["trials_shown"]]
        if "best" not in found:
            rows = [_without(row) for row in sorted(rows, key=lambda row: int(row["trial"]))]  # order would tell
        return {**found, "trials_shown": rows[:trials]}

    def list_parts(self, kind: Name = "networks") -> Answer:
        """What a spec can name, with all arguments: datasets, networks, models, optimizers, schedules, augmentations.

        kind: one of these; train_args; "spec" for the JSON Schema of a whole spec; or "promoted" for named trained
        models.
        """
        from training.views import parts
        from training.views.models import promoted_models

        def promoted() -> list[Answer]:
            return [{**row, "metrics": without_test(row.get("metrics", {}))} for row in promoted_models()]

        others = {"spec": parts.schema, "promoted": promoted}
        if kind not in (known := [*parts.KINDS, "train_args", *others]):
            raise SpecError(f"there is no kind '{kind}'.{did_you_mean(kind, known)} There are: {', '.join(known)}.")
        if kind in others:
            return {kind: others[kind]()}
        found = parts.entries(kind)
        for part in found.values():
            del part["summary"]  # the description begins with it
        return {kind: found}

    def devices(self) -> Answer:
        """The GPUs of this machine: the runs that hold them, the queue, memory and load."""
        return as_json(GPUManager().status())

    def run_experiment(self, spec: dict[str, Any], minutes: Annotated[float, Gt(0)]) -> Answer:
        """Starts a run and returns its id immediately; call show_run for its progress.

        spec: dataset, model and network by name, and dataset_args, model_args, network_args, train_args,
        experiment_group, seed. minutes: it is asked to stop after this time; counted against the budget.
        """
        self.budget.check(1, minutes)
        parsed = ExperimentSpec.parse(without_dotted_keys(_checked(spec)), origin=_AGENT)
        experiment = assemble(with_bundles_found(parsed))
        if (asked := experiment.train_args.minutes) is not None and asked > minutes:
            raise SpecError(f"train_args.minutes must be at most the {minutes:g} minutes of the run. {received(asked)}")
        run_id, text = new_run_id(parsed), json.dumps(_checked(experiment.spec.to_json()))
        place = self.index.root / group_folder_name(parsed.experiment_group) / run_id
        self.budget.start(place, 1, minutes, ["-m", "training.run_experiment", text, f"--id={run_id}"])
        return {"id": run_id, "folder": str(place), "state": "starting"}

    def run_sweep(
        self,
        sweep: dict[str, Any],
        name: Name,
        runs: Annotated[int, Ge(1)],
        minutes: Annotated[float, Gt(0)],
        jobs: Annotated[int, Ge(1), Le(64)] = 1,
    ) -> Answer:
        """Starts a sweep and returns its name immediately; call show_sweep for its progress.

        sweep: the content of a W&B sweep file (method, metric, parameters by dotted key like "train_args.batch_size",
        early_terminate), or {"experiments": [spec, …]}. name: a new one. runs and minutes: the total maximum, counted
        against the budget. jobs: concurrent trials.
        """
        from training.api.experiments import written
        from training.sweeps.options import checked_plan, parser

        self.budget.check(runs, minutes)
        _check_sweep(_checked(sweep))
        place = self.index.root / group_folder_name(name)
        if any(place.with_name(f"{place.name}{end}").exists() for end in ("", ".yaml", ".json")):
            raise SpecError(f"there is a group or sweep '{place.name}' already. Give the sweep another name.")
        path = written(sweep, place.name)
        argv = [str(path), f"--name={place.name}", f"--run-cap={runs}", f"--jobs={jobs}"]
        try:
            checked_plan(parser("run_sweep").parse_args(argv)).check()
            self.budget.start(place, runs, minutes, ["-m", "training.run_sweep", *argv])
        except BaseException:
            path.unlink()
            raise
        return {"name": place.name, "folder": str(place), "state": "starting"}

    def stop(self, why: Why, run: Name | None = None, sweep: Name | None = None) -> Answer:
        """Asks a run to stop at its next checkpoint, or a sweep to start no new trials. Give one of them."""
        if (name := run or sweep) is None or (run and sweep):
            raise SpecError("stop takes a run or a sweep. Give one of the two.")
        if (started := self._not_begun(name)) is not None:
            if not started.is_at_work:  # its process id may be reused
                raise RunError(f"{name} ended before it began: {started.last_lines()}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.process.pid, signal.SIGTERM)
            return {"said": f"{name} is ended before it began."}
        if sweep is not None:
            return {"said": steered(Sweeps(self.index).view(sweep).folder, "stop")}
        row = self._row(name)
        Run(row.folder).ask_to_stop(f"asked to by {self.by}: {why}")
        return {"said": f"{row.folder.name} will stop at its next checkpoint."}

    def test_figures(self, run: Name, why: Why) -> Answer:
        """Shows the metrics of one run on the test split. Each view is counted and recorded in the run folder.

        Choose by validation metrics; view test metrics once, at the end, and say why.
        """
        row = self._row(run)
        tested = {name: value for name, value in row.summary.items() if is_test_figure(name)}
        if not tested:
            raise RunError(f"the run {row.folder.name} has no metrics on the test split: its state is {row.state}.")
        found = Run(row.folder).read_json("evaluation.json") if Run(row.folder).has("evaluation.json") else {}
        looks = note_look(row.folder, self.by, why)
        return {"id": row.folder.name, "looks": looks, "figures": tested, "intervals_95": found.get("intervals_95")}

    def _row(self, name: str) -> RunRow:
        """A run below the folder of runs. Raises RunError: there is none, it is damaged, or it is elsewhere."""
        if not re.fullmatch(r"[^\W_][\w.+=@-]*", name):
            raise RunError(f"a run is named by its id, the start of it, or last. {received(name)}")
        if (key := self.index.key_of(find_run(name, self.index.root).folder)) is None:
            raise RunError(f"there is no run '{name}' in {self.index.root}.")
        row = self.index.row_inside(key)
        if row.damage is not None:
            raise RunError(row.damage)
        return row

    def _starting(self, name: str) -> Answer | None:
        """What is known of a started run or sweep without a folder."""
        if (started := self._not_begun(name)) is None:
            return None
        return {"id": name, "state": "starting" if started.is_at_work else "failed", "said": started.last_lines()}

    def _not_begun(self, name: str) -> Started | None:
        return next((one for one in self.budget.started if one.place.name == name and not one.place.exists()), None)


def _checked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec or sweep as plain JSON of a reasonable size."""
    try:
        text = json.dumps(spec, allow_nan=False)
    except (ValueError, RecursionError):
        raise SpecError("a spec must not hold NaN or infinity, nor objects nested too deeply.") from None
    if len(text) > _LONGEST:
        raise SpecError(f"a spec may have at most {_LONGEST:,} characters. This one has {len(text):,}.")
    return json.loads(text)  # type: ignore[no-any-return]


def _check_sweep(sweep: Mapping[str, Any]) -> None:
    """Refuses parts of a sweep that would read files, run foreign code, or select by test metrics."""
    if (key := next((key for key in ("command", "program") if key in sweep), None)) is not None:
        raise SpecError(f"the sweep of an agent has no '{key}'. Put fixed values among the parameters.")
    if isinstance(metric := sweep.get("metric"), dict) and is_test_figure(str(metric.get("name"))):
        raise SpecError(_SEALED.format(metric["name"]))
    for text in (one for one in every_value(sweep) if isinstance(one, str)):
        if (problem := code_from_elsewhere("part", text, _AGENT)) is not None:
            raise SpecError(problem)


def _sealed_sweep(shown: dict[str, Any]) -> dict[str, Any]:
    """A sweep that selects by a test metric, without its values; any other unchanged."""
    return _without(shown) if is_test_figure(str(shown["metric"])) else shown


def _without(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in _VALUES}
