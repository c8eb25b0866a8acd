"""The table of commands, without importing them.

A further command is one file with a subclass of `Command`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# Class and summary; `--help` shows the summary without importing the class.
_COMMANDS = {
    "runs": ("Runs", "look at runs: list, show, compare, rerun, stop, tail, export, import"),
    "sweeps": ("Sweeps", "look at sweeps and steer them: list, show, explain, pause, resume, stop, cancel, export"),
    "ui": ("Ui", "a page of runs, sweeps, devices and data in the browser, live"),
    "watch": ("Watch", "runs at work and devices in the terminal, live"),
    "sync": ("Sync", "send runs and sweeps to W&B that were made offline"),
    "predict": ("Predict", "read characters, lines or pages in image files"),
    "serve": ("Serve", "answer predictions over HTTP, with a page in the browser"),
    "evaluate": ("Evaluate", "measure a trained bundle on a split of its dataset"),
    "promote": ("Promote", "give the model of a run a name that predict, evaluate and training take"),
    "models": ("Models", "promoted models and their versions: list, show, rollback, push, pull"),
    "forecast": ("Forecast", "how many more samples a wanted error rate needs, from runs with fewer"),
    "export": ("Export", "write a trained bundle as ONNX or as a SavedModel, checked"),
    "datasets": ("Datasets", "datasets: list, show, fetch, verify, add to the registry, export"),
    "records": ("Records", "TFRecords of characters or lines: write, read, check, relabel"),
    "gpus": ("Gpus", "devices, who holds them and who waits"),
    "list": ("ListNames", "what can be named in a spec or on a command line, with its arguments"),
}
SUMMARIES = {name: summary for name, (_, summary) in _COMMANDS.items()}
COMMANDS = {name: f"training.commands.{name}:{command}" for name, (command, _) in _COMMANDS.items()}
add_kind("command", COMMANDS, "training.commands.base:Command")
