"""Running averages of weights: what they are, when the network has them, and that nothing is kept unasked."""

import keras
import numpy as np
import pytest

from training.attempts.weight_averages import WeightAverages


def test_an_average_forgets_its_first_value_quickly_and_then_keeps_to_its_decay():
    weight = keras.Variable([0.0])
    averages = WeightAverages([weight], decay=0.9)
    expected, steps = 0.0, 0
    for value in (1.0, 2.0, 3.0, 4.0) * 40:
        weight.assign([value])
        averages.update()
        decay = min(0.9, (1 + steps) / (10 + steps))
        expected, steps = decay * expected + (1 - decay) * value, steps + 1
    with averages.in_use():
        assert keras.ops.convert_to_numpy(weight) == pytest.approx(expected, rel=1e-5)
    assert keras.ops.convert_to_numpy(weight) == 4.0


def test_the_network_has_its_own_weights_again_when_a_validation_fails():
    weight = keras.Variable([5.0])
    averages = WeightAverages([weight], decay=0.5)
    weight.assign([7.0])
    averages.update()
    with pytest.raises(RuntimeError), averages.in_use():
        raise RuntimeError
    assert np.array_equal(keras.ops.convert_to_numpy(weight), [7.0])


def test_without_a_decay_nothing_is_kept():
    averages = WeightAverages([keras.Variable([1.0])], decay=None)
    averages.update()
    assert averages.variables == []
