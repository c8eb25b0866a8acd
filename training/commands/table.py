"""The table of commands, without importing them.

To add a command: one file with a subclass of `Command`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# Class and summary; `--help` shows the summary without importing the class.
_COMMANDS = {
    "runs": ("Runs", "look at runs: list, show, compare, rerun, stop, tail, export, import"),
    "sweeps": ("Sweeps", "look at sweeps and control them: list, show, explain, pause, resume, stop, cancel, export"),
    "ui": ("Ui", "show runs, sweeps, devices and data in the browser, live"),
    "mcp": ("Mcp", "offer tools to agents over the Model Context Protocol, within a budget"),
    "watch": ("Watch", "show active runs and devices in the terminal, live"),
    "sync": ("Sync", "send offline runs and sweeps to W&B"),
    "predict": ("Predict", "read characters, lines or pages in images"),
    "serve": ("Serve", "serve predictions over HTTP, with a page in the browser"),
    "evaluate": ("Evaluate", "evaluate a trained bundle on a split of a dataset"),
    "promote": ("Promote", "store the model of a run under a name for predict, evaluate and training"),
    "models": ("Models", "promoted models and their versions: list, show, rollback, push, pull"),
    "pseudo-label": ("PseudoLabel", "read untranscribed lines and train on those read with confidence"),
    "forecast": ("Forecast", "estimate how many samples a target error rate needs"),
    "export": ("Export", "export a trained bundle as ONNX or SavedModel, and verify it"),
    "datasets": ("Datasets", "datasets: list, show, fetch, verify, add to the registry, export"),
    "records": ("Records", "TFRecords of characters or lines: write, read, check, relabel"),
    "gpus": ("Gpus", "show devices, and the runs that hold or wait for them"),
    "list": ("ListNames", "list what a spec or command line can name, with arguments"),
}
# Commands that are also separate programs, with their modules.
PROGRAMS = {
    "run": ("training.run_experiment", "train, evaluate and track one experiment (the same as run_experiment)"),
    "sweep": ("training.run_sweep", "train many experiments from a sweep file or a list (the same as run_sweep)"),
}
SUMMARIES = {name: summary for name, (_, summary) in _COMMANDS.items()}
COMMANDS = {name: f"training.commands.{name.replace('-', '_')}:{command}" for name, (command, _) in _COMMANDS.items()}
add_kind("command", COMMANDS, "training.commands.base:Command")
