"""text-recognizer evaluate: evaluates a trained bundle on a split of a dataset, with its own or another decoding."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.evaluate import Evaluation, evaluate, evaluation_text
from evaluation.gate import shortfall
from evaluation.other_data import fitting_dataset, fitting_split
from evaluation.redecoding import decode_otherwise
from evaluation.report import write_evaluation_report
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset
from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.promoted.store import ModelStore
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted
from training.commands.base import A_BUNDLE, Command
from training.runs.find import bundle_named, with_charset_found
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off
from training.terminal.parser import POSITIVE, add_dataset_args

SEED = 0  # for choosing samples with --limit
DECODERS = ("decoding", "beam_width", "language_model", "lexicon")  # arguments of a model that are options here


class Evaluate(Command):
    """Measure a trained bundle on a split of a dataset."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer evaluate\n  text-recognizer evaluate last --split validation --json\n"
            "  text-recognizer evaluate last --limit 5000 --report report.html\n"
            "  text-recognizer evaluate line-reader --dataset LineListDataset --dataset_args.path=lines\n"
            "  text-recognizer evaluate line-reader --decoding beam --language-model 6 --lexicon --texts letters.txt"
        )
        add = parser.add_argument
        add("bundle", nargs="?", default=DEFAULT_BUNDLE, help=A_BUNDLE)
        add("--split", choices=SPLIT_NAMES, default="test")
        add("--dataset", metavar="NAME", help="another dataset, in the format and alphabet of the bundle")
        add_dataset_args(parser)
        add("--limit", type=POSITIVE, metavar="N", help="evaluate only N random samples (always the same ones)")
        add("--decoding", choices=("greedy", "beam"), help="decoding of lines (default: that of the bundle)")
        add("--beam-width", type=int, metavar="N", help="number of hypotheses in beam search")
        add("--language-model", type=int, metavar="ORDER", help="use a character n-gram model of this order")
        add("--lexicon", action=argparse.BooleanOptionalAction, help="prefer known words")
        add("--texts", type=Path, metavar="FILE", help="text for both (default: the training lines)")
        add("--report", type=Path, metavar="FILE.html", help="write an HTML report with sample images")
        add("--json", action="store_true", help="print all metrics as JSON, including those per class")
        add("--gate", action="store_true", help="exit with code 1 if worse than recorded, or than earlier versions")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    asked = {name: value for name in DECODERS if (value := getattr(arguments, name)) is not None}
    elsewhere = arguments.dataset or arguments.dataset_args or arguments.split != "test"
    if arguments.gate and (asked or elsewhere or arguments.limit):
        raise SpecError("--gate is for the whole test split of the bundle's own dataset, decoded as it was trained to.")
    bundle = bundle_named(arguments.bundle)
    if arguments.dataset is not None or arguments.dataset_args:
        name = arguments.dataset or bundle.spec.dataset
        own_args = bundle.spec.dataset_args if arguments.dataset is None else {}
        dataset = fitting_dataset(bundle, name, {**own_args, **with_charset_found(name, arguments.dataset_args)})
    else:
        dataset = assemble(bundle.spec, has_begun=True).dataset
    dataset.prepare()
    split, note = fitting_split(bundle, dataset, arguments.split)
    other = "the data is not the data this bundle was trained on: its splits may overlap with these"
    is_other = dataset.fingerprint != bundle.dataset_fingerprint
    notes = [*([note] if note is not None else []), *dataset.remarks(arguments.split), *([other] if is_other else [])]
    with standard_error_off():  # TensorFlow's start-up notes
        model = bundle.load()
        _decode_as_asked(model, bundle, dataset, asked, arguments)
    chosen = None  # means all; a larger limit includes the samples of a smaller one
    if arguments.limit is not None and arguments.limit < len(split):
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(split))[: arguments.limit])
    result = evaluate(model, split, arguments.split, chosen)
    if arguments.json:
        about = {"bundle": str(bundle.folder), "run_id": bundle.run_id, "samples_of_split": len(split)}
        about |= {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "notes": notes}
        print(evaluation_text(about | result.to_json()), end="", flush=True)
    else:
        print(f"bundle   {bundle.folder} (run {bundle.run_id})")
        if chosen is not None:
            print(f"limit    {len(chosen):,} of {counted(len(split), model.unit)}, chosen at random with seed {SEED}")
        print(f"result   {result.headline()}")
        _print_metrics(result, {metric.name: metric.other_name for metric in model.metrics})
        if "unseen" in result.details:
            print(f"review   {result.details['unseen']}")
        print("".join(f"note     {text}\n" for text in notes), end="", flush=True)
    if arguments.report is not None:  # last: if it cannot be written, the metrics have been printed
        said = {"spec": bundle.spec.to_json(), "run_id": bundle.run_id, "dataset": dataset.name, "notes": notes}
        write_evaluation_report(arguments.report, result, split, said)
    if arguments.gate:
        return _gate(bundle, model, result, is_other, _replaced(bundle, arguments.bundle))
    return 0


def _gate(bundle: Bundle, model: Model, result: Evaluation, is_other: bool, replaced: Sequence[Bundle]) -> int:
    if is_other:
        raise DataError(
            f"the data of {bundle.folder} has changed since it was recorded: the gate would compare different data."
        )
    failure = shortfall(bundle, model, result, replaced)
    if failure is not None:
        say(f"the gate failed: {failure}")
    return 0 if failure is None else 1


def _replaced(bundle: Bundle, name: str) -> list[Bundle]:
    """The bundles of the earlier versions of a promoted model."""
    store = ModelStore()
    version = store.find(name)
    if version is None or version.folder != bundle.folder:  # a folder or run of that name
        return []
    return [Bundle.read(one.folder) for one in store.versions(version.name) if one.number < version.number]


def _decode_as_asked(
    model: Model, bundle: Bundle, dataset: Dataset, asked: Mapping[str, Any], arguments: argparse.Namespace
) -> None:
    """Replaces the decoder if requested, fitted and tuned without the evaluated lines."""
    if not asked and arguments.texts is None:
        return
    if asked.get("decoding") == "greedy":
        if "beam_width" in asked:
            raise SpecError("--beam-width is for --decoding beam: greedy decoding has no hypotheses.")
        asked = {"language_model": None, "lexicon": False, **asked}
    reader, needs_learning = decode_otherwise(model, bundle, {"decoding": "beam", **asked})
    held_out = fitting_split(bundle, dataset, "train" if arguments.split == "validation" else "validation")[0]
    if arguments.texts is not None:
        if not reader.decoder.needs_tuning:
            raise SpecError("--texts are for --language-model and --lexicon: add one of them.")
        reader.language_model_texts = str(arguments.texts)
        reader.finish(held_out, held_out)  # it learns from the given texts instead of the first split
    elif needs_learning:
        own = assemble(bundle.spec, has_begun=True).dataset
        own.prepare()
        reader.finish(own.split("train"), held_out)
    reader.calibrate(held_out)  # the stored calibration is for another decoder


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
