"""The `command` of a sweep: the arguments common to all runs, and which of them apply without W&B's agent."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from text_recognizer.wording import did_you_mean
from training.terminal.command_line import split_overrides

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
_MACROS = (
    *("args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags", "args_append_hydra"),
    *("args_override_hydra", "args_json", "args_json_file", "args_dict", "interpreter", "env", "program"),
)
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
# Programs that execute a point like a sweep here.
_OWN_PROGRAMS = ("run_experiment", "run_sweep")
# Words that may precede the program without effect.
_USUAL_STARTERS = ("/usr/bin/env", "env", "python", "python3", "-m", "-u")
# Placeholder for the arguments of a macro; begins like an option, so that no option takes it as its value.
_OF_A_MACRO = "--\0"


@dataclass(frozen=True)
class FixedArguments:
    """The arguments that the `command` of a sweep gives to all runs.

    Args:
        overrides: overrides of the spec, by dotted key. The values of a point replace them, as with the agent.
        spec: SPEC as for run_experiment: inline JSON or a file.
        warnings: parts that only the agent follows, one sentence each.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    spec: str | None = None
    warnings: tuple[str, ...] = ()


def fixed_arguments(
    program: str | None, command: Sequence[Any] | None, environ: Mapping[str, str] = os.environ
) -> FixedArguments:
    """The arguments that the agent gives to all runs; `environ` is for ${envvar:NAME}."""
    arguments = list(_without_macros(program, command or DEFAULT_COMMAND, environ))
    own = next((index for index, argument in enumerate(arguments) if _is_own(argument)), None)
    started = own if own is not None else _first_foreign(arguments, program)
    before = [argument for argument in arguments[:started] if argument not in _USUAL_STARTERS]
    rest, overrides = split_overrides(before if started is None else arguments[started + 1 :])
    spec = _spec_among(rest) if own is not None else None
    unused = [*(before if started is not None else []), *(argument for argument in rest if argument != spec)]
    warnings = []
    if own is None and started is not None:
        warnings.append(
            f"only W&B's agents start '{arguments[started]}'; without them every trial is a run of this project's "
            f"program, run_experiment, with the values of its point."
        )
    # A macro that is not a whole item already has a warning.
    ignored = [argument for argument in unused if argument != _OF_A_MACRO and "${" not in argument]
    if ignored:
        warnings.append(
            f"only W&B's agents follow {', '.join(map(repr, ignored))} of the command; without them values for all "
            f"trials are arguments like --train_args.epochs=3, and devices are options of run_sweep."
        )
    return FixedArguments(overrides, spec, tuple(warnings))


def macro_warnings(command: Sequence[Any]) -> Iterator[str]:
    """Items of a `command` that the agent treats differently than they look, one sentence each."""
    for item in command:
        text = _VARIABLE.sub("", str(item))
        if _is_macro(text) and text[2:-1] not in _MACROS:
            yield f"the agent drops '{item}' from the command: no such macro.{did_you_mean(text[2:-1], _MACROS)}"
        elif not _is_macro(text) and re.search(r"\$\{[^}]*\}", text):
            yield f"the agent passes '{item}' as it is: a macro is replaced only if it is the whole item."


def _is_macro(argument: str) -> bool:
    return argument.startswith("${") and argument.endswith("}")


def _without_macros(program: str | None, command: Sequence[Any], environ: Mapping[str, str]) -> Iterator[str]:
    """The command without ${env} and ${interpreter}; other macros are marked."""
    for item in command:
        # The agent passes the name of a variable that is not set.
        argument = _VARIABLE.sub(lambda match: environ.get(match[1], match[1]), str(item))
        if not _is_macro(argument):
            yield argument
        elif argument == "${program}" and program is not None:
            yield program
        elif argument not in ("${env}", "${interpreter}", "${program}"):
            yield _OF_A_MACRO


def _is_own(argument: str) -> bool:
    """run_experiment, training/run_experiment.py, training.run_experiment; the same for run_sweep; in any folder."""
    path = PurePosixPath(argument.removeprefix("training."))
    if path.suffix == ".py" and path.parent.name not in ("", "training"):
        return False
    return path.name.removesuffix(".py") in _OWN_PROGRAMS


def _first_foreign(arguments: Sequence[str], program: str | None) -> int | None:
    if program in arguments:
        return arguments.index(program)
    candidates = (
        index
        for index, argument in enumerate(arguments)
        if argument not in _USUAL_STARTERS and not argument.startswith("-") and "=" not in argument
    )
    return next(candidates, None)


def _spec_among(arguments: Sequence[str]) -> str | None:
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if (argument.startswith("{") or argument.endswith(".json")) and before != "--overrides":
            return argument
    return None
