"""Muon: what changes by how much."""

import keras
import numpy as np
import pytest

from text_recognizer.optimizers import adamw, muon

RATE = 0.01


def changes(optimizer, network, seed=0):
    """By path, how much each variable of a network changes in one step with random gradients."""
    random = np.random.default_rng(seed)
    variables = network.trainable_variables
    before = [np.asarray(one) for one in variables]
    gradients = [random.normal(0, 1, one.shape).astype("float32") for one in variables]
    optimizer.apply([keras.ops.convert_to_tensor(one) for one in gradients], variables)
    paths = [one.path for one in variables]
    after = [np.asarray(one) for one in variables]
    return dict(zip(paths, [new - old for new, old in zip(after, before, strict=True)], strict=True))


def network():
    keras.utils.clear_session()  # so that names of layers are counted from the start
    keras.utils.set_random_seed(3)
    image = keras.Input((8, None, 1))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.ops.max(x, axis=1)
    shortcut = keras.layers.Conv1D(11, 3, name="shortcut")(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True), name="both")(x)
    x = keras.layers.GRU(4, return_sequences=True, name="gru")(x)
    x = keras.layers.Dense(7, name="hidden")(x)
    return keras.Model(image, [keras.layers.Dense(11, name="logits")(x), shortcut], name="net")


def test_matrices_change_by_equal_singular_values():
    changed = changes(muon(newton_schulz_steps=5).build(RATE, weight_decay=0), network())
    parts = {
        "conv/kernel": [changed["conv/kernel"].reshape(9, 6)],
        "hidden/kernel": [changed["hidden/kernel"]],
        "both/forward_lstm/lstm_cell/kernel": np.split(changed["both/forward_lstm/lstm_cell/kernel"], 4, axis=1),
        "both/backward_lstm/lstm_cell/recurrent_kernel": np.split(
            changed["both/backward_lstm/lstm_cell/recurrent_kernel"], 4, axis=1
        ),
        "gru/gru_cell/kernel": np.split(changed["gru/gru_cell/kernel"], 3, axis=1),
    }
    for path, matrices in parts.items():
        for matrix in matrices:
            values = np.linalg.svd(matrix, compute_uv=False) / (RATE * 0.2 * max(matrix.shape) ** 0.5)
            np.testing.assert_allclose(values, 0.85, atol=0.45, err_msg=path)  # five iterations do not make them equal


def test_vectors_and_output_layers_change_as_in_adamw():
    changed = changes(muon().build(RATE), network())
    expected = changes(adamw().build(RATE, weight_decay=0.1), network())
    same = {path for path, value in changed.items() if np.array_equal(value, expected[path])}
    assert {path for path in changed if path.endswith("/bias")} <= same
    assert {"logits/kernel", "shortcut/kernel", "depthwise/kernel"} <= same
    assert not {"conv/kernel", "hidden/kernel", "gru/gru_cell/recurrent_kernel"} & same


def test_momentum_is_kept_between_steps():
    one = keras.Variable(np.eye(3, 4, dtype="float32"))
    output = keras.Variable(np.ones((3, 2), "float32"))
    optimizer = muon(momentum=0.5).build(RATE, weight_decay=0)
    optimizer.apply([keras.ops.ones((3, 4)), keras.ops.zeros((3, 2))], [one, output])
    before = np.asarray(one)
    optimizer.apply([keras.ops.zeros((3, 4)), keras.ops.zeros((3, 2))], [one, output])
    assert np.all(np.asarray(one) < before)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1), (1, 4), (3, 3, 2, 1)])
def test_variables_that_are_no_matrices_change_as_in_adamw(shape):
    results = []
    for recipe in (muon(), adamw()):
        one, output = keras.Variable(np.ones(shape, "float32")), keras.Variable(np.ones((3, 2), "float32"))
        optimizer = recipe.build(RATE, weight_decay=0.1)
        optimizer.apply([keras.ops.ones(shape), keras.ops.ones((3, 2))], [one, output])
        results.append(np.asarray(one))
    np.testing.assert_array_equal(results[0], results[1])


def test_the_usual_weight_decay_is_larger_than_that_of_adamw():
    assert muon().build(RATE).weight_decay == 0.1
    assert muon().build(RATE, weight_decay=0.02).weight_decay == 0.02
