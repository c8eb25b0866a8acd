"""text-recognizer: the main command; each subcommand is a file in training/commands."""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence

from text_recognizer import __version__
from text_recognizer.errors import SpecError
from text_recognizer.registry import names, resolve
from text_recognizer.wording import did_you_mean
from training.commands.table import PROGRAMS, SUMMARIES
from training.terminal.command_line import guarded
from training.terminal.parser import Parser

OPTIONS = ("-h", "--help", "--version")
EXAMPLES = """examples:
  text-recognizer run --network=mlp --train_args.epochs=5
  text-recognizer sweep training/sweep_digits.yaml --jobs 2
  text-recognizer runs list --sort=-test_accuracy
  text-recognizer predict line.png page.jpg
  text-recognizer datasets fetch mnist
  text-recognizer list networks
"""


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: _main(list(sys.argv[1:] if argv is None else argv)))


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in OPTIONS[:2]:
        print(_help())
        return 0
    if argv[0] == "--version":
        print(f"text-recognizer {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name == "help":
        return _main([*rest, "--help"])
    if name.startswith("-"):
        raise SpecError(f"unknown argument '{name}'.{did_you_mean(name, OPTIONS)} See text-recognizer --help.")
    if name in PROGRAMS:
        run: Callable[..., int] = importlib.import_module(PROGRAMS[name][0]).run
        return run(rest, prog=f"text-recognizer {name}")
    # Entry points are read only for names that are not built in: that takes 9 ms.
    if name not in SUMMARIES and ":" not in name and name not in (known := [*PROGRAMS, *names("command")]):
        actions = _actions()
        meant = did_you_mean(name, [*known, *actions], actions)
        raise SpecError(f"unknown command '{name}'.{meant} Known: {', '.join(sorted(known))}.")
    arguments = _parser(name).parse_args(rest)  # only this one: a help text must not import the others
    code: int = arguments.run(arguments)
    return code


def _parser(name: str) -> Parser:
    command = resolve("command", name)()
    summary = (inspect.getdoc(command) or "").partition("\n")[0]
    parser = Parser(prog=f"text-recognizer {name}", description=summary)
    command.configure(parser)
    return parser


def _actions() -> dict[str, str]:
    """The actions of the commands, like pause, with all commands that have them: sweeps pause."""
    found: dict[str, list[str]] = {}
    for command in SUMMARIES:
        for action in _parser(command).actions:
            found.setdefault(action, []).append(f"{command} {action}")
    return {action: "' or '".join(commands) for action, commands in found.items() if action not in SUMMARIES}


def _help() -> str:
    # The description of an entry point is known only after it is imported.
    commands = {name: summary for name, (_, summary) in PROGRAMS.items()}
    commands |= {name: SUMMARIES.get(name, "of another package") for name in sorted(names("command"))}
    width = max(map(len, commands))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in commands.items())
    return f"""usage: text-recognizer COMMAND …

An offline-first laboratory for handwriting recognition.

commands:
{listed}

See also: text-recognizer help COMMAND

{EXAMPLES}"""


if __name__ == "__main__":
    sys.exit(main())
