"""text-recognizer pseudo-label: turns readings of untranscribed lines into training data."""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.arguments import to_json
from text_recognizer.charset import tidy_text
from text_recognizer.datasets.base import SPLIT_NAMES, Dataset
from text_recognizer.datasets.formats.line_lists import read_line_list
from text_recognizer.datasets.lines.base import LineDataset
from text_recognizer.datasets.lines.joined_lines import JoinedLinesDataset, JoinedPart
from text_recognizer.datasets.lines.pool import picture_hash
from text_recognizer.datasets.storage.parallel import progress
from text_recognizer.datasets.storage.strings import storable
from text_recognizer.errors import DataError, SpecError
from text_recognizer.experiment import assemble
from text_recognizer.images.grey import read_grey
from text_recognizer.images.line_form import LineForm, UnfitImageError
from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.spec import ExperimentSpec
from text_recognizer.trust import TrustCode
from text_recognizer.whole_files import replace_file
from text_recognizer.wording import counted, shell_word
from training.commands.base import Command
from training.commands.page_lines import cut_lines
from training.commands.predict_sources import Source, sources_of
from training.runs.find import bundle_named
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off
from training.terminal.parser import number

LINES, LEFT_OUT, SPEC = "lines.json", "left_out.json", "spec.json"
CUT = "cut"  # the folder of lines cut out of pages
TOGETHER = 64  # images read at once
FEWEST = 3  # minimum number of lines in a dataset
_MARK = "pseudo"  # the column that identifies lists of pseudo-labels
_OF_FORM = ("height", "max_width", "width", "ink", "source_ink", "preprocessing", "normalization")


class Reason(StrEnum):
    """Why a line is left out."""

    HELD_OUT = "held_out"  # it is in the validation or test split
    TRANSCRIBED = "transcribed"  # it is in the training split
    TWICE = "twice"
    UNREADABLE = "unreadable"  # damaged or blank
    NO_TEXT = "no_text"
    UNSURE = "unsure"


@dataclass(frozen=True)
class LeftOut:
    """A line that is left out, with the confidence of its reading, or why there is none."""

    file: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class PseudoLine:
    """A line with its reading; `confidence`: expected share of correct characters."""

    file: str
    text: str
    confidence: float


class PseudoLabel(Command):
    """Read untranscribed lines, keep the confident readings, and write the spec of a run that trains on them too."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer pseudo-label scans/lines --bundle last --coverage 0.5 --output pseudo\n"
            "  run_experiment pseudo/spec.json\n\n"
            f"FOLDER will hold {LINES} (file, text, confidence of each line kept), {LEFT_OUT} (the others, with "
            f"reasons)\nand {SPEC} (the run's spec, with these lines for training only, from the run's weights).\n"
            f"Lines cut from pages become image files in {CUT}."
        )
        add = parser.add_argument
        add("images", nargs="+", metavar="IMAGE", help="images of one line each; ALTO or PAGE XML; folders of these")
        add("--pages", action="store_true", help="images show pages: find their lines first")
        add("--bundle", required=True, help="the run to read them with, trained on the transcribed lines")
        how, share = parser.add_mutually_exclusive_group(required=True), number(float, 0, 1)
        how.add_argument(
            "--keep-above",
            type=share,
            metavar="P",
            help="keep lines with at least this share of characters expected to be right, by the run's calibration",
        )
        how.add_argument("--coverage", type=share, metavar="SHARE", help="keep this most confident share of the lines")
        add("--output", type=Path, required=True, metavar="FOLDER")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.output.absolute()
    if (folder / LINES).exists():
        raise DataError(f"{folder} holds pseudo-labels already, which a run may need. Choose another --output.")
    sources = sources_of(arguments.images)
    pages = [source for source in sources if arguments.pages or source.is_xml]
    for name in (LEFT_OUT, SPEC, *([CUT] if pages else [])):  # our own folder is removed after a failure
        if (folder / name).exists():
            raise DataError(f"{folder / name} already exists and would be overwritten. Choose another --output.")
    paths = [_file(source.path, source.name) for source in sources if source not in pages]
    bundle = bundle_named(arguments.bundle)
    dataset, parts = _transcribed(bundle)
    with standard_error_off():  # TensorFlow's start-up notes
        predictor = LinePredictor(bundle)
    with _cut(pages, folder / CUT, predictor) as (cut, unfit):
        read, left_out = _read([*paths, *cut], predictor, _first(dataset).form, _known(dataset))
        left_out = [*unfit, *left_out]
        kept, unsure = _chosen(read, left_out, arguments.coverage, arguments.keep_above)
    left_out += unsure
    rows = [{**asdict(one), "split": "train", _MARK: True, "reader": bundle.run_id} for one in kept]
    spec = _spec(bundle, dataset, parts, folder).to_json()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((LEFT_OUT, [asdict(one) for one in left_out]), (SPEC, spec), (LINES, rows)):
        replace_file(folder / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    all_lines = len(kept) + len(left_out)
    say(f"kept {counted(len(kept), 'line')} of {all_lines:,}, confidence {kept[-1].confidence:.3f} or more")
    say(f"left out: {_counted(left_out)}")
    say(f"train: run_experiment {shell_word(folder / SPEC)}")
    return 0


@contextmanager
def _cut(pages: Sequence[Source], folder: Path, reader: LinePredictor) -> Iterator[tuple[list[Path], list[LeftOut]]]:
    """Cuts lines of pages into files, which are removed after a failure."""
    try:
        made, problems = cut_lines(pages, folder, reader) if pages else ([], {})
        yield made, [LeftOut(storable(name), Reason.UNREADABLE, storable(detail)) for name, detail in problems.items()]
    except BaseException:
        if pages:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _chosen(
    read: Sequence[PseudoLine], left_out: Sequence[LeftOut], coverage: float | None, keep_above: float | None
) -> tuple[list[PseudoLine], list[LeftOut]]:
    """The most confident lines, in descending order, and the others. Raises DataError: there are too few to keep."""
    read = sorted(read, key=lambda one: -one.confidence)
    if coverage is not None:
        kept = read[: round(coverage * len(read))]
    else:
        kept = [one for one in read if one.confidence >= (keep_above or 0)]
    unsure = [LeftOut(one.file, Reason.UNSURE, f"confidence {one.confidence:.4f}") for one in read[len(kept) :]]
    if len(kept) < FEWEST:
        best = f"; the highest confidence is {read[0].confidence:.3f}" if read else ""
        raise DataError(
            f"only {len(kept)} of {counted(len(read) + len(left_out), 'line')} can be kept, at least {FEWEST} are "
            f"needed (left out: {_counted([*left_out, *unsure])}){best}. Nothing was written."
        )
    return kept, unsure


def _counted(left_out: Sequence[LeftOut]) -> str:
    counts = Counter(one.reason for one in left_out)
    return ", ".join(f"{counts[reason]:,} {reason}" for reason in Reason if counts[reason]) or "none"


def _file(path: Path | None, name: str) -> Path:
    if path is None:
        raise DataError(f"'{name}' is not an image file of one line.")
    return path.absolute()


def _transcribed(bundle: Bundle) -> tuple[Dataset, list[dict[str, Any]]]:
    """The transcribed lines that a bundle was trained on, as dataset parts; without earlier pseudo-labels.

    Raises:
        DataError: its data is missing or has changed, or it does not read lines.
        SpecError: its dataset is from another package.
    """
    if bundle.data_spec.target != "line":
        raise DataError(f"the bundle {bundle.folder} reads no lines: it works on images of {bundle.data_spec.target}.")
    if ":" in bundle.spec.dataset:
        raise SpecError(f"its dataset '{bundle.spec.dataset}' cannot be joined with others: make it an entry point.")
    spec = bundle.spec.override(
        {"train_args.initial_weights": None}
    )  # they may be gone, and the bundle's own are used instead
    try:
        dataset: Any = assemble(spec).dataset
        dataset.prepare()
    except DataError as error:
        raise DataError(
            f"the transcribed lines of {bundle.folder} are not here: {error} Pseudo-labels are trained on beside "
            f"such lines: train a run on yours first, from these weights (train_args.initial_weights)."
        ) from None
    if dataset.fingerprint != bundle.dataset_fingerprint:
        raise DataError(
            f"the data of {bundle.folder} has changed since it was trained, and its validation and test splits "
            f"with it. Train again first."
        )
    if not dataset.joined:
        return dataset, [{"dataset": bundle.spec.dataset, "dataset_args": bundle.spec.dataset_args}]
    parts = tuple(part for part in dataset.parts if not _is_pseudo(part))
    return JoinedLinesDataset(parts), [to_json(part) for part in parts]


def _is_pseudo(part: JoinedPart) -> bool:
    path = Path(str(part.dataset_args.get("path", "")))
    return part.train_only and path.name == LINES and _MARK in read_line_list(path).columns


def _known(dataset: Dataset) -> dict[int, Reason]:
    splits = {name: dataset.split(name) for name in SPLIT_NAMES}
    return {
        digest: Reason.TRANSCRIBED if name == "train" else Reason.HELD_OUT
        for name, split in splits.items()
        for digest in split.digests.tolist()  # type: ignore[attr-defined]
    }


def _first(dataset: Dataset) -> LineDataset:
    first = dataset.joined[0] if dataset.joined else dataset
    if not isinstance(first, LineDataset):
        raise SpecError(f"the dataset '{first.name}' must be a LineDataset, to prepare other lines as it does its own.")
    return first


def _read(
    paths: Sequence[Path], predictor: LinePredictor, form: LineForm, known: dict[int, Reason]
) -> tuple[list[PseudoLine], list[LeftOut]]:
    """The readings of lines; and the lines without a reading, or with a known text."""
    read, left_out = list[PseudoLine](), list[LeftOut]()
    with progress("pseudo-label", len(paths), "line") as done:
        for start in range(0, len(paths), TOGETHER):
            prepared: dict[str, NDArray[np.uint8]] = {}
            some = paths[start : start + TOGETHER]
            for path in some:
                try:
                    if storable(str(path)) != str(path):
                        raise DataError("its name is not UTF-8, which JSON files cannot hold. Rename it.")
                    image = read_grey(path)
                    digest = picture_hash(form.apply(image))
                    if digest in known:
                        left_out.append(LeftOut(str(path), known[digest]))
                        continue
                    prepared[str(path)] = predictor.prepared(image)
                    known[digest] = Reason.TWICE
                except (DataError, UnfitImageError) as error:
                    left_out.append(LeftOut(storable(str(path)), Reason.UNREADABLE, storable(str(error))))
            for file, reading in zip(prepared, predictor.predict_prepared(list(prepared.values())), strict=True):
                if reading.expected_cer is None:
                    raise DataError(f"the bundle {predictor.bundle.folder} has no calibration. Train it again.")
                text = tidy_text(reading.text)
                if text:
                    read.append(PseudoLine(file, text, 1 - reading.expected_cer))
                else:
                    left_out.append(LeftOut(file, Reason.NO_TEXT))
            done(len(some))
    return read, left_out


def _spec(bundle: Bundle, dataset: Dataset, parts: list[dict[str, Any]], folder: Path) -> ExperimentSpec:
    form = {name: to_json(getattr(_first(dataset), name)) for name in _OF_FORM}
    pseudo = {"dataset": "LineListDataset", "dataset_args": {"path": str(folder / LINES), **form}, "train_only": True}
    train_args = {**bundle.spec.train_args, "initial_weights": str(bundle.folder.absolute())}
    joined = {"parts": [*parts, pseudo]}
    return replace(bundle.spec, dataset="JoinedLinesDataset", dataset_args=joined, train_args=train_args)
