"""text-recognizer export: what other runtimes read gives the numbers of the bundle, or is not kept."""

import io
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from text_recognizer.datasets.base import DataSpec, Split
from text_recognizer.datasets.characters.digits import DigitsDataset
from text_recognizer.datasets.characters.hwdb import GB2312_LEVEL_1
from text_recognizer.exports.onnx import OnnxExport
from text_recognizer.layout.cores import CORE_CLASSES
from text_recognizer.models.bundle import Bundle, build_model, write_bundle
from text_recognizer.models.calibration import Calibration
from text_recognizer.models.character import CharacterModel
from text_recognizer.models.line_detector import LineDetectorModel
from text_recognizer.networks.hanzi_net import HanziNet
from text_recognizer.networks.page_net import PageNet
from text_recognizer.spec import ExperimentSpec
from training.cli import main
from training.commands.export import _images, _measured

pytestmark = pytest.mark.usefixtures("unoptimised_graphs")

SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", network_args={"layer_size": 24, "num_layers": 1})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, digits_prepared):
    """A reader of digits whose weights are random."""
    folder = tmp_path_factory.mktemp("bundle") / "digits"
    model = build_model(SPEC, DigitsDataset().data_spec)
    model.calibration = Calibration(temperature=0.5)
    write_bundle(folder, model, SPEC, "20261128-000000-digit-mlp", {"val_accuracy": 0.1}, DigitsDataset().fingerprint)
    return folder


@pytest.fixture(scope="module")
def images(digits_prepared):
    return DigitsDataset().split("test").batch(np.arange(40))["image"]


def test_onnx_gives_the_same_logits_and_carries_its_classes(bundle, images, tmp_path, capsys):
    import onnxruntime

    output = tmp_path / "digits.onnx"
    assert main(["export", str(bundle), "--format", "onnx", "--output", str(output)]) == 0
    assert "run 20261128-000000-digit-mlp  read again: 64 images" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    expected = Bundle.read(bundle).load().outputs(images)
    assert np.allclose(session.run(["logits"], {"image": images})[0], expected, atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["text_recognizer"])
    assert about["classes"] == list("0123456789")
    assert about["temperature"] == 0.5
    assert about["run_id"] == "20261128-000000-digit-mlp"


def test_an_export_is_compared_by_images_from_all_over_a_split():
    class ByClass:
        """30 classes of 10 images each."""

        def __len__(self):
            return 300

        def batch(self, positions):
            return {"image": np.repeat(np.arange(30), 10)[positions]}

    model: Any = SimpleNamespace(arranged=lambda batch: batch)
    split: Any = ByClass()
    assert set(_images(model, split, 60)) == set(range(30))


def test_int8_is_kept_only_if_it_loses_next_to_nothing(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.commands.export.MOST_LOST_SHARE", 1.0)
    arguments = ["export", str(bundle), "--format", "onnx", "--quantize", "int8", "--output", str(tmp_path / "q.onnx")]
    assert main(arguments) == 0
    assert "% of the weights in eight bits, with which 2 of 2 layers compute; validation" in capsys.readouterr().out
    (tmp_path / "q.onnx").unlink()
    monkeypatch.setattr("training.commands.export.MOST_LOST_SHARE", -1.0)
    assert main(arguments) == 2
    assert "whichever layers are left out" in (error := capsys.readouterr().err)
    assert "Nothing was kept" in error
    assert list(tmp_path.iterdir()) == []


def test_int8_gives_up_layers_until_the_outputs_are_nearly_the_original_ones(tmp_path):
    import keras

    keras.utils.set_random_seed(0)
    spec = ExperimentSpec("LineListDataset", "LineModelCtc", "line_reader", network_args={"filters": 12, "units": 8})
    model = build_model(spec, DataSpec((20, None, 1), ("", "a", "b"), "line"))
    first = next(weight for weight in model.keras_model.weights if weight.shape == (5, 5, 1, 12))
    first.assign(np.where(np.arange(12) % 2, 30, 1) * np.asarray(first))  # features that share one range suffer from it
    images = np.random.default_rng(0).integers(0, 256, (16, 20, 64, 1), np.uint8)
    bundle, expected = Bundle(tmp_path, spec, model.data_spec, "run", {}, "", {}), model.outputs(images)
    sizes, differences, words = [], [], []
    for told in OnnxExport("int8").attempts(model, bundle, tmp_path / "a.onnx", images):
        words.append(told)
        sizes.append((tmp_path / "a.onnx").stat().st_size)
        differences.append(np.abs(OnnxExport().load(tmp_path / "a.onnx")(images) - expected).mean())
    assert "8 of 8 layers" in words[0]
    assert len(words) > 3
    assert differences[-1] < differences[0] / 3
    assert sizes[0] < sizes[-1] == max(sizes)  # a small layer without bytes may take less space than its ranges did
    assert [one.name for one in tmp_path.iterdir()] == ["a.onnx"]


def test_what_reads_as_well_with_other_outputs_does_so_by_luck_and_is_not_kept(bundle, tmp_path):
    model = Bundle.read(bundle).load()
    flatter = {"all": 0.5, "few": 1.0001}  # the best class stays the best
    loaded = iter(flatter.values())
    export: Any = SimpleNamespace(load=lambda path: partial(scaled, model.outputs, next(loaded)))
    found = _measured(model, iter(flatter), export, DigitsDataset().split("validation"), tmp_path)
    assert found.startswith("few; validation accuracy")


def scaled(outputs, factor, images):
    return factor * outputs(images)


def test_an_export_of_a_line_detector_is_measured_on_pages_and_their_mirror_images_as_the_original_is(tmp_path):
    model = LineDetectorModel(DataSpec((64, 64, 1), CORE_CLASSES, "pixels"), PageNet(filters=4))
    export: Any = SimpleNamespace(load=lambda path: model.outputs)
    found = _measured(model, iter(["the same"]), export, _Pages(), tmp_path)
    assert found.startswith("the same; validation")
    assert found.endswith("on 2 samples; outputs diverge by 0.00%")


class _Pages(Split):
    """Noise, the one half of which is a line."""

    def __len__(self):
        return 2

    def batch(self, positions):
        images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), np.uint8)
        return {"image": images[positions], "label": np.tile(np.arange(64) // 32, (2, 64, 1)).astype(np.uint8)}

    def text(self, position):
        return "a"


def test_hanzi_net_as_the_recipes_have_it_for_3755_classes_takes_less_than_1_5_mb_as_int8(tmp_path):
    random = np.random.default_rng(0)
    model = CharacterModel(DataSpec((64, 64, 1), GB2312_LEVEL_1, ink="dark"), HanziNet(embedding=160))
    for weight in model.keras_model.weights:  # biases and means of 0 would be left out
        weight.assign(np.asarray(weight) + random.uniform(0.01, 0.02, weight.shape))
    spec = ExperimentSpec("HwdbDataset", "CharacterModel", "hanzi_net")
    images = random.integers(0, 256, (16, 64, 64, 1), np.uint8)
    bundle, output = Bundle(tmp_path, spec, model.data_spec, "run", {}, "", {}), tmp_path / "hanzi.onnx"
    OnnxExport("int8").write(model, bundle, output, images)
    assert output.stat().st_size < 1_500_000
    assert OnnxExport().load(output)(images).shape == (16, 3755)


def test_a_saved_model_reads_files_of_any_size_and_answers_with_texts(bundle, images, tmp_path):
    import tensorflow as tf

    output = tmp_path / "digits"
    assert main(["export", str(bundle), "--format", "saved_model:top_k=3", "--output", str(output)]) == 0
    served = tf.saved_model.load(str(output))
    expected = Bundle.read(bundle).load().predict(images[:2])
    encoded = []
    for image in images[:2]:
        file = io.BytesIO()
        Image.fromarray(image[..., 0]).save(file, "PNG")
        encoded.append(file.getvalue())
    found = served.signatures["serving_default"](images=tf.constant(encoded))
    assert [text.decode() for text in found["classes"][:, 0].numpy()] == [one.text for one in expected]
    assert np.allclose(found["scores"][:, 0], [one.confidence for one in expected], atol=1e-5)
    assert found["classes"].shape == (2, 3)
    assert [text.decode() for text in served.classes()["classes"].numpy()] == list("0123456789")


@pytest.mark.parametrize("form", ["onnx", "saved_model"])
def test_a_reader_of_lines_is_exported_without_its_dataset_and_compared_on_noise(tmp_path, capsys, form):
    args = {"filters": 3, "units": 2, "layers": 1}
    spec = ExperimentSpec("LineListDataset", "LineModelCtc", "line_reader", {"path": "nowhere.txt"}, network_args=args)
    model = build_model(spec, DataSpec((20, None, 1), ("", "a", "b"), "line"))
    write_bundle(tmp_path / "lines", model, spec, "20261128-000000-line", {}, "")
    export = ["export", str(tmp_path / "lines"), "--format", form, "--output", str(tmp_path / "new")]
    assert main(export) == 0
    told = capsys.readouterr()
    assert "read again: 24 images" in told.out
    assert "nowhere.txt. The export is compared on noise" in told.err
    if form == "onnx":
        assert main([*export[:-1], str(tmp_path / "int8"), "--quantize", "int8"]) == 2


def test_a_photograph_is_fitted_in_the_graph_as_a_predictor_fits_it():
    import tensorflow as tf

    from text_recognizer.datasets.base import DataSpec
    from text_recognizer.exports.saved_model import fitted_image
    from text_recognizer.images.read import fit_to, png_bytes

    photograph = np.full((90, 70), 200, np.uint8)
    photograph[20:70, 30:38] = 40
    photograph[20:28, 20:60] = 90
    file = io.BytesIO()
    Image.fromarray(photograph).save(file, "PNG")
    for preprocessing in ((), ("stretch",), ("keep_small",)):
        data_spec = DataSpec((32, 32, 1), ("a", "b"), ink="dark", margin_px=2, preprocessing=preprocessing)
        found = fitted_image(file.getvalue(), data_spec).numpy().astype(int)
        assert np.abs(found - fit_to(photograph, data_spec)).mean() < 3
    cut = DataSpec((90, 70, 1), ("a", "b"), ink="dark", margin_px=2, cut=True)
    loose = fitted_image(file.getvalue(), cut).numpy()
    assert np.abs(loose.astype(int) - fit_to(photograph, cut)).mean() < 3
    assert np.array_equal(fitted_image(png_bytes(loose), cut).numpy(), loose)
    assert np.abs(fitted_image(file.getvalue(), replace(cut, cut=False)).numpy().astype(int) - loose).mean() > 20
    ink, drawn = Image.new("RGBA", (70, 90)), io.BytesIO()
    ink.putalpha(Image.fromarray(255 - photograph))  # black on nothing
    ink.save(drawn, "PNG")
    assert np.abs(fitted_image(drawn.getvalue(), cut).numpy().astype(int) - loose).max() < 3
    jpeg = io.BytesIO()
    Image.fromarray(photograph).save(jpeg, "JPEG", quality=95)
    decoded = tf.io.decode_image(jpeg.getvalue(), channels=1).numpy()[..., 0]  # Pillow decodes it a little differently
    assert np.abs(fitted_image(jpeg.getvalue(), cut).numpy().astype(int) - fit_to(decoded, cut)).max() <= 1
    blank = io.BytesIO()
    Image.fromarray(np.full((9, 9), 128, np.uint8)).save(blank, "PNG")
    assert fitted_image(blank.getvalue(), data_spec).numpy().min() == 255


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "onyx"], "Did you mean 'onnx'"),
        (["--format", "saved_model", "--quantize", "int8"], "saved_model cannot quantize. Formats that can: onnx."),
        (["--format", "onnx", "--output", "."], "already exists"),
    ],
)
def test_mistakes_are_one_sentence(bundle, arguments, reason, capsys):
    assert main(["export", str(bundle), *arguments]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error
