"""text-recognizer export: exports a trained bundle for another runtime, and verifies it."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evaluation.evaluate import Tally
from text_recognizer import exports
from text_recognizer.arguments import arguments_of
from text_recognizer.datasets.base import Dataset, Split
from text_recognizer.decoding.tuning import evenly_chosen
from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.exports.base import Images, ModelExport, check_same, divergence, noise
from text_recognizer.models.base import Model
from text_recognizer.models.bundle import Bundle
from text_recognizer.named_part import NamedPart, constructor_of
from text_recognizer.registry import names, resolve
from text_recognizer.trust import TrustCode
from text_recognizer.wording import counted
from training.commands.base import A_BUNDLE, Command
from training.runs.find import bundle_named
from training.terminal.log_file import standard_error_off

GOLDEN_IMAGES = 64
CALIBRATION_IMAGES = 256
MOST_MEASURED = 5000  # samples of the validation split on which a quantized model is measured
# Allowed loss in the headline metric by quantization.
MOST_LOST_SHARE, MOST_ADDED_ERROR = 0.001, 0.0005


class Export(Command):
    """Export a trained bundle as ONNX or SavedModel, and verify it."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer export last --format onnx --output digits.onnx\n"
            "  text-recognizer export runs/default/RUN --format onnx --quantize int8\n"
            "  text-recognizer export last --format saved_model --output digits"
        )
        add = parser.add_argument
        add("bundle", help=A_BUNDLE)
        add(
            "--format",
            required=True,
            metavar="NAME[:ARGS]",
            help=f"{', '.join(exports.MODEL_EXPORTS)}, or package.module:Class",
        )
        add("--quantize", choices=("int8",), help="quantize weights and activations to 8 bits")
        add("--output", type=Path, metavar="PATH", help="a new file or folder (default: named after the run)")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    bundle = bundle_named(arguments.bundle)
    part = NamedPart.parse("model_export", arguments.format)
    if arguments.quantize is not None:
        if not _quantizes(part.name):
            able = ", ".join(name for name in names("model_export") if _quantizes(name))
            raise SpecError(f"--format {part.name} cannot quantize. Formats that can: {able}. Or leave out --quantize.")
        part = NamedPart.parse(
            "model_export", str(NamedPart(part.kind, part.name, {**part.arguments, "quantize": arguments.quantize}))
        )
    export: ModelExport = part.make()
    output = arguments.output or Path(f"{bundle.run_id}{export.suffix}")
    if output.exists():
        raise DataError(f"{output} already exists. Give another name with --output, or remove it.")
    dataset = _prepared(bundle, may_lack=export.quantize == "off")
    with standard_error_off():  # TensorFlow's start-up notes
        model = bundle.load()
        found = _write(export, model, bundle, dataset, output)
    size_bytes = sum(file.stat().st_size for file in [output, *output.rglob("*")] if file.is_file())
    print(f"{output}  {size_bytes:,} bytes  run {bundle.run_id}  {found}")
    return 0


def _quantizes(name: str) -> bool:
    return "quantize" in arguments_of(constructor_of(resolve("model_export", name)))


def _prepared(bundle: Bundle, may_lack: bool) -> Dataset | None:
    """The prepared dataset of a bundle; None if it is not on this machine, as for a bundle from elsewhere."""
    try:
        dataset = assemble(bundle.spec, has_begun=True).dataset
        dataset.prepare()
    except DataError as error:
        if not may_lack:
            raise
        sys.stderr.write(f"{error} The export is compared on noise instead of images of the dataset.\n")
        return None
    return dataset


def _write(export: ModelExport, model: Model, bundle: Bundle, dataset: Dataset | None, output: Path) -> str:
    """Writes, loads and verifies the export; returns the result. A failed export is removed."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        sets = noise(model) if dataset is None else [_images(model, dataset.split("train"), CALIBRATION_IMAGES)]
        attempts = export.attempts(model, bundle, output, sets[0])
        if dataset is not None:
            validation = dataset.split("validation")
            if export.quantize != "off":
                return _measured(model, attempts, export, validation, output)
            sets = [_images(model, validation, GOLDEN_IMAGES)]
        next(attempts)
        outputs = export.load(output)
        difference = max(check_same(model, outputs, images, output) for images in sets)
        return f"read again: {counted(sum(map(len, sets)), 'image')}, logits differ by at most {difference:.1e}"
    except BaseException as error:
        if output.is_dir():
            shutil.rmtree(output, ignore_errors=True)
        output.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"cannot write {output}: {error.strerror or error}.") from None
        raise


def _images(model: Model, split: Split, most: int) -> Images:
    """Images spread over a split (the first ones may be of one class or writer), in the form of the network's input."""
    images: Images = model.arranged(split.batch(evenly_chosen(len(split), most)))["image"]
    return images


def _measured(model: Model, attempts: Iterator[str], export: ModelExport, split: Split, output: Path) -> str:
    """The first attempt with a negligible loss on the validation split.

    Errors on few samples are subject to chance, so the outputs count too: the divergence of their probabilities from
    the original's, as a share of its entropy, must not exceed the allowed increase in errors.
    """
    chosen, metric = evenly_chosen(len(split), MOST_MEASURED), model.metrics[0]
    allowed, shown = (MOST_LOST_SHARE if metric.larger_is_better else MOST_ADDED_ERROR), "none"
    for form in attempts:
        outputs, before, after = export.load(output), Tally(model, split), Tally(model, split)
        diverged = uncertain = 0.0
        for scored in model.score(split, chosen):
            exported = replace(scored, outputs=model.seen_by(outputs, scored.batch["image"]))
            before.add(scored, model.counts(scored))
            after.add(exported, model.counts(exported))
            both = divergence(scored.outputs, exported.outputs)
            diverged, uncertain = diverged + both[0], uncertain + both[1]
        first, last = before.metrics[metric.name], after.metrics[metric.name]
        lost, errors = (first - last, 1 - first) if metric.larger_is_better else (last - first, first)
        shown = (
            f"{form}; validation {metric.name} {first:.4f} before, {last:.4f} after, on "
            f"{counted(len(chosen), 'sample')}; outputs diverge by {diverged / max(uncertain, 1e-9):.2%}"
        )
        if lost <= allowed and diverged * errors <= allowed * uncertain:
            return shown
    raise DataError(
        f"{output} loses more than {allowed:g}, whichever layers are left out. The last choice: {shown}. "
        f"Nothing was kept. Train longer, or export without --quantize."
    )
