"""The subcommands of text-recognizer, one a file.

A further command is one file with a subclass of `Command`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# What each does, so that `--help` need not import it.
SUMMARIES = {
    "runs": "look at runs: list, show, compare, rerun, stop, tail, export",
    "sweeps": "look at sweeps and steer them: list, show, explain, pause, resume, stop, cancel, export",
    "sync": "send runs and sweeps to W&B that were made offline",
    "predict": "read characters, lines or pages in image files",
    "evaluate": "measure a trained bundle on a split of its dataset",
    "datasets": "the registry of datasets: list, fetch, verify, add, export",
    "gpus": "devices, who holds them and who waits",
    "list": "what can be named in a spec or on a command line, with its arguments",
}
COMMANDS = {
    "runs": "training.commands.runs:Runs",
    "sweeps": "training.commands.sweeps:Sweeps",
    "sync": "training.commands.sync:Sync",
    "predict": "training.commands.predict:Predict",
    "evaluate": "training.commands.evaluate:Evaluate",
    "datasets": "training.commands.datasets:Datasets",
    "gpus": "training.commands.gpus:Gpus",
    "list": "training.commands.list:ListNames",
}
add_kind("command", COMMANDS, "training.commands.base:Command")
