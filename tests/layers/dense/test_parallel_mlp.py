"""Several perceptrons side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import ParallelMLP

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def arrays(*weights: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def randomised(layer: Any, *inputs: Any) -> Any:
    """Calls the layer, and gives it random weights."""
    layer(*inputs)
    layer.set_weights([0.5 * floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def test_each_is_a_perceptron_of_its_own() -> None:
    layer = randomised(ParallelMLP(3, (4, 2), "tanh"), X)
    first, first_bias, second, second_bias = (
        arrays(part)[0] for pair in zip(layer.kernels, layer.biases, strict=True) for part in pair
    )
    experts = [np.tanh(np.tanh(X @ first[k] + first_bias[k]) @ second[k] + second_bias[k]) for k in range(3)]
    close(layer(X), np.stack(experts, axis=1))
