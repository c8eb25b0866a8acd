"""What a `command` says beside its macros, and how much of that a sweep follows that no agent of W&B's serves."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from training.sweeps.file.command import DEFAULT_COMMAND, with_variables
from training.terminal.command_line import split_overrides

# Programs that execute a point as a sweep here does.
_OWN_PROGRAMS = ("run_experiment", "run_sweep")
# Words before the program that change nothing about it.
_USUAL_STARTERS = ("/usr/bin/env", "env", "python", "python3", "-m", "-u")
# Stands for the words of a macro; begins like an option, so that no option takes it for its value.
_OF_A_MACRO = "--\0"


@dataclass(frozen=True)
class FixedWords:
    """
    Args:
        overrides: of the spec, by dotted key. The values of a point go over them, as they do under the agent.
        spec: SPEC as run_experiment takes it: inline JSON or a file.
        warnings: what only the agent follows, one sentence each.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    spec: str | None = None
    warnings: tuple[str, ...] = ()


def fixed_words(
    program: str | None, command: Sequence[Any] | None, environ: Mapping[str, str] = os.environ
) -> FixedWords:
    """Reads the words that the agent gives to every run alike.

    Args:
        program, command: of the sweep.
        environ: for ${envvar:NAME}.
    """
    words = list(_words(program, command or DEFAULT_COMMAND, environ))
    own = next((index for index, word in enumerate(words) if _is_own(word)), None)
    started = own if own is not None else _first_foreign(words, program)
    before = [word for word in words[:started] if word not in _USUAL_STARTERS]
    rest, overrides = split_overrides(before if started is None else words[started + 1 :])
    spec = _spec_among(rest) if own is not None else None
    unused = [*(before if started is not None else []), *(word for word in rest if word != spec)]
    warnings = []
    if own is None and started is not None:
        warnings.append(
            f"only W&B's agents start '{words[started]}'; without them every trial is a run of this project's own "
            f"program, run_experiment, with the values of its point."
        )
    ignored = [word for word in unused if word != _OF_A_MACRO and "${" not in word]  # that has a warning of its own
    if ignored:
        warnings.append(
            f"only W&B's agents follow {', '.join(map(repr, ignored))} of the command; without them values for all "
            f"trials are words like --train_args.epochs=3, and devices are options of run_sweep."
        )
    return FixedWords(overrides, spec, tuple(warnings))


def _words(program: str | None, command: Sequence[Any], environ: Mapping[str, str]) -> Iterator[str]:
    """The command without ${env} and ${interpreter}, other macros as marks."""
    for item in command:
        word = with_variables(str(item), environ)
        if not (word.startswith("${") and word.endswith("}")):
            yield word
        elif word == "${program}" and program is not None:
            yield program
        elif word not in ("${env}", "${interpreter}", "${program}"):
            yield _OF_A_MACRO


def _is_own(word: str) -> bool:
    """run_experiment, training/run_experiment.py, training.run_experiment; the same of run_sweep; wherever they are."""
    path = PurePosixPath(word.removeprefix("training."))
    if path.suffix == ".py" and path.parent.name not in ("", "training"):
        return False
    return path.name.removesuffix(".py") in _OWN_PROGRAMS


def _first_foreign(words: Sequence[str], program: str | None) -> int | None:
    if program in words:
        return words.index(program)
    candidates = (
        index
        for index, word in enumerate(words)
        if word not in _USUAL_STARTERS and not word.startswith("-") and "=" not in word
    )
    return next(candidates, None)


def _spec_among(words: Sequence[str]) -> str | None:
    for before, word in zip(["", *words], words, strict=False):
        if (word.startswith("{") or word.endswith(".json")) and before != "--overrides":
            return word
    return None
