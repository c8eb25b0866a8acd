"""text-recognizer: one command for everything, a subcommand a file in training/commands."""

import importlib
import sys
from collections.abc import Sequence

from text_recognizer import __version__
from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean
from training.terminal.command_line import guarded
from training.terminal.parser import Parser

COMMANDS = {
    "run": "train, evaluate and track one experiment (the same as run_experiment)",
    "runs": "look at runs: list, show, compare, rerun, stop, tail",
    "sweeps": "look at sweeps and steer them: list, show, explain, pause, resume, stop, cancel, export",
    "sync": "send runs and sweeps to W&B that were made offline",
    "predict": "read characters in image files",
    "evaluate": "measure a trained bundle on a split of its dataset",
    "datasets": "the registry of datasets: list, fetch, verify, add",
    "gpus": "devices, who holds them and who waits",
    "list": "what can be named in a spec, with its arguments",
}

EXAMPLES = """examples:
  text-recognizer run --network=mlp --train_args.epochs=5
  text-recognizer runs list --sort=-test_accuracy
  text-recognizer predict digit.png
  text-recognizer datasets fetch mnist
  text-recognizer list networks
"""


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: _main(list(sys.argv[1:] if argv is None else argv)))


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0
    if argv[0] == "--version":
        print(f"text-recognizer {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name == "help":
        return _main([*rest, "--help"])
    if name not in COMMANDS:
        raise SpecError(f"unknown command '{name}'.{did_you_mean(name, COMMANDS)} Commands: {', '.join(COMMANDS)}.")
    if name == "run":
        from training.run_experiment import run

        return run(rest, prog="text-recognizer run")
    module = importlib.import_module(f"training.commands.{name}")  # only this one: a help text must not wait for others
    parser = Parser(prog=f"text-recognizer {name}", description=COMMANDS[name])
    module.configure(parser)
    arguments = parser.parse_args(rest)
    code: int = arguments.run(arguments)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return f"""usage: text-recognizer COMMAND …

An offline-first laboratory for handwriting recognition.

commands:
{listed}

text-recognizer help COMMAND tells more.

{EXAMPLES}"""


if __name__ == "__main__":
    sys.exit(main())
