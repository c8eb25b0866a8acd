"""text-recognizer promote: gives a name to the model of a run, or of the best run of a sweep."""

import argparse
import os

from text_recognizer.errors import RunError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.promoted.store import Version, check_name
from text_recognizer.trust import TrustCode
from training.commands.base import Command
from training.runs.contents import MODEL
from training.runs.find import bundle_named
from training.runs.promotion import promote, run_around
from training.runs.run import Run
from training.runs.sent import read_sent
from training.sweeps.folder import find_sweep
from training.sweeps.history import History
from training.terminal.tables import shown, test_results
from training.tracking.wandb.mode import has_key

WANDB_TIMEOUT_S = 30


class Promote(Command):
    """Store the model of a run under a name for predict, evaluate and training."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer promote last --as line-reader\n"
            "  text-recognizer promote my-sweep --as line-reader      the best run of a sweep\n"
            "  text-recognizer predict line.png --bundle line-reader"
        )
        add = parser.add_argument
        add("source", metavar="RUN", help="a run, sweep or bundle: folder, id, start of an id, last, or a model's name")
        add("--as", dest="name", required=True, metavar="NAME", help="name of the model, like line-reader")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    check_name(arguments.name)
    bundle = _bundle(arguments.source)
    version = promote(bundle, arguments.name)
    print(f"promoted    {version} (run {bundle.run_id}: {test_results(bundle.metrics) or 'no metrics'})")
    print(f"bundle      {version.folder}")
    run = run_around(bundle)
    if run is not None and (there := _name_at_wandb(run, version)) is not None:
        print(f"W&B         {there}")
    print(f"next        text-recognizer predict IMAGE --bundle {version.name}")
    print(f"            text-recognizer serve --bundle {version.name}")
    return 0


def _bundle(source: str) -> Bundle:
    """The bundle of the best run of a sweep's best trial; or of a run, bundle or model of this name."""
    try:
        sweep = find_sweep(source)
    except RunError:
        return bundle_named(source)
    history = History(sweep.facts().metric, sweep.trials())
    trial = history.best()
    if trial is None:
        raise RunError(f"the sweep {sweep.path} has no finished trial with a {history.metric.name} yet. Wait for one.")
    best = min(trial.runs, key=lambda run: history.metric.sign * (history.run_value(run) or 0.0))
    print(f"sweep       {sweep.name}: trial {trial.number}, {history.metric.name} {shown('', history.run_value(best))}")
    Run.open(best.folder)
    return find_bundle(best.folder / MODEL)


def _name_at_wandb(run: Run, version: Version) -> str | None:
    """The name at W&B, after adding an alias to the run's artifact, or why there is none; None without such a run."""
    place = read_sent(run.folder)
    if not place.get("entity") or os.environ.get("WANDB_MODE", "online") not in ("online", "run") or not has_key():
        return None
    import wandb

    path = f"{place['entity']}/{place['project']}/model-{run.id}"
    try:
        artifact = wandb.Api(timeout=WANDB_TIMEOUT_S).artifact(f"{path}:best", type="model")
        artifact.aliases = [*artifact.aliases, f"{version.name}-{version.number}"]
        artifact.save()
    except Exception as error:  # noqa: BLE001 - W&B raises errors of many kinds, and the model is already promoted
        return f"the alias could not be set, but the model is promoted: {error}"
    return f"{path}:{version.name}-{version.number}"
