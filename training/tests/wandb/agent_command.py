"""What W&B's agent executes for a `command` with macros; a test compares it with the agent itself."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from training.sweeps.file.command import DEFAULT_COMMAND

_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


def agent_command(
    values: Mapping[str, Any],
    program: str,
    command: Sequence[Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    args_json_file: str | None = None,
    windows: bool = os.name == "nt",
) -> list[str]:
    """The arguments of the process that the agent starts for one suggestion.

    An item is replaced only if it is one macro and nothing else; an unknown macro vanishes. Only ${envvar:NAME} is
    also replaced inside an item, by the variable's name where it is not set. Values are written as Python writes them.
    """
    replacements = _argument_macros(values)
    replacements["interpreter"] = ["python"]
    replacements["env"] = [] if windows else ["/usr/bin/env"]
    replacements["program"] = [program]
    if args_json_file is not None:
        replacements["args_json_file"] = [args_json_file]
    variables = os.environ if environ is None else environ
    words: list[str] = []
    for item in command or DEFAULT_COMMAND:
        word = _VARIABLE.sub(lambda match: variables.get(match[1], match[1]), str(item))
        words += replacements.get(word[2:-1], []) if _is_macro(word) else [word]
    return words


def args_json(values: Mapping[str, Any]) -> str:
    """A suggestion as ${args_json} and the file of ${args_json_file} hold it."""
    return json.dumps(dict(values))


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
