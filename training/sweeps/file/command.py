"""How W&B's agent starts a run: the `command` of a sweep, with its macros replaced, exactly as the agent does it."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")

_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_MACRO = re.compile(r"\$\{[^}]*\}")


def agent_command(
    values: Mapping[str, Any],
    program: str | None = None,
    command: Sequence[Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    args_json_file: str | None = None,
    interpreter: str = "python",
    windows: bool = os.name == "nt",
) -> list[str]:
    """The words that the agent executes for one suggestion.

    An item is replaced only if it is one macro and nothing else; an unknown macro vanishes. Only ${envvar:NAME} is
    also replaced inside an item, by the variable's name where it is not set. Values are written as Python writes them.

    Args:
        values: the suggestion, in its order; a group of parameters is one value.
        command: the sweep's `command`; the agent's default where it is empty.
        environ: by default the environment of this process.
        args_json_file: where the caller writes `args_json(values)`, for ${args_json_file}.
    Raises:
        SpecError: the command names ${program} or ${args_json_file}, and there is none.
    """
    replacements = _argument_macros(values)
    replacements["interpreter"] = [interpreter]
    replacements["env"] = [] if windows else ["/usr/bin/env"]
    if program is not None:
        replacements["program"] = [program]
    if args_json_file is not None:
        replacements["args_json_file"] = [args_json_file]
    variables = os.environ if environ is None else environ
    words: list[str] = []
    for item in command or DEFAULT_COMMAND:
        word = with_variables(str(item), variables)
        if word in ("${program}", "${args_json_file}") and word[2:-1] not in replacements:
            raise SpecError(f"the command of the sweep has {word}, and there is none. Set `{word[2:-1]}`.")
        words += replacements.get(word[2:-1], []) if _is_macro(word) else [word]
    return words


def with_variables(word: str, environ: Mapping[str, str]) -> str:
    """A word with the values of its ${envvar:NAME}; the name itself where a variable is not set."""
    return _VARIABLE.sub(lambda match: environ.get(match[1], match[1]), word)


def args_json(values: Mapping[str, Any]) -> str:
    """A suggestion as ${args_json} and the file of ${args_json_file} hold it."""
    return json.dumps(dict(values))


def command_warnings(command: Sequence[Any]) -> Iterator[str]:
    """Items of a `command` that the agent treats otherwise than they look, one sentence each."""
    known = [*_argument_macros({}), "interpreter", "env", "program", "args_json_file"]
    for item in command:
        word = _VARIABLE.sub("", str(item))
        if _is_macro(word) and word[2:-1] not in known:
            yield f"the agent drops '{item}' from the command: no such macro.{did_you_mean(word[2:-1], known)}"
        elif not _is_macro(word) and _MACRO.search(word):
            yield f"the agent passes '{item}' as it is: a macro is replaced only if it is the whole item."


def _is_macro(word: str) -> bool:
    return word.startswith("${") and word.endswith("}")


def _argument_macros(values: Mapping[str, Any]) -> dict[str, list[str]]:
    pairs = [f"{name}={value}" for name, value in values.items()]
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_equals": [word for name, value in values.items() for word in (f"--{name}", str(value))],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in values.items()
            if value is not False
        ],
        "args_json": [args_json(values)],
        "args_dict": list(values),
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }
