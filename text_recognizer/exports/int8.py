"""Quantization to 8-bit weights: which layers also compute with bytes, and which stay float."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.exports.base import Images, divergence
from text_recognizer.models.twin import INPUT, session_outputs

# The options for a layer, from the smallest and fastest to the original.
COMPUTED, STORED, FLOATS = range(3)
_WEIGHTS = {"Conv": (1,), "LSTM": (1, 2), "MatMul": (1,)}  # inputs of a node that are weights
_SUMMED = {"Conv": (1, 2, 3), "LSTM": (2,), "MatMul": (0,)}  # their summed axes, which share a scale
_BATCH, _COMPARED = 16, 64  # images
_MOST_GROUPS, _MOST_CHOICES = 16, 8
_NEARER = 3.0  # factor by which each choice should be closer to the original than the one before


class Quantized:
    """A float network whose layers can be quantized.

    Args:
        plain: an ONNX file; others are written beside it.
        samples: (N, H, W, C) images in the form of the dataset.
    """

    def __init__(self, plain: Path, samples: Images) -> None:
        import onnx
        from onnxruntime.quantization import quant_pre_process
        from onnxruntime.quantization.onnx_model import ONNXModel

        self._path, self._samples = plain.with_name("prepared.onnx"), samples
        quant_pre_process(str(plain), str(self._path), skip_symbolic_shape=True)
        model = ONNXModel(onnx.load(self._path))
        model.replace_gemm_with_matmul()
        sizes = {one.name: int(np.prod(one.dims)) for one in model.initializer() if one.data_type == one.FLOAT}
        self._size, self._layers, self._sizes = sum(sizes.values()), dict[str, Any](), dict[str, int]()
        for place, node in enumerate(model.nodes()):
            weights = [node.input[one] for one in _WEIGHTS.get(node.op_type, ())]
            if weights and sizes.keys() >= set(weights):
                node.name = node.name or f"layer {place}"
                self._layers[node.name], self._sizes[node.name] = node, sum(sizes[one] for one in weights)
        onnx.save(model.model, self._path)

    def choices(self) -> Iterator[tuple[Any, str]]:
        """Networks, each closer to the original than the one before, with a description of their quantized share.

        All layers compute with bytes at first. Then the layers that change the outputs most are left out, measured for
        each layer alone (for neighbouring ones together in a large network) by the divergence of the outputs'
        probabilities from the original's. Unlike an error rate, this needs only a few images without labels.
        """
        groups = np.array_split(np.array(list(self._layers), object), min(_MOST_GROUPS, len(self._layers)))
        harms, forms = list[tuple[float, ...]](), [COMPUTED] * len(groups)
        for _ in range(_MOST_CHOICES):
            chosen = {name: form for group, form in zip(groups, forms, strict=True) for name in group}
            if not any(form < FLOATS for form in forms):
                return
            share = sum(self._sizes[name] for name, form in chosen.items() if form < FLOATS) / self._size
            computed = sum(form == COMPUTED for form in chosen.values())
            words = f"{share:.0%} of the weights in eight bits, with which {computed} of {len(chosen)} layers compute"
            yield self._network(chosen), words
            if not harms:
                original = self._outputs({})
                harms = [(*(self._harm(original, group, form) for form in (COMPUTED, STORED)), 0.0) for group in groups]
            left = np.array([harm[form] for harm, form in zip(harms, forms, strict=True)])
            goal = left.sum() / _NEARER
            while left.sum() > goal:
                worst = int(left.argmax())
                forms[worst] += 1
                left[worst] = harms[worst][forms[worst]]

    def _harm(self, original: NDArray[Any], names: NDArray[Any], form: int) -> float:
        return max(0.0, divergence(original, self._outputs(dict.fromkeys(names, form)))[0])

    def _outputs(self, forms: dict[str, int]) -> NDArray[Any]:
        import onnx

        path = self._path.with_name("compared.onnx")
        onnx.save(self._network(forms), path)
        return session_outputs(path)(self._samples[:: -(-len(self._samples) // _COMPARED)])

    def _network(self, forms: dict[str, int]) -> Any:
        """Quantizes the named layers; others stay float.

        Activation ranges come from samples only for convolutions; for LSTMs and dense layers, they are computed at
        every call. (With ranges from samples, the dense layer of a reader cost 0.19 points of CER.)
        """
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        path, dynamic = self._path, self._path.with_name("dynamic.onnx")
        computed = [self._layers[name] for name, form in forms.items() if form == COMPUTED]
        signed = quantization.QuantType.QInt8
        if names := [node.name for node in computed if node.op_type != "Conv"]:
            quantization.quantize_dynamic(
                str(path),
                str(dynamic),
                op_types_to_quantize=["LSTM", "MatMul"],
                nodes_to_quantize=names,
                per_channel=True,
                weight_type=signed,
            )
            path = dynamic
        network = onnx.load(path)
        if names := [node.name for node in computed if node.op_type == "Conv"]:
            network = onnx.shape_inference.infer_shapes(network)
            unsigned, ranges = quantization.QuantType.QUInt8, self._ranges
            quantizer = QDQQuantizer(network, True, False, signed, unsigned, ranges, names, [], ["Conv"], {})
            quantizer.quantize_model()
            network = quantizer.model.model
        for name in (name for name, form in forms.items() if form == STORED):
            self._store(network.graph, self._layers[name])
        return network

    @cached_property
    def _ranges(self) -> Any:
        """Ranges of the inputs and outputs of convolutions."""
        from onnxruntime.quantization import create_calibrator

        batches = iter(np.array_split(self._samples, -(-len(self._samples) // _BATCH)))
        augmented = str(self._path.with_name("augmented.onnx"))
        calibrator = create_calibrator(str(self._path), ["Conv"], augmented_model_path=augmented)
        calibrator.collect_data(SimpleNamespace(get_next=lambda: next(({INPUT: one} for one in batches), None)))
        return calibrator.compute_data()

    def _store(self, graph: Any, layer: Any) -> None:
        """Stores weights as bytes only in the file: onnxruntime converts them to floats when it loads it."""
        from onnx import TensorProto, helper, numpy_helper

        stored = {tensor.name: tensor for tensor in graph.initializer}
        names = [layer.input[place] for place in _WEIGHTS[layer.op_type] if layer.input[place] in stored]
        for name in names:  # none if a layer shares the weights of another
            weights = numpy_helper.to_array(stored[name])
            largest = np.abs(weights).max(axis=_SUMMED[layer.op_type], keepdims=True)
            scales = np.where(largest > 0, largest, 1) / np.float32(127)
            graph.initializer.remove(stored[name])
            levels = numpy_helper.from_array(np.rint(weights / scales).astype(np.int8), f"{name} levels")
            graph.initializer.extend([levels, numpy_helper.from_array(scales, f"{name} scales")])
            graph.node.insert(0, helper.make_node("Mul", [f"{name} floats", f"{name} scales"], [name]))
            cast = helper.make_node("Cast", [f"{name} levels"], [f"{name} floats"], to=TensorProto.FLOAT)
            graph.node.insert(0, cast)
