"""The ONNX twin of a bundle: readings without TensorFlow, and those of the bundle's own network."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError, RunError
from text_recognizer.models.bundle import DESCRIPTION, WEIGHTS, Bundle, write_bundle
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.models.twin import TWIN, twin_outputs
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.predictors import CharacterPredictor, LinePredictor
from text_recognizer.predictors.character import DEFAULT_BUNDLE
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.whole_files import sha256_of

IMAGES = Path(__file__).parents[1] / "support" / "digits"
SHIPPED = weights_folder() / DEFAULT_BUNDLE
LINES = SHIPPED.with_name("line-reader") / TWIN


@pytest.fixture
def digits(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "digits"))


def rewritten(folder, content):
    """The bundle with another twin, whose hash it names."""
    (folder / TWIN).write_bytes(content)
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    described["files_sha256"][TWIN] = sha256_of(folder / TWIN)
    (folder / DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("bundle", "answer"), [(DEFAULT_BUNDLE, ": 7  "), ("line-reader", "7.png: ")])
def test_the_shipped_readers_read_without_tensorflow(bundle, answer):
    code = f"""
import sys
from training.cli import main
assert main(["predict", {str(IMAGES / "7.png")!r}, "--bundle", {bundle!r}]) == 0
print(sorted({{"tensorflow", "keras", "h5py", "scipy", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_twin_reads_as_its_network_does(digits, monkeypatch):
    files = sorted(IMAGES.glob("*.png"))
    by_twin = CharacterPredictor(digits).predict_many(files)
    monkeypatch.setattr(Bundle, "load_to_read", lambda self, threads: self.load())
    by_keras = CharacterPredictor(digits).predict_many(files)
    assert [one.text for one in by_twin] == [one.text for one in by_keras]
    assert np.allclose([one.confidence for one in by_twin], [one.confidence for one in by_keras], atol=1e-5)


def assert_levels_are_scaled_in_rows(path):
    """Whether what takes onnxruntime 9 ns a pixel, with a last axis of one, is done without that axis."""
    graph = onnx.load(path).graph
    makers = {name: node for node in graph.node for name in node.output}
    (cast,) = (node for node in graph.node if "image" in node.input)
    (scaling,) = (node for node in graph.node if node.op_type == "Mul")
    (squeezed,) = (makers[name] for name in scaling.input if name in makers)
    assert (squeezed.op_type, squeezed.input[0]) == ("Squeeze", cast.output[0])


def test_lines_of_any_width_are_read_by_a_twin(tmp_path, monkeypatch):
    import keras

    from text_recognizer.exports.onnx import OnnxExport, add_twin

    keras.utils.set_random_seed(0)
    data_spec = DataSpec((20, None, 1), ("", "a", "b"), "line", preprocessing=("contrast",))
    network = LineReader(filters=3, units=2, layers=1)
    spec = ExperimentSpec(
        "LineListDataset", "LineModelCtc", "line_reader", network_args={"filters": 3, "units": 2, "layers": 1}
    )
    folder = tmp_path / "lines"
    write_bundle(folder, LineModelCtc(data_spec, network), spec, "made", {}, "none")
    assert add_twin(folder) <= 1e-3
    for twin in (folder, weights_folder() / "line-reader"):
        assert_levels_are_scaled_in_rows(twin / TWIN)
    random = np.random.default_rng(0)
    lines = [random.integers(0, 256, (20, width), np.uint8) for width in (30, 31, 200)]
    by_twin = LinePredictor(folder).predict_many(lines)
    monkeypatch.setattr(Bundle, "load_to_read", lambda self, threads: self.load())
    by_keras = LinePredictor(folder).predict_many(lines)
    assert [one.text for one in by_twin] == [one.text for one in by_keras]
    assert np.allclose([one.confidence for one in by_twin], [one.confidence for one in by_keras], atol=1e-4)

    # In bytes it is smaller, its LSTMs too, and about the same.
    export, samples = OnnxExport("int8"), np.stack([np.pad(lines[0], ((0, 0), (0, 2)))] * 4)[..., None]
    export.write(Bundle.read(folder).load(), Bundle.read(folder), tmp_path / "int8.onnx", samples)
    assert b"DynamicQuantizeLSTM" in (tmp_path / "int8.onnx").read_bytes()
    outputs = [
        one.load(path)(samples) for one, path in ((OnnxExport(), folder / TWIN), (export, tmp_path / "int8.onnx"))
    ]
    assert np.abs(outputs[0] - outputs[1]).max() < 0.2 * np.ptp(outputs[0])

    # One that gives other logits is not kept, and the bundle is as before.
    monkeypatch.setattr("text_recognizer.exports.base.LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(DataError, match="does not reproduce the model"):
        add_twin(folder)
    assert Bundle.read(folder).hashes[TWIN] == sha256_of(folder / TWIN)
    assert sorted(path.name for path in folder.iterdir()) == [DESCRIPTION, TWIN, WEIGHTS]


def test_a_twin_that_has_changed_is_refused(digits):
    with open(digits / TWIN, "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"model\.onnx has changed since its bundle was written"):
        CharacterPredictor(digits)


@pytest.mark.parametrize("content", [b"", b"no network", (SHIPPED / TWIN).read_bytes()[:-5000], LINES.read_bytes()])
def test_a_twin_that_is_no_network_or_one_of_other_images_is_refused_in_a_sentence(digits, content):
    with pytest.raises(DataError, match=r"model\.onnx cannot be used: .*remove the file"):
        CharacterPredictor(rewritten(digits, content))


def test_a_bundle_that_nothing_here_can_read_says_what_would(digits, monkeypatch):
    (digits / TWIN).unlink()
    described = json.loads((digits / DESCRIPTION).read_text(encoding="utf-8"))
    del described["files_sha256"][TWIN]
    (digits / DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match="needs TensorFlow, which is not installed: pip install .* an ONNX file"):
        CharacterPredictor(digits)


def test_a_process_that_was_forked_from_one_with_a_model_is_told_so_and_reads_by_a_twin(digits, monkeypatch):
    by_twin, by_keras = CharacterPredictor(digits), CharacterPredictor(SHIPPED)
    by_keras._model = by_keras.bundle.load()
    monkeypatch.setattr("os.getpid", lambda: -1)  # as in a child
    monkeypatch.setattr("text_recognizer.keras_import._loaded_in", {1})
    assert by_twin.predict(IMAGES / "7.png").text == "7"
    for attempt in (lambda: by_keras.predict(IMAGES / "7.png"), by_keras.bundle.load):
        with pytest.raises(RunError, match="was forked from one that had loaded a model"):
            attempt()


def test_a_twin_with_other_classes_is_refused(digits):
    described = json.loads((digits / DESCRIPTION).read_text(encoding="utf-8"))
    described["data_spec"]["classes"].append("x")
    (digits / DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(DataError, match="has 10 classes, the bundle 11"):
        CharacterPredictor(digits)


def test_a_twin_with_weights_in_another_file_is_refused(tmp_path, monkeypatch):
    from onnx import TensorProto, helper

    content = np.arange(10, dtype=np.float32).tobytes()
    (tmp_path / "weights.bin").write_bytes(content)
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 10], content, raw=True)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "40")):
        weights.external_data.add(key=key, value=value)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [None, 2, 2, 1])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])
    node = helper.make_node("Identity", ["weights"], ["logits"])
    graph = helper.make_graph([node], "network", [image], [logits], [weights])
    version = helper.make_opsetid("", 17)
    (tmp_path / TWIN).write_bytes(helper.make_model(graph, opset_imports=[version], ir_version=9).SerializeToString())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="cannot be used"):
        twin_outputs(tmp_path / TWIN, DataSpec((2, 2, 1), tuple("abcdefghij"), "character", "light"))
