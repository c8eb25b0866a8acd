"""Muon, an optimizer that treats weights as matrices. Importing this module imports Keras."""

import math
from typing import Any

import keras

# Coefficients of the Newton-Schulz iteration of Jordan and others.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_RMS = 0.2  # of a change, as a share of the learning rate: that of AdamW according to Liu and others


class Muon(keras.optimizers.AdamW):  # type: ignore[misc]
    """Changes each matrix by its momentum, after all singular values of that have been made about equal.

    A kernel of a convolution is the matrix of all inputs of each filter, one of a recurrent layer has a matrix for each
    gate. Vectors, and kernels of output layers, change as in AdamW, and all changes have about AdamW's size.

    Sources: Jordan and others (2024), "Muon: an optimizer for hidden layers in neural networks"; Liu and others (2025),
    "Muon is scalable for LLM training".

    Args:
        momentum: of the matrices.
        newton_schulz_steps: number of iterations that make singular values equal.
        arguments: of AdamW.
    """

    def __init__(self, *args: Any, momentum: float = 0.95, newton_schulz_steps: int = 5, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self.momentum = momentum
        self.newton_schulz_steps = newton_schulz_steps

    def build(self, var_list: list[Any]) -> None:
        super().build(var_list)
        outputs = var_list[-1].shape[-1] if var_list and var_list[-1].shape else None
        gates = {_layer(one): one.shape[-1] // one.shape[0] for one in var_list if one.name == "recurrent_kernel"}
        self.matrices = [_matrices(one, outputs, gates.get(_layer(one), 1)) for one in var_list]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        count = self.matrices[index]
        if not count:
            super().update_step(gradient, variable, learning_rate)
            return
        ops, shape, average = keras.ops, gradient.shape, self._momentums[index]
        self.assign(average, self.momentum * average + gradient)
        ahead = ops.reshape(gradient + self.momentum * average, (-1, count, shape[-1] // count))
        change = self._equalised(ops.transpose(ahead, (1, 0, 2)))
        change = ops.reshape(ops.transpose(change, (1, 0, 2)), shape)
        rate = ops.cast(learning_rate, variable.dtype) * _RMS * max(ahead.shape[0], ahead.shape[2]) ** 0.5
        self.assign_sub(variable, rate * change)

    def _equalised(self, matrices: Any) -> Any:
        """(matrices, rows, columns) with singular values of about 1."""
        ops = keras.ops
        is_tall = matrices.shape[1] > matrices.shape[2]  # the products below are smaller for wide matrices
        x = ops.swapaxes(matrices, 1, 2) if is_tall else matrices
        x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True)) + 1e-7)
        for _ in range(self.newton_schulz_steps):
            squares = ops.matmul(x, ops.swapaxes(x, 1, 2))
            x = _A * x + ops.matmul(_B * squares + _C * ops.matmul(squares, squares), x)
        return ops.swapaxes(x, 1, 2) if is_tall else x


def _layer(variable: Any) -> str:
    return str(variable.path.rpartition("/")[0])


def _matrices(variable: Any, outputs: int | None, gates: int) -> int:
    """How many matrices side by side a variable is; 0 for a vector and for a kernel of an output layer."""
    *inputs, columns = tuple(variable.shape) or (1,)
    is_matrix = min(math.prod(inputs), columns) > 1 and variable.name != "bias"  # that of a GRU has two rows
    return gates if is_matrix and columns != outputs else 0
