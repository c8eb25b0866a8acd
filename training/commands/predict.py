"""text-recognizer predict: what a trained bundle reads in image files of characters, lines or pages."""

import argparse
import json
from typing import Any

from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import Bundle
from text_recognizer.models.prediction import Prediction
from text_recognizer.predictors.character import DEFAULT_BUNDLE, CharacterPredictor
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.paragraph import ParagraphTextRecognizer
from text_recognizer.trust import TrustCode
from text_recognizer.wording import received
from training.commands.base import Command
from training.runs.find import bundle_named
from training.terminal.log_file import standard_error_off

MOST_ALTERNATIVES = 1000


class Predict(Command):
    """Read characters, lines or pages in image files."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer predict digit.png\n"
            "  text-recognizer predict *.png --bundle runs/default/20261120-093012-k3x9f-lenet --json\n"
            "  text-recognizer predict line.png --bundle last --alternatives 10\n"
            "  text-recognizer predict page.jpg --pages --bundle READER_RUN"
        )
        parser.add_argument("images", nargs="+", metavar="IMAGE", help="images of what the bundle was trained to read")
        parser.add_argument("--bundle", default=DEFAULT_BUNDLE, help="a bundle or run: folder, id, or last")
        parser.add_argument("--pages", action="store_true", help="images are pages, of which --bundle reads the lines")
        parser.add_argument("--detector", metavar="BUNDLE", help="as --pages, and this bundle finds the lines")
        parser.add_argument(
            "--alternatives", type=int, metavar="N", help="list the N most probable readings of each image or line"
        )
        parser.add_argument("--json", action="store_true", help="a JSON object an image, with alternatives and places")
        parser.add_argument("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.alternatives is not None and not 1 <= arguments.alternatives <= MOST_ALTERNATIVES:
        raise SpecError(f"--alternatives must be 1 to {MOST_ALTERNATIVES}. {received(arguments.alternatives)}")
    bundle = bundle_named(arguments.bundle)
    if arguments.pages or arguments.detector is not None:
        return _read_pages(bundle, arguments)
    with standard_error_off():  # TensorFlow's start-up notes
        predictor = _predictor(bundle, arguments.alternatives)
    for image, prediction in zip(arguments.images, predictor.predict_many(arguments.images), strict=True):
        if arguments.json:
            print(json.dumps({"image": image, **_to_json(prediction)}, ensure_ascii=False))
        elif arguments.alternatives is not None:
            print(f"{image}: {prediction.text}  {prediction.confidence:.3f}\n{_listed(prediction)}")
        else:
            others = ", ".join(f"{text} {confidence:.3f}" for text, confidence in prediction.alternatives[1:3])
            print(f"{image}: {prediction.text}  {prediction.confidence:.3f}" + (f"  (or {others})" if others else ""))
    return 0


def _listed(prediction: Prediction) -> str:
    return "\n".join(f"  {confidence:.3g}\t{text}" for text, confidence in prediction.alternatives)


def _predictor(bundle: Bundle, alternatives: int | None) -> CharacterPredictor | LinePredictor:
    target = bundle.data_spec.target
    if target == "pixels":
        raise DataError(
            f"the bundle {bundle.folder} finds lines on pages and reads nothing. "
            f"Give it as --detector, and one that reads lines as --bundle."
        )
    return LinePredictor(bundle, alternatives) if target == "line" else CharacterPredictor(bundle, alternatives)


def _read_pages(reader: Bundle, arguments: argparse.Namespace) -> int:
    with standard_error_off():
        detector = None if arguments.detector is None else bundle_named(arguments.detector)
        recognizer = ParagraphTextRecognizer(detector, reader, arguments.alternatives)
    for image in arguments.images:
        page = recognizer.predict(image)
        if arguments.json:
            lines = [
                {"box": line.box, "baseline": line.baseline, "polygon": line.polygon, **_to_json(line.prediction)}
                for line in page.lines
            ]
            print(json.dumps({"image": image, "text": page.text, "lines": lines}, ensure_ascii=False))
            continue
        if len(arguments.images) > 1:
            print(f"{image}:")
        if arguments.alternatives is not None:
            print("\n".join(f"{line.prediction.text}\n{_listed(line.prediction)}" for line in page.lines))
        else:
            print(page.text if page.lines else "(no lines found)", flush=True)
    return 0


def _to_json(prediction: Prediction) -> dict[str, Any]:
    row: dict[str, Any] = {
        "text": prediction.text,
        "confidence": prediction.confidence,
        "alternatives": [{"text": text, "confidence": confidence} for text, confidence in prediction.alternatives],
    }
    if prediction.characters:
        row["characters"] = [
            {"text": one.text, "confidence": round(one.confidence, 6), "left_px": one.left_px, "right_px": one.right_px}
            for one in prediction.characters
        ]
    return row
