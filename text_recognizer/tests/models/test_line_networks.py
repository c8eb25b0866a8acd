"""Networks of lines and pages: sizes of the older systems, frames, and refusals before anything heavy is imported."""

import subprocess
import sys

import numpy as np
import pytest

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import SpecError
from text_recognizer.models.line import LineModel
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.models.line_detector import LineDetectorModel
from text_recognizer.networks.bluche import Bluche
from text_recognizer.networks.crnn import Crnn
from text_recognizer.networks.fcn import Fcn
from text_recognizer.networks.flor import Flor
from text_recognizer.networks.line_cnn_all_conv import LineCnnAllConv
from text_recognizer.networks.line_lstm_ctc import LineLstmCtc
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.networks.puigcerver import Puigcerver


def lines(height, width, classes, max_length=None, **more):
    """What a dataset of lines says of itself, with made-up characters."""
    texts = ("", *(chr(0x100 + index) for index in range(classes - 1)))
    return DataSpec((height, width, 1), texts, "line", max_length=max_length, **more)


@pytest.mark.parametrize(
    ("network", "shape", "parameters"),
    [
        (LineLstmCtc(12, 5), (28, 952, 80), 554_064),
        (Puigcerver(), (128, 1024, 98), 9_591_202),
        (Bluche(), (128, 1024, 98), 729_194),
        (Flor(), (128, 1024, 98), 824_050),
    ],
)
def test_networks_of_lines_have_the_parameters_of_the_older_systems(network, shape, parameters):
    height, width, classes = shape
    model = LineModelCtc(lines(height, width, classes), network).keras_model
    assert model.count_params() == parameters


@pytest.mark.parametrize(("classes", "millions"), [(37, 8.73), (3790, 10.65)])
def test_crnn_has_about_the_parameters_of_the_older_system(classes, millions):
    model = LineModelCtc(lines(32, None, classes), Crnn()).keras_model
    assert round(model.count_params() / 1e6, 2) == millions


def test_the_squares_of_the_lstm_weights_of_crnn_count_in_its_loss():
    plain, model = (LineModelCtc(lines(32, None, 3), Crnn(units=2, lstm_l2=l2)).keras_model for l2 in (0.0, 0.001))
    assert not plain.losses
    kernels = [weight for weight in model.trainable_weights if "lstm" in weight.path and "bias" not in weight.path]
    assert len(kernels) == 8
    squares = sum(float(np.square(kernel).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(0.001 * squares, rel=1e-5)


def test_flor_trains_all_but_the_moving_averages():
    model = LineModelCtc(lines(128, 1024, 98), Flor()).keras_model
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == 822_770


def test_the_reader_is_light():
    assert LineModelCtc(lines(40, None, 102), LineReader()).keras_model.count_params() == 868_260


def test_the_page_network_has_the_parameters_of_the_older_system():
    pages = DataSpec((256, 256, 1), ("background", "odd", "even"), "pixels")
    model = LineDetectorModel(pages, Fcn()).keras_model
    assert model.count_params() == 165_795
    assert model.output_shape[1:] == (256, 256, 3)


FRAME_NETWORKS = [
    (LineLstmCtc(8, 3), 28),
    (Crnn(units=8), 32),
    (Flor(units=8), 40),
    (Puigcerver(units=8, layers=1), 16),
    (Bluche(units=8), 100),
    (LineReader(filters=6, units=8, layers=1), 40),
]


@pytest.mark.parametrize(("network", "height"), FRAME_NETWORKS, ids=lambda value: type(value).__name__)
def test_the_frames_that_a_network_promises_are_those_it_returns(network, height):
    model = LineModelCtc(lines(height, None, 5), network)
    for width in (64, 71, 96):
        outputs = model.outputs(np.zeros((2, height, width, 1), np.uint8))
        assert outputs.shape == (2, network.frames(width), 5)


@pytest.mark.parametrize(("network", "height"), FRAME_NETWORKS, ids=lambda value: type(value).__name__)
def test_lines_that_are_too_low_are_refused(network, height):
    for low in range(1, height):
        try:
            network.check((low, None, 1), (None, 5))
        except ValueError as error:
            assert f"have {low}" in str(error)
        else:
            break
    assert low > 1
    _ = LineModelCtc(lines(low, None, 5), network).keras_model  # the lowest can be built


def test_a_reader_sees_nothing_of_the_padding():
    # The same line in a wider image: what differs is far from its frames.
    network = LineReader(filters=6, units=8, layers=1)
    model = LineModelCtc(lines(40, None, 5), network)
    image = np.random.default_rng(0).integers(0, 255, (40, 64, 1), dtype=np.uint8)
    wide = np.zeros((40, 96, 1), np.uint8)
    wide[:, :64] = image
    alone, padded = model.predict([image])[0], model.predict([image, wide])[0]
    assert alone.text == padded.text
    assert alone.confidence == pytest.approx(padded.confidence, rel=1e-5)  # another shape, another order of sums


def test_the_second_reading_is_trained_along_and_left_out_when_lines_are_read():
    model = LineModelCtc(lines(40, None, 5), LineReader(filters=6, units=8, layers=1))
    batch = {
        "image": np.zeros((1, 40, 64, 1), np.uint8),
        "width": np.array([64], np.int32),
        "label": np.array([[1, 2]], np.int32),
        "label_length": np.array([2], np.int32),
    }
    outputs = model.keras_model(batch["image"])
    assert set(outputs) == {"logits", "shortcut"}
    second = model.auxiliary_loss(batch, outputs)
    assert second is not None
    assert float(second[0]) > 0
    silent = LineModelCtc(lines(40, None, 5), LineReader(filters=6, units=8, layers=1), shortcut_weight=0.0)
    assert silent.auxiliary_loss(batch, outputs) is None


def test_a_convolutional_reader_has_an_output_for_each_position():
    # 10 lines' positions of 28 pixels: windows of 28 with a stride of 28 give one each.
    data_spec = lines(28, 280, 80, max_length=10)
    model = LineModel(data_spec, LineCnnAllConv(28, 28))
    assert model.keras_model.output_shape[1:] == (10, 80)


def test_windows_that_do_not_part_into_positions_are_refused_with_strides_that_do():
    # The older system's experiment with windows of 7 and 7 gave 40 outputs for 34 characters.
    with pytest.raises(
        ValueError, match=r"cannot be divided into the 34 positions .*; window_stride could be "
    ) as caught:
        LineCnnAllConv(14, 20).check((28, 952, 1), (34, 80))
    stride = int(str(caught.value).split("window_stride could be ")[1].split(",")[0])
    LineCnnAllConv(14, stride).check((28, 952, 1), (34, 80))


def test_windows_that_give_too_few_frames_are_refused():
    # (952 - 28) // 14 + 1 = 67 windows cannot spell 97 characters: found here, not after loading the data.
    said = "has 67 frames for lines of 952 pixels, but the longest line has 97 char.*window_stride smaller than 14"
    with pytest.raises(SpecError, match=said):
        LineModelCtc(lines(28, 952, 80, max_length=97), LineLstmCtc(28, 14))
    LineModelCtc(lines(28, 952, 80, max_length=97), LineLstmCtc(28, 9))


def test_models_and_networks_that_do_not_belong_together_are_refused():
    with pytest.raises(SpecError, match="reads a fixed number of positions, but the network Crnn reads frame by frame"):
        LineModel(lines(32, 320, 5, max_length=10), Crnn())
    with pytest.raises(SpecError, match="reads lines frame by frame, which the network LineCnnAllConv does not"):
        LineModelCtc(lines(32, 320, 5, max_length=10), LineCnnAllConv())
    with pytest.raises(SpecError, match="needs lines of one width and a greatest length"):
        LineModel(lines(32, None, 5, max_length=10), LineCnnAllConv())
    with pytest.raises(SpecError, match="needs the classes background, odd line and even line. The dataset has 2"):
        LineDetectorModel(DataSpec((64, 64, 1), ("background", "line"), "pixels"), Fcn())


def test_all_of_this_is_refused_without_tensorflow():
    code = """
import sys
from text_recognizer.experiment import assemble
from text_recognizer.spec import ExperimentSpec
from text_recognizer.errors import SpecError
from text_recognizer.tests.models.test_line_networks import lines
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_lstm_ctc import LineLstmCtc
try:
    LineModelCtc(lines(28, 952, 80, max_length=97), LineLstmCtc(28, 14))
except SpecError:
    print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("frames", [1, 7])
def test_the_lstm_that_trains_faster_has_the_weights_outputs_and_gradients_of_keras_own(frames, tmp_path):
    import keras
    import tensorflow as tf

    from text_recognizer.networks.layers import Bidirectional

    random = np.random.default_rng(0)
    x, towards = (tf.constant(random.normal(size=(2, frames, width)), tf.float32) for width in (5, 6))
    usual = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))
    ours = Bidirectional(3)
    theirs, mine = (keras.Sequential([keras.Input((None, 5)), layer]) for layer in (usual, ours))
    usual.set_weights([random.normal(size=one.shape) for one in usual.weights])
    theirs.save_weights(tmp_path / "their.weights.h5")
    mine.load_weights(tmp_path / "their.weights.h5")
    results = []
    for model in (theirs, mine):

        @tf.function(autograph=False)
        def differentiated(x, model=model):
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(model(x, training=True) * towards)
            return total, *tape.gradient(total, [x, *model.trainable_variables])

        results.append([one.numpy() for one in differentiated(x)])
    for expected, found in zip(*results, strict=True):
        assert np.allclose(expected, found, atol=1e-5)
    assert np.array_equal(theirs(x, training=False), mine(x, training=False))


@pytest.mark.parametrize(("channels", "scale"), [(8, True), (8, False), (3, True)])
def test_the_batch_normalisation_that_trains_faster_has_the_numbers_of_keras_own(channels, scale):
    import keras
    import tensorflow as tf

    from text_recognizer.networks.layers import BatchNormalization

    random = np.random.default_rng(0)
    x, towards = (tf.constant(random.normal(2, 3, size=(4, 5, 6, channels)), tf.float32) for _ in range(2))
    results = []
    for layer in (kind(momentum=0.7, scale=scale) for kind in (keras.layers.BatchNormalization, BatchNormalization)):
        model = keras.Sequential([keras.Input((5, 6, channels)), layer])
        layer.set_weights([np.linspace(0.5, 2, channels) for _ in layer.weights])

        @tf.function(autograph=False)
        def differentiated(x, model=model):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = model(x, training=True)
                total = tf.reduce_sum(outputs * towards)
            return outputs, *tape.gradient(total, [x, *model.trainable_variables])

        found = [one.numpy() for one in differentiated(x)]
        results.append([*found, *layer.get_weights(), model(x, training=False).numpy()])
        operations = {one.type for one in differentiated.get_concrete_function(x).graph.get_operations()}
        is_faster = type(layer) is BatchNormalization and channels % 4 == 0
        assert ("FusedBatchNormV3" in operations) == is_faster
    for expected, found in zip(*results, strict=True):
        assert np.allclose(expected, found, rtol=1e-4, atol=1e-5)


def test_a_frozen_batch_normalisation_keeps_its_averages_in_training():
    import keras

    from text_recognizer.networks.layers import BatchNormalization

    layer = BatchNormalization()
    model = keras.Sequential([keras.Input((2, 2, 4)), layer])
    layer.trainable = False
    before = layer.get_weights()
    model(np.full((1, 2, 2, 4), 9.0), training=True)
    assert all(map(np.array_equal, before, layer.get_weights()))
