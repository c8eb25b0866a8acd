import hashlib
import json
import math
import os
import shutil
from typing import Any

import h5py
import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models import Metric
from text_recognizer.models.base import check_counts
from text_recognizer.models.bundle import Bundle, find_bundle, usual_name, write_bundle
from text_recognizer.models.character import CharacterModel
from text_recognizer.models.prediction import Prediction
from text_recognizer.networks import Network
from text_recognizer.networks.lenet import Lenet
from text_recognizer.networks.mlp import Mlp
from text_recognizer.promoted.store import ModelStore
from text_recognizer.spec import ExperimentSpec

EMNIST_FSDL = DataSpec((28, 28, 1), tuple(chr(33 + index) for index in range(80)))
DIGITS = DataSpec((8, 8, 1), tuple("0123456789"))
SPEC = ExperimentSpec("DigitsDataset", "CharacterModel", "mlp", network_args={"layer_size": 8})


@pytest.mark.parametrize(("network", "parameters"), [(Mlp(), 143_824), (Lenet(), 1_208_912)])
def test_networks_have_the_parameters_of_the_older_system(network, parameters):
    assert CharacterModel(EMNIST_FSDL, network).keras_model.count_params() == parameters


def test_the_graph_takes_bytes_and_scales_them_inside():
    import keras

    class Mean(Network):
        def build(self, input_shape, output_shape):
            image = keras.Input(input_shape)
            mean = keras.layers.GlobalAveragePooling2D()(image)
            return keras.Model(image, keras.layers.Dense(10, kernel_initializer="ones", use_bias=False)(mean))

    model = CharacterModel(DIGITS, Mean())
    assert model.keras_model.input.dtype == "uint8"
    outputs = model.keras_model(np.full((1, 8, 8, 1), 51, dtype=np.uint8))
    assert np.allclose(np.asarray(outputs), 0.2)


def test_the_loss_is_cross_entropy_with_its_smoothed_share():
    model = CharacterModel(DataSpec((8, 8, 1), ("a", "b")), Mlp())
    outputs = np.log(np.array([[0.8, 0.2], [0.5, 0.5]], dtype=np.float32))
    batch = {"label": np.array([0, 1], dtype=np.int32)}
    assert np.allclose(np.asarray(model.loss(batch, outputs)), [-np.log(0.8), -np.log(0.5)])
    # 0.9 of the target on class 0 plus 0.05 on each of two classes: 0.95 and 0.05.
    wanted = -0.95 * np.log(0.8) - 0.05 * np.log(0.2)
    assert np.allclose(np.asarray(model.loss(batch, outputs, label_smoothing=0.1))[0], wanted)


def test_predictions_are_ranked_with_probabilities():
    model = CharacterModel(DIGITS, Mlp())
    outputs = np.zeros((1, 10), dtype=np.float32)
    outputs[0, 7], outputs[0, 3] = 2.0, 1.0
    prediction = model.decode(outputs)[0]
    assert prediction.text == "7"
    assert [text for text, _ in prediction.alternatives] == ["7", "3", "0", "1", "2"]
    assert prediction.confidence == pytest.approx(np.exp(2) / (np.exp(2) + np.exp(1) + 8))


def test_networks_that_return_another_shape_are_refused():
    import keras

    class Wrong(Network):
        def build(self, input_shape, output_shape):
            image = keras.Input(input_shape)
            return keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(image)))

    with pytest.raises(SpecError, match=r"network 'Wrong' returns outputs of \(7,\), expected \(10,\)"):
        _ = CharacterModel(DIGITS, Wrong()).keras_model


def test_a_network_that_cannot_be_built_says_why():
    class Broken(Network):
        def build(self, input_shape, output_shape):
            raise ValueError("kernel too large")

    with pytest.raises(SpecError, match="cannot be built for images of .*: kernel too large"):
        _ = CharacterModel(DIGITS, Broken()).keras_model


def test_a_build_that_forgets_to_return_its_model_is_named():
    class Forgetful(Network):
        def build(self, input_shape, output_shape): ...

    with pytest.raises(SpecError, match="'Forgetful': build must return a Keras model. Received: None. Is a return"):
        _ = CharacterModel(DIGITS, Forgetful()).keras_model


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        (lambda logits: [logits, logits], r"'Several' must return one tensor, or a dict of tensors with 'logits'"),
        (lambda logits: {"digit": logits}, r"'Several' must return one tensor, or a dict of tensors with 'logits'"),
    ],
)
def test_several_outputs_without_one_named_logits_are_refused(returns, said):
    import keras

    class Several(Network):
        def build(self, input_shape, output_shape):
            image = keras.Input(input_shape)
            return keras.Model(image, returns(keras.layers.Dense(10)(keras.layers.Flatten()(image))))

    with pytest.raises(SpecError, match=said):
        _ = CharacterModel(DIGITS, Several()).keras_model


def test_a_network_for_images_of_another_shape_is_refused_with_both_shapes():
    import keras

    class Fixed(Network):
        def build(self, input_shape, output_shape):
            return keras.Sequential([keras.Input((28, 28, 2)), keras.layers.Flatten(), keras.layers.Dense(10)])

    with pytest.raises(SpecError, match=r"(?s)'Fixed' cannot be built for images of .*28, 28, 2") as error:
        _ = CharacterModel(DIGITS, Fixed()).keras_model
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("counted", "received"),
    [
        ((np.ones(2), np.ones(3)), r"float64 \(2,\), float64 \(3,\)"),
        ((3.0, 3.0), r"float64 \(\), float64 \(\)"),
        (np.ones(3), r"float64 \(3,\)"),
        ((np.array(["a"] * 3), np.ones(3)), r"<U1 \(3,\), float64 \(3,\)"),
    ],
)
def test_counts_that_are_not_a_number_for_each_sample_are_refused(counted, received):
    class Counting(CharacterModel):
        metrics = (Metric("right"),)

    with pytest.raises(SpecError, match=rf"\(part, whole\) of 'right'.* 3 samples. Received: {received}"):
        check_counts(Counting(DIGITS, Mlp()), {"right": counted}, 3)


def test_counts_may_have_part_and_whole_in_one_array():
    class Counting(CharacterModel):
        metrics = (Metric("right"),)

    check_counts(Counting(DIGITS, Mlp()), {"right": np.ones((2, 3))}, 3)  # type: ignore[dict-item]
    with pytest.raises(SpecError, match=r"two arrays .* Received: float64 \(2,\), float64 \(2,\), float64 \(2,\)"):
        check_counts(Counting(DIGITS, Mlp()), {"right": np.ones((3, 2))}, 3)  # type: ignore[dict-item]


def test_counts_that_return_nothing_are_refused():
    nothing: Any = None
    with pytest.raises(SpecError, match=r"must return the metrics that the model declares: .* Received: None"):
        check_counts(CharacterModel(DIGITS, Mlp()), nothing, 3)


@pytest.mark.parametrize("found", [None, [Prediction("a", 1.0)], ["a", "b"]])
def test_a_decoding_that_is_not_a_prediction_for_each_sample_is_refused(found):
    class Decoding(CharacterModel):
        def decode(self, outputs, widths=None):
            return found

    with pytest.raises(SpecError, match=r"must return a list of Predictions, one for each sample, here 2"):
        Decoding(DIGITS, Mlp()).readings(np.zeros((2, 10)))


def test_a_model_refuses_data_it_cannot_read():
    with pytest.raises(SpecError, match="reads images of a character, but the dataset's show a line"):
        CharacterModel(DataSpec((28, 952, 1), ("a",), target="line"), Mlp())


@pytest.fixture
def bundle(tmp_path):
    model = CharacterModel(DIGITS, Mlp(layer_size=8))
    write_bundle(tmp_path / "model", model, SPEC, "run-1", {"test_accuracy": 0.5}, "f00d")
    return model, Bundle.read(tmp_path / "model")


def test_a_bundle_brings_the_same_model_back(bundle):
    model, read = bundle
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    assert read.load().predict(images) == model.predict(images)
    assert (read.run_id, read.metrics, read.dataset_fingerprint) == ("run-1", {"test_accuracy": 0.5}, "f00d")
    assert read.data_spec == DIGITS


def test_the_weight_file_alone_says_what_it_is(bundle):
    with h5py.File(bundle[1].folder / "model.weights.h5") as file:
        assert json.loads(file.attrs["text_recognizer_spec"]) == SPEC.to_json()
        assert file.attrs["text_recognizer_run_id"] == "run-1"


def test_damaged_and_newer_bundles_are_refused(bundle):
    folder = bundle[1].folder
    description = json.loads((folder / "bundle.json").read_text())
    (folder / "model.weights.h5").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="has changed since its bundle was written"):
        Bundle.read(folder).load()
    (folder / "model.weights.h5").unlink()
    with pytest.raises(DataError, match="is not whole: .*model.weights.h5 is missing"):
        Bundle.read(folder).load()
    (folder / "bundle.json").write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(DataError, match="has format 99, Text Recognizer .* reads up to 1. Upgrade"):
        Bundle.read(folder)
    (folder / "bundle.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Bundle.read(folder)


def rewritten(folder, **changes):
    """The bundle with other values in its description."""
    value = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**value, **changes}))
    return folder


@pytest.mark.parametrize(
    "name", ["../outside", "/dev/zero", "..", "", ".", "a/b", "a\0b", "link_out", "link_to_itself", "fifo", "sparse"]
)
def test_a_bundle_reads_plain_files_inside_it_only(bundle, tmp_path, name):
    folder = bundle[1].folder
    (tmp_path / "outside").write_text("secret")
    (folder / "link_out").symlink_to("/dev/zero")
    (folder / "link_to_itself").symlink_to("link_to_itself")
    os.mkfifo(folder / "fifo")
    with open(folder / "sparse", "wb") as file:
        file.truncate(1 << 40)
    for entry in folder.iterdir():
        if entry.name not in (name, "bundle.json", "model.weights.h5"):
            entry.unlink()
    with pytest.raises(DataError, match="not a file inside|leads out of|broken link|not a plain file|are read"):
        Bundle.read(rewritten(folder, files_sha256={name: "0" * 64})).load()


@pytest.mark.parametrize("name", ["link_out", "fifo", "sparse"])
def test_files_that_the_description_of_a_bundle_does_not_name_are_looked_at_too(bundle, name):
    folder = bundle[1].folder
    path = folder / "language_model.npz"
    if name == "fifo":
        os.mkfifo(path)
    elif name == "link_out":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(DataError, match="leads out of|not a plain file|are read"):
        Bundle.read(folder).load()


def test_a_description_that_never_ends_is_not_read(bundle, tmp_path):
    for number, make in enumerate([os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda path: path.mkdir()]):
        folder = tmp_path / f"bundle-{number}"
        folder.mkdir()
        make(folder / "bundle.json")
        with pytest.raises(DataError, match="not a plain file|leads out of"):
            find_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "1"},
        {"metrics": 3},
        {"metrics": {"a": "x"}},
        {"run_id": 3},
        {"weights_sha256": None},
        {"files_sha256": ["a"]},
        {"spec": []},
        {"spec": {"network": "mlp"}},
        {"data_spec": {}},
        {"data_spec": {"input_shape": [8, 8], "classes": ["a"]}},
        {"data_spec": {"input_shape": [10**6, 10**6, 1], "classes": ["a"]}},
        {"data_spec": {"input_shape": [8, 8, 1], "classes": []}},
        {"data_spec": {"input_shape": [8, 8, 1], "classes": [1]}},
        {"data_spec": {"input_shape": [8, None, 1], "classes": ["", "a", "a"], "target": "line"}},
    ],
)
def test_a_description_of_another_form_is_a_sentence(bundle, changes):
    with pytest.raises((DataError, SpecError), match="is damaged|bundle.json|twice"):
        Bundle.read(rewritten(bundle[1].folder, **changes))


def test_arguments_in_a_bundle_are_checked_like_those_of_a_spec(bundle):
    spec = {**SPEC.to_json(), "network_args": {"layer_size": "wide", "depth": 3}}
    with pytest.raises(SpecError, match=r"no argument 'depth'[\s\S]*layer_size must be a whole number"):
        Bundle.read(rewritten(bundle[1].folder, spec=spec)).load()


def test_a_network_larger_than_the_weight_file_gets_no_memory(bundle):
    spec = {**SPEC.to_json(), "network_args": {"layer_size": 10**9}}
    with pytest.raises(DataError, match="cannot hold the 2,0.* weights of the network"):
        Bundle.read(rewritten(bundle[1].folder, spec=spec)).load()
    assert len(Mlp(layer_size=4).build((8, 8, 1), (10,)).weights) == 8  # models can be built as before


def with_weights(bundle, change):
    folder = bundle[1].folder
    path = folder / "model.weights.h5"
    change(path)
    return Bundle.read(rewritten(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def first_dataset(file):
    return next(filter(None, [file.visititems(lambda name, one: name if isinstance(one, h5py.Dataset) else None)]))


def externally_linked(path):
    with h5py.File(path, "r+") as file:
        name = first_dataset(file)
        del file[name]
        file[name] = h5py.ExternalLink("/etc/passwd", "/x")


def externally_stored(path):
    with h5py.File(path, "r+") as file:
        name = first_dataset(file)
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, 4 * math.prod(shape))])


def absurdly_large(path):
    with h5py.File(path, "r+") as file:
        name = first_dataset(file)
        del file[name]
        file.create_dataset(name, (1 << 40,), "f4")


def torn(path):
    os.truncate(path, path.stat().st_size // 2)


def without_layers(path):
    with h5py.File(path, "r+") as file:
        for name in list(file):
            del file[name]


@pytest.mark.parametrize("change", [externally_linked, externally_stored, absurdly_large, torn, without_layers])
def test_weights_that_were_tampered_with_are_a_sentence(bundle, change):
    with pytest.raises(DataError, match="model.weights.h5 (is|does not fit)"):
        with_weights(bundle, change).load()


def test_weights_of_another_network_are_refused(bundle, tmp_path):
    other = CharacterModel(DIGITS, Mlp(layer_size=9))
    spec = SPEC.override({"network_args.layer_size": 8})
    write_bundle(tmp_path / "other", other, spec, "run-2", {}, "f00d")
    with pytest.raises(DataError, match="does not fit network 'mlp'"):
        Bundle.read(tmp_path / "other").load()


def test_bundles_are_found_by_folder_run_or_name(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(tmp_path / "models"))
    ModelStore().add(usual_name(SPEC), bundle[1].folder, {})
    shutil.copytree(bundle[1].folder, tmp_path / "weights" / "shipped")
    for name in ("CharacterModel_DigitsDataset_mlp", "CharacterModel_DigitsDataset_mlp@1", "shipped"):
        assert find_bundle(name).run_id == "run-1"
    assert find_bundle(tmp_path).run_id == find_bundle(tmp_path / "model").run_id == "run-1"
    with pytest.raises(DataError, match="no bundle 'nothing'. There are: CharacterModel_DigitsDataset_mlp, shipped"):
        find_bundle("nothing")


@pytest.mark.parametrize("wrong", [(None, 0.5), (b"a", 0.5), ("a", "0.5")])
def test_a_prediction_of_a_wrong_type_is_refused_where_it_is_made(wrong):
    with pytest.raises(SpecError, match="a Prediction needs a text and its confidence, which is a number. Received"):
        Prediction(*wrong)
