"""text-recognizer evaluate: a trained bundle on a split of the dataset it was trained for."""

import argparse
import json

from evaluation.evaluate import evaluate
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.experiment import assemble
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.trust import TrustCode
from training.commands.base import Command
from training.runs.find import bundle_named
from training.terminal.log_file import standard_error_off


class Evaluate(Command):
    """Measure a trained bundle on a split of its dataset."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer evaluate\n  text-recognizer evaluate last --split validation --json"
        )
        parser.add_argument("bundle", nargs="?", default=DEFAULT_BUNDLE, help="a bundle or run: folder, id, or last")
        parser.add_argument("--split", choices=SPLIT_NAMES, default="test")
        parser.add_argument("--json", action="store_true", help="all figures, per class too")
        parser.add_argument("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    bundle = bundle_named(arguments.bundle)
    dataset = assemble(bundle.spec).dataset
    dataset.prepare()
    with standard_error_off():  # TensorFlow's start-up notes
        model = bundle.load()
    result = evaluate(model, dataset.split(arguments.split), arguments.split)
    if arguments.json:
        print(json.dumps({"bundle": str(bundle.folder), "run_id": bundle.run_id, **result.to_json()}, indent=2))
        return 0
    print(f"bundle   {bundle.folder} (run {bundle.run_id})")
    print(f"result   {result.headline()}")
    for name, value in result.metrics.items():
        low, high = result.intervals.get(name, (None, None))
        print(f"  {name:<20} {value:.4f}" + (f"  {low:.4f} to {high:.4f}" if low is not None else ""))
    if result.details.get("resampled") not in (None, "lines"):
        low, high = result.details["intervals_95_over_lines"]["character_error_rate"]
        print(f"  character_error_rate {low:.4f} to {high:.4f} over lines instead of {result.details['resampled']}")
    for profile, rates in result.details.get("profiles", {}).items():
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in rates.items())
        print(f"  by the {profile} profile: {shown}")
    if dataset.fingerprint != bundle.dataset_fingerprint:
        print("note     the data is not the data this bundle was trained on: its splits may overlap with these")
    return 0
