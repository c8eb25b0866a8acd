"""run_experiment and run_sweep from Python: runs the command in a separate process, with keyword arguments as flags.

A separate process, because TensorFlow keeps its GPU memory until its process exits, and a run must end the same way
however it was started. Output appears live, in a terminal and in a notebook.
"""

import argparse
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from text_recognizer.errors import DivergedError, RunError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec, keys_by_name, typed_fields
from text_recognizer.wording import counted, did_you_mean, received
from training import run_experiment as experiment_command
from training.api.edited import read_edited_again
from training.api.plain import plain, plain_json
from training.api.run import Run, Table
from training.api.typed import typed
from training.files.safe_files import replace_file
from training.runs.environment import users_modules
from training.runs.given_spec import spec_from
from training.runs.places import group_folder_name, new_run_id, runs_folder
from training.sweeps import options
from training.sweeps.folder import SweepFolder, find_sweep
from training.sweeps.plan import SweepPlan
from training.terminal.command_line import ENDS_WITH_INPUT, ERROR_FILE, EXIT_UNEXPECTED

Spec = ExperimentSpec | Mapping[str, Any] | str | PathLike[str]
# Flags with a better alternative in Python.
_NOT_FROM_PYTHON = {  # and the alternatives
    "schema": "It only prints: use the command line.",
    "dry_run": "It only prints: use the command line.",
    "version": "It is tr.__version__.",
    "nowandb": 'Give wandb="disabled".',
    "overrides": "Give its values as arguments.",
}


@dataclass(frozen=True)
class _Ended:
    """How a command ended.

    Args:
        error: the message of the error that ended it; "" if none did.
        unseen: what it printed on standard error, unless that was shown.
    """

    code: int
    error: str
    unseen: str


@typed
def run_experiment(spec: Spec | None = None, *, show: bool = True, **arguments: Any) -> Run:
    """Trains, evaluates and tracks one experiment in a separate process; returns when it has ended.

    Args:
        spec: a spec, a mapping, inline JSON or a file; by default the default experiment.
        show: print what the run prints.
        arguments: flags of the command line (`gpu=1`, `wandb="online"`, `save=True`), and overrides of the spec
            (`network="mlp"`, `train_args={"epochs": 3}`, `**{"train_args.epochs": 3}`). An importable class stands for
            its path.
    Returns:
        the run: finished, or stopped on request.
    Raises:
        SpecError: what is wrong with the spec or an argument, all at once, before anything is trained.
        TextRecognizerError: the run failed.

    Example:
        >>> run = tr.run_experiment(network="mlp", train_args={"epochs": 3})
        >>> run.summary["test_accuracy"]
    """
    overrides = {name: plain(value) for name, value in arguments.items() if name.split(".")[0] in typed_fields()}
    flags = {name: value for name, value in arguments.items() if name not in overrides}
    if "resume" in flags:
        raise SpecError('to resume a run, call its resume(): tr.Run("last").resume().')
    given_id = flags.pop("id", None)
    parser = experiment_command.parser("run_experiment")
    argv = _flags_of(parser, flags, keys_by_name())
    parser.parse_args(argv)
    given = spec_from(_text_of_spec(spec), None, overrides)
    read_edited_again(users_modules([given]))
    experiment = assemble(given)
    run_id = new_run_id(experiment.spec) if given_id is None else str(given_id)
    folder = runs_folder() / group_folder_name(experiment.spec.experiment_group) / run_id
    argv += [json.dumps(experiment.spec.to_json()), f"--id={run_id}"]
    return _ended(folder, _run_command("training.run_experiment", argv, show))


def resume(run: Run, *, show: bool = True, **arguments: Any) -> Run:
    """Resumes a run; see `Run.resume`."""
    argv = _flags_of(experiment_command.parser("run_experiment"), {**arguments, "resume": str(run.folder)})
    return _ended(run.folder, _run_command("training.run_experiment", argv, show))


class SweepResult(Table):
    """A sweep, by its folder or name. Its folder contains everything. Raises RunError: there is none."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = find_sweep(str(folder)).path

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The rows of leaderboard.csv, best first: trial, state, metric, swept parameters, run. Empty at first.

        Numbers are numbers; None stands for no value.
        """
        from training.sweeps.results.leaderboard import cell_value

        if not (self.folder / "leaderboard.csv").exists():
            return []
        with open(self.folder / "leaderboard.csv", encoding="utf-8", newline="") as file:
            return [{name: cell_value(text) for name, text in row.items()} for row in csv.DictReader(file)]

    @property
    def best_spec(self) -> ExperimentSpec:
        """The spec of the best trial, for `run_experiment`. Raises RunError: no trial has a value."""
        path = self.folder / "best_spec.json"
        if not path.exists():
            raise RunError(f"no trial of the sweep {self.folder} has a value yet.")
        return ExperimentSpec.parse(json.loads(path.read_text(encoding="utf-8")), str(path))

    @property
    def best(self) -> Run:
        """The first run of the best trial. Raises RunError: there is no trial."""
        if not self.trials:
            raise RunError(f"the sweep {self.folder} has no trial yet.")
        name = self.trials[0]["run"]
        return Run(self.folder / name if (self.folder / name).exists() else name)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        from training.terminal.tables import shown

        trials = self.trials
        return list(trials[0]) if trials else ["trial"], [list(map(shown, row, row.values())) for row in trials]

    def __repr__(self) -> str:
        return f"sweep {self.folder}\n{super().__repr__()}"


@typed
def run_sweep(sweep: Mapping[str, Any] | str | PathLike[str], *, show: bool = True, **arguments: Any) -> SweepResult:
    """Runs a W&B sweep on this machine; returns when it has ended. The same call resumes an interrupted one.

    Args:
        sweep: a file, YAML or JSON as for `run_sweep`; or the content of one, such as {"experiments": [spec, …]}, which
            needs `name`.
        show: print what the sweep prints.
        arguments: flags of the command line: `jobs=2`, `run_cap=20`, `set=["train_args.epochs=3"]`, `base={…}`.
    Raises:
        SpecError: what is wrong with the sweep or an argument, before anything is trained.
        RunError: the sweep failed.

    Example:
        >>> result = tr.run_sweep("training/sweep_digits.yaml", jobs=2, run_cap=4)
        >>> result.best.summary
    """
    path = written(sweep, arguments.get("name")) if isinstance(sweep, Mapping) else Path(sweep)
    parser = options.parser("run_sweep")
    argv = [str(path), *_flags_of(parser, arguments)]
    plan: SweepPlan = options.checked_plan(parser.parse_args(argv))
    ended = _run_command("training.run_sweep", argv, show)
    folder = runs_folder() / group_folder_name(plan.name)
    if ended.code:
        why = ended.error or _result_of_trials(SweepFolder(folder)) or ended.unseen
        raise RunError(f"the sweep {folder} failed with exit code {ended.code}. {why}".rstrip())
    return SweepResult(folder)


def _result_of_trials(sweep: SweepFolder) -> str:
    failed = [trial for trial in sweep.trials().values() if trial.state == "failed"]
    ends = [event["why"] for event in sweep.events() if event["event"] == "over"]
    return f"{ends[-1]}: {counted(len(failed), 'failed trial')}" if ends else ""


def written(sweep: Mapping[str, Any], name: str | None) -> Path:
    """Writes a sweep's content to a file beside the runs, so that the command line can resume it too."""
    import yaml

    name = name or sweep.get("name")
    if not isinstance(name, str):
        raise SpecError("a sweep that is not in a file needs a name: run_sweep({…}, name='widths').")
    path = runs_folder() / f"{group_folder_name(name)}{'.json' if 'experiments' in sweep else '.yaml'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = plain_json(sweep, indent=2)
    replace_file(path, text if path.suffix == ".json" else yaml.safe_dump(json.loads(text)))
    return path


def _text_of_spec(spec: Spec | None) -> str | None:
    if isinstance(spec, ExperimentSpec):
        return json.dumps(spec.to_json())
    if isinstance(spec, Mapping):
        return plain_json(spec)
    return None if spec is None else _text_of(spec)


def _ended(folder: Path, ended: _Ended) -> Run:
    """The run of a command that has ended. Raises TextRecognizerError: it failed."""
    code, reason = ended.code, ended.error
    if code == 0:
        return Run(folder)
    kind = DivergedError if code == DivergedError.exit_code else RunError
    if (folder / "status.json").exists():
        run = Run(folder)
        if run.state in ("failed", "died"):
            where = reason if code == EXIT_UNEXPECTED else ""  # it names the line in the user's code
            reason = ". ".join(filter(None, (run._in_words(), where)))
        raise kind(f"the run {folder} ended with exit code {code}: {reason or run._in_words()}")
    if ended.unseen and (code == EXIT_UNEXPECTED or not reason):  # the traceback is shown nowhere else
        reason = f"\n{ended.unseen.strip()}"
    raise kind(f"no run was started (exit code {code}). {reason}".rstrip())


def _flags_of(
    parser: argparse.ArgumentParser, given: Mapping[str, Any], keys: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Converts keyword arguments to flags of the same names. Raises SpecError: there is no such flag.

    Args:
        given: None and False omit a flag, True sets it, a list repeats it; other values are passed as JSON.
        keys: keys of a spec by name, which are arguments too.
    """
    actions: dict[str, argparse.Action] = {}
    for action in parser._actions:
        if action.option_strings:
            actions.setdefault(action.dest, action)  # --nowandb is an alias of --wandb disabled
    flags: list[str] = []
    for name, value in given.items():
        if name in _NOT_FROM_PYTHON:
            raise SpecError(f"{parser.prog} takes no argument '{name}' from Python. {_NOT_FROM_PYTHON[name]}")
        if name not in actions:
            known = sorted({*actions, *keys.values()} - {"help", *_NOT_FROM_PYTHON})
            meant = did_you_mean(name.split(".")[0], [*known, *keys], keys)
            raise SpecError(f"there is no argument '{name}'.{meant} There are: {', '.join(known)}.")
        flag = next(option for option in actions[name].option_strings if option.startswith("--"))
        takes_value = actions[name].nargs != 0
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None or one is False:
                continue
            if not takes_value and one is not True:
                raise SpecError(f"{name} is given by True. {received(one)}")
            flags.append(f"{flag}={_text_of(one)}" if takes_value else flag)
    return flags


def _text_of(value: Any) -> str:
    """A value for the command line: texts and paths unchanged, everything else as JSON."""
    return str(value) if isinstance(value, (str, os.PathLike)) else plain_json(value)


def _run_command(module: str, arguments: Sequence[str], show: bool) -> _Ended:
    """Runs `python -m MODULE ARGUMENTS` to its end.

    An interrupt is forwarded, so that the command can write a checkpoint; a second one kills it. If this process ends
    first, for any reason, the command is told to stop.

    Args:
        show: print the command's output.
    """
    lifeline, held = os.pipe()
    with open(held, "wb"), tempfile.NamedTemporaryFile("r", encoding="utf-8") as error_file:
        with open(lifeline, "rb") as its_input:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=its_input,
                stdout=None if show and _is_the_terminal(sys.stdout) else subprocess.PIPE,
                stderr=subprocess.PIPE if not show else (None if _is_the_terminal(sys.stderr) else subprocess.STDOUT),
                text=True,
                errors="replace",
                bufsize=1,
                start_new_session=True,  # it gets Ctrl-C only once: from us
                env={**os.environ, ENDS_WITH_INPUT: "1", ERROR_FILE: error_file.name},
            )
        try:
            unseen = _followed(process, show)
            return _Ended(process.returncode, error_file.read(), unseen)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            try:
                _followed(process, show)
            except KeyboardInterrupt:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise


def _followed(process: "subprocess.Popen[str]", show: bool) -> str:
    """Waits for the end of a command; returns what it printed on standard error, unless that was shown."""
    if show and process.stdout is not None:
        for line in process.stdout:  # after an interrupt: the command may print more
            sys.stdout.write(line)
        process.wait()
        process.stdout.close()
        return ""
    return process.communicate()[1] or ""


def _is_the_terminal(stream: Any) -> bool:
    """Whether a child's output appears where `stream` does: not in a notebook, nor while output is captured."""
    try:
        return stream.fileno() in (1, 2) and os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
