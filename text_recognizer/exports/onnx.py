"""ONNX: one file that onnxruntime reads without TensorFlow; also the twin of a bundle."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from text_recognizer.arguments import to_json
from text_recognizer.exports.base import Images, ModelExport, Outputs, check_same, noise
from text_recognizer.exports.int8 import Quantized
from text_recognizer.models.base import Model, main_output
from text_recognizer.models.bundle import DESCRIPTION, Bundle
from text_recognizer.models.twin import INPUT, OUTPUT, TWIN, session_outputs
from text_recognizer.whole_files import replace_file, sha256_of

METADATA = "text_recognizer"  # the key of a file's metadata


class OnnxExport(ModelExport):
    """An .onnx file: uint8 images (B, H, W, C) in, logits out; classes and image form are in its metadata.

    Args:
        quantize: "int8" stores weights and computes with bytes: a quarter of the size, and faster on most processors.
            `attempts` leaves out more and more of the layers that lose accuracy.
    """

    suffix = ".onnx"

    def __init__(self, quantize: Literal["off", "int8"] = "off") -> None:
        self.quantize = quantize

    def write(self, model: Model, bundle: Bundle, output: Path, samples: Images) -> None:
        next(iter(self.attempts(model, bundle, output, samples)))

    def attempts(self, model: Model, bundle: Bundle, output: Path, samples: Images) -> Iterator[str]:
        import keras
        import onnx
        import tensorflow as tf

        network = keras.Model(model.keras_model.input, main_output(model.keras_model.output), name=INPUT)
        signature = [tf.TensorSpec((None, *model.data_spec.input_shape), "uint8", name=INPUT)]
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
            plain = Path(folder) / "plain.onnx"
            network(np.zeros((1, *samples.shape[1:]), np.uint8))  # Keras exports only called models
            network.export(plain, format="onnx", verbose=False, input_signature=signature)
            written = onnx.load(plain)
            graph = written.graph  # names must not depend on how many networks were built before
            names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
            graph.input[0].name, graph.output[0].name = INPUT, OUTPUT
            for ends in (ends for node in graph.node for ends in (node.input, node.output)):
                ends[:] = [names.get(name, name) for name in ends]
            if samples.shape[-1] == 1:
                _scale_in_rows(graph)
            data_spec = to_json(model.data_spec)
            about = {
                "classes": data_spec.pop("classes"),
                "data_spec": data_spec,
                "temperature": model.calibration.temperature if model.calibration else 1.0,
                "run_id": bundle.run_id,
                "spec": bundle.spec.to_json(),
            }
            metadata = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
            onnx.save(written, plain)
            choices = Quantized(plain, samples).choices() if self.quantize == "int8" else [(written, "")]
            for network, words in choices:
                if words:
                    _compact(network.graph, {"": "", INPUT: INPUT, OUTPUT: OUTPUT})
                onnx.helper.set_model_props(network, {METADATA: metadata})
                onnx.save(network, plain.with_name("chosen.onnx"))
                plain.with_name("chosen.onnx").replace(output)
                yield words

    def load(self, output: Path) -> Outputs:
        return session_outputs(output)


def add_twin(folder: Path) -> float:
    """Writes the ONNX twin into a bundle's folder and verifies it. Raises DataError: its outputs differ.

    The bundle's description then includes it.

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


def _scale_in_rows(graph: Any) -> None:
    """Scales grey images as (B, H, W): with a last axis of size one, onnxruntime takes twenty times as long."""
    from onnx import helper, numpy_helper

    levels = next((node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] == INPUT), "")
    scaling = [place for place, node in enumerate(graph.node) if node.op_type == "Mul" and levels in node.input]
    for place in scaling[:1]:
        node, axis = graph.node[place], f"{levels}/axis"
        graph.initializer.append(numpy_helper.from_array(np.array([-1]), axis))
        node.input[:] = [f"{levels}/rows" if name == levels else name for name in node.input]
        graph.node.insert(place + 1, helper.make_node("Unsqueeze", [f"{levels}/scaled", axis], [node.output[0]]))
        node.output[0] = f"{levels}/scaled"
        graph.node.insert(place, helper.make_node("Squeeze", [levels, axis], [f"{levels}/rows"]))


def _compact(graph: Any, names: dict[str, str]) -> None:
    """Removes what no runtime needs: long names, inferred shapes, zero points of 0; a tenth of a small network's file.

    Args:
        names: short ones of tensors, of all graphs around this one.
    """
    from onnx.numpy_helper import to_array

    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[0] in stored:
            zero_point = node.input[2]
            if zero_point in stored and not to_array(stored[zero_point]).any():
                graph.initializer.remove(stored.pop(zero_point))  # each belongs to one tensor
                del node.input[2]
    del graph.value_info[:]

    def short(name: str) -> str:
        return names.setdefault(name, f"{len(names):x}")

    for tensor in (*graph.initializer, *graph.input, *graph.output):
        tensor.name = short(tensor.name)
    for node in graph.node:
        node.name = ""
        for ends in (node.input, node.output):
            ends[:] = map(short, ends)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _compact(attribute.g, names)
