"""What is asked for: command lines, and calls of an agent."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

from text_recognizer import experiment
from text_recognizer.errors import DataError
from training import cli, run_experiment
from training.runs.given_spec import spec_from
from training.sweeps.options import checked_plan
from training.sweeps.options import parser as options_parser
from training.terminal.command_line import split_overrides
from training.tests.fuzzing.base import Target, as_json
from training.tests.fuzzing.mutators import Files
from training.tests.fuzzing.runs import runs
from training.tests.fuzzing.specs import GRID, SPEC
from training.tests.fuzzing.sweeps import sweeps

# A line an argument; the first line is the command.
ARGUMENTS = (
    "runs list\n--filter=network=mlp\n--sort=-val_loss\n--columns=id,train_args.epochs\n--limit=3\n--json",
    "runs list\n--filter\nid~heal.*\n--state=finished\n--group=group\n--format=csv",
    "runs show\nhealthy\n--json",
    "runs compare\nhealthy\ndamaged\n--curve=val_loss",
    "runs tail\nhealthy\n--lines=3",
    "sweeps list\n--json",
    "sweeps show\nhealthy",
    "sweeps explain\nhealthy\n--trial=1\n--json",
    "list\nnetworks\n--json",
    "datasets list\n--json",
    "models show\nline-reader@2",
    "gpus\n--json",
    "watch\n--once\n--ended=3\n--every=2\n--filter=state=finished",
    "run_sweep\nruns/sweep.yaml\n--name=widths\n--run-cap=3\n--jobs=2\n--set=train_args.epochs=3\n--gpus-per-trial=0.5",
    "run_experiment\n--network=mlp\n--train_args.epochs=3\nnetwork_args.layer_size=8\n--gpu=none\n--id=one",
)
CALLS = (
    ("list_runs", {"filters": ["val_loss<0.8", "id~heal"], "sort": "-val_loss", "limit": 3}),
    ("show_run", {"run": "healthy", "reports": 3, "log_lines": 5}),
    ("compare_runs", {"runs": ["healthy", "damaged"]}),
    ("show_sweep", {"sweep": "healthy", "trials": 2}),
    ("list_parts", {"kind": "networks"}),
    ("stop", {"why": "it diverges", "run": "damaged"}),
    ("test_figures", {"run": "healthy", "why": "at the end"}),
    ("run_experiment", {"spec": {**SPEC, "experiment_group": "g", "seed": 3}, "minutes": 2.5}),
    (
        "run_sweep",
        {
            "sweep": {
                "method": "random",
                "metric": {"name": "val_loss", "goal": "minimize"},
                "parameters": {"network_args.layer_size": {"min": 4, "max": 8}, "network": {"value": "mlp"}},
            },
            "name": "widths",
            "runs": 2,
            "minutes": 3,
        },
    ),
)


def arguments() -> list[Files]:
    """Command lines, beside two runs, a sweep and a sweep file."""
    places = runs()[0] | sweeps()[0] | {"runs/sweep.yaml": GRID.encode()}
    return [{**places, "arguments": text.encode()} for text in ARGUMENTS]


def calls() -> list[Files]:
    """What an agent asks for, beside two runs and a sweep."""
    places = runs()[1] | sweeps()[0]
    return [{**places, "call.json": as_json({"tool": tool, "arguments": values})} for tool, values in CALLS]


def _arguments(folder: Path) -> None:
    """The command lines of what only looks, and of a run and a sweep until they would begin."""
    command, *words = os.fsdecode((folder / "arguments").read_bytes().replace(b"\0", b"")).split("\n")
    nothing = patch.object(sys, "stdin", io.StringIO())  # which "-" reads
    with nothing, contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):  # --help
        if command == "run_sweep":
            checked_plan(options_parser("run_sweep").parse_args(words)).check()
        elif command == "run_experiment":
            rest, overrides = split_overrides(words)
            arguments = run_experiment.parser("run_experiment").parse_args(rest)
            experiment.assemble(spec_from(arguments.spec, arguments.overrides, overrides))
        elif f"{command}\n" in "".join(text.partition("\n")[0] + "\n" for text in ARGUMENTS):
            cli._main([*command.split(), *words])


def _call(folder: Path) -> None:
    """One call of an agent, with a budget; what it would start is not started."""
    from training.mcp.budget import Budget
    from training.mcp.tools import Tools

    try:
        asked = json.loads((folder / "call.json").read_bytes())
        tool, arguments = str(asked["tool"]), dict(asked["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("the client's own library refuses it") from None
    with patch.object(Budget, "start"):
        Tools(Budget(5, 60)).call(tool, arguments)


TARGETS = (
    Target("arguments", arguments, _arguments, kept="runs/"),
    Target("agent_call", calls, _call, kept="runs/"),
)
