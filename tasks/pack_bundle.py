"""Packs a bundle to half its size: stores its weights and those of its ONNX twin as float16."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from text_recognizer.exports.onnx import add_twin
from text_recognizer.models.bundle import DESCRIPTION
from text_recognizer.models.twin import TWIN
from text_recognizer.whole_files import sha256_of

FEW = 1000  # tensors of the ONNX twin with at most this many values stay float32


def pack_weights(path: Path) -> None:
    """Stores float32 weights as float16; Keras converts them back when it loads them."""
    packed = path.with_suffix(".packed")
    with h5py.File(path) as weights, h5py.File(packed, "w") as file:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                file.require_group(name).attrs.update(item.attrs)
                return
            values = item[()]
            values = values.astype(np.float16) if values.dtype == np.float32 else values
            file.create_dataset(name, data=values).attrs.update(item.attrs)

        file.attrs.update(weights.attrs)
        weights.visititems(copy)
    packed.replace(path)


def pack_twin(path: Path) -> None:
    """Keeps the large tensors of an ONNX file as float16, which a runtime casts when it loads them."""
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > FEW:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
            casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main(folder: Path) -> None:
    described = json.loads((folder / DESCRIPTION).read_text())
    weights = folder / "model.weights.h5"
    pack_weights(weights)
    described["weights_sha256"] = sha256_of(weights)
    described.get("files_sha256", {}).pop(TWIN, None)
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    add_twin(folder)
    pack_twin(folder / TWIN)
    described = json.loads((folder / DESCRIPTION).read_text())
    described["files_sha256"][TWIN] = sha256_of(folder / TWIN)
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
