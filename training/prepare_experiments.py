#!/usr/bin/env python3
"""prepare_experiments: converts a JSON file of experiments to shell-safe command lines, one per experiment.

prepare_experiments training/experiments/sample.json | parallel -j2
"""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # python training/prepare_experiments.py
    from training.terminal.own_environment import enter_own_environment

    enter_own_environment()

import json
from collections.abc import Sequence

from text_recognizer.errors import SpecError
from text_recognizer.wording import shell_word
from training.sweeps.plan_file import read_plan, say_left_out
from training.terminal.command_line import guarded
from training.terminal.parser import Parser


def main(argv: Sequence[str] | None = None) -> int:
    return guarded(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="prepare_experiments",
        description="Print a run_experiment command for each experiment of a file. run_sweep FILE runs them itself.",
        epilog="example:\n  prepare_experiments training/experiments/sample.json | parallel -j2",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON with experiment_group and experiments")
    parser.add_argument("--gpu", default="-1", help="GPU for each command (default: %(default)s, a free one)")
    parser.add_argument("--skip-invalid", action="store_true", help="skip invalid experiments, and say why")
    arguments = parser.parse_args(argv)
    if arguments.file.suffix != ".json":
        raise SpecError(f"{arguments.file} is not a JSON file. A W&B sweep YAML is run by run_sweep or wandb agent.")
    plan = read_plan(arguments.file, skip_invalid=arguments.skip_invalid)
    say_left_out(plan)
    plan.check()
    for index in range(len(plan.experiments)):
        spec = json.dumps({**plan.experiments[index], "experiment_group": plan.name}, ensure_ascii=False)
        print(f"run_experiment --gpu={shell_word(arguments.gpu)} {shell_word(spec)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
