"""text-recognizer promote: the model of a run, or of the best run of a sweep, gets a name."""

import argparse

from text_recognizer.errors import RunError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.promoted.store import check_name
from text_recognizer.trust import TrustCode
from training.commands.base import Command
from training.runs.contents import MODEL
from training.runs.find import bundle_named
from training.runs.promotion import promote, run_around
from training.runs.run import Run
from training.sweeps.folder import SweepFolder, find_sweep
from training.sweeps.history import History
from training.sweeps.trials import read_trials
from training.terminal.tables import shown
from training.tracking.wandb.promoted import name_at_wandb


class Promote(Command):
    """Give the model of a run a name that predict, evaluate and training take."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer promote last --as line-reader\n"
            "  text-recognizer promote my-sweep --as line-reader      the best run of a sweep\n"
            "  text-recognizer predict line.png --bundle line-reader"
        )
        add = parser.add_argument
        add("source", metavar="RUN", help="a run, sweep or bundle: folder, id, start of an id, last, or a model's name")
        add("--as", dest="name", required=True, metavar="NAME", help="its name, like line-reader")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    check_name(arguments.name)
    bundle = _bundle(arguments.source)
    version = promote(bundle, arguments.name)
    results = ", ".join(
        f"{name} {shown(name, value)}" for name, value in bundle.metrics.items() if name.startswith("test_")
    )
    print(f"promoted    {version} (run {bundle.run_id}: {results or 'no metrics'})")
    print(f"bundle      {version.folder}")
    run = run_around(bundle)
    if run is not None and (there := name_at_wandb(run, version)) is not None:
        print(f"W&B         {there}")
    print(f"next        text-recognizer predict IMAGE --bundle {version.name}")
    return 0


def _bundle(source: str) -> Bundle:
    try:
        sweep = find_sweep(source)
    except RunError:
        return bundle_named(source)
    return _best_of(sweep)


def _best_of(sweep: SweepFolder) -> Bundle:
    """The bundle of the best run of a sweep's best trial."""
    history = History(sweep.facts().metric, read_trials(sweep.journal().rows, sweep.path))
    trial = history.best()
    if trial is None:
        raise RunError(
            f"the sweep {sweep.path} has no finished trial with a {history.metric.name} yet. Promote it later."
        )
    best = min(trial.runs, key=lambda run: history.metric.sign * (history.run_value(run) or 0.0))
    print(f"sweep       {sweep.name}: trial {trial.number}, {history.metric.name} {shown('', history.run_value(best))}")
    Run.open(best.folder)
    return find_bundle(best.folder / MODEL)
