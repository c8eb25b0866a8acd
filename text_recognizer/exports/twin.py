"""Gives a bundle its ONNX twin."""

import json
from pathlib import Path

from text_recognizer.exports.base import check_same, noise
from text_recognizer.exports.onnx import OnnxExport
from text_recognizer.models.bundle import DESCRIPTION, Bundle
from text_recognizer.models.twin import TWIN
from text_recognizer.whole_files import replace_file, sha256_of


def add_twin(folder: Path) -> float:
    """Writes the twin into a bundle's folder, once compared. Raises DataError: the network has none that agrees.

    The bundle's description names it from then on.

    Returns:
        the largest difference between their logits.
    """
    bundle, path, export = Bundle.read(folder), folder / f".{TWIN}.new", OnnxExport()
    model = bundle.load()
    checked = noise(model)
    try:
        export.write(model, bundle, path, checked[0])
        outputs = export.load(path)
        difference = max(check_same(model, outputs, images, folder / TWIN) for images in checked)
        path.replace(folder / TWIN)
    finally:
        path.unlink(missing_ok=True)
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    described["files_sha256"] = {**described.get("files_sha256", {}), TWIN: sha256_of(folder / TWIN)}
    replace_file(folder / DESCRIPTION, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    return difference
