"""text-recognizer evaluate: a trained bundle on a split of the dataset it was trained for."""

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evaluation.evaluate import Evaluation, evaluate, evaluation_text
from text_recognizer.datasets.base import SPLIT_NAMES
from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted, received
from training.commands.base import Command
from training.runs.find import bundle_named
from training.terminal.log_file import standard_error_off

SEED = 0  # of the choice of --limit


class Evaluate(Command):
    """Measure a trained bundle on a split of its dataset."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer evaluate\n  text-recognizer evaluate last --split validation --json\n"
            "  text-recognizer evaluate last --limit 5000"
        )
        parser.add_argument("bundle", nargs="?", default=DEFAULT_BUNDLE, help="a bundle or run: folder, id, or last")
        parser.add_argument("--split", choices=SPLIT_NAMES, default="test")
        parser.add_argument(
            "--limit", type=int, metavar="N", help="measure N samples only, chosen at random, the same every time"
        )
        parser.add_argument("--json", action="store_true", help="all figures, per class too")
        parser.add_argument("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.limit is not None and arguments.limit < 1:
        raise SpecError(f"--limit must be at least 1, the number of samples to measure. {received(arguments.limit)}")
    bundle = bundle_named(arguments.bundle)
    dataset = assemble(bundle.spec).dataset
    dataset.prepare()
    with standard_error_off():  # TensorFlow's start-up notes
        model = bundle.load()
    split = dataset.split(arguments.split)
    chosen = _chosen(len(split), arguments.limit)
    result = evaluate(model, split, arguments.split, chosen)
    if arguments.json:
        about = {"bundle": str(bundle.folder), "run_id": bundle.run_id, "samples_of_split": len(split)}
        print(evaluation_text(about | result.to_json()), end="")
        return 0
    print(f"bundle   {bundle.folder} (run {bundle.run_id})")
    if chosen is not None:
        print(f"limit    {len(chosen):,} of {counted(len(split), model.unit)}, chosen at random with seed {SEED}")
    print(f"result   {result.headline()}")
    _print_metrics(result, {metric.name: metric.other_name for metric in model.metrics})
    if dataset.fingerprint != bundle.dataset_fingerprint:
        print("note     the data is not the data this bundle was trained on: its splits may overlap with these")
    return 0


def _chosen(count: int, limit: int | None) -> NDArray[np.int64] | None:
    """Positions in their order; a larger limit adds to those of a smaller one. None stands for all."""
    if limit is None or limit >= count:
        return None
    return np.sort(np.random.default_rng(SEED).permutation(count)[:limit])


def _print_metrics(result: Evaluation, other_names: Mapping[str, str]) -> None:
    for name, value in result.metrics.items():
        low, high = result.intervals.get(name, (None, None))
        interval = f"  {low:.4f} to {high:.4f}" if low is not None else ""
        print(f"  {name:<20} {value:.4f}{interval}" + (f"  {other}" if (other := other_names.get(name)) else ""))
    if result.details.get("resampled") not in (None, "lines"):
        low, high = result.details["intervals_95_over_lines"]["character_error_rate"]
        print(f"  character_error_rate {low:.4f} to {high:.4f} over lines instead of {result.details['resampled']}")
    for profile, rates in result.details.get("profiles", {}).items():
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in rates.items())
        print(f"  by the {profile} profile: {shown}")
