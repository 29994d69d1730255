"""The vector cross network."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import layers

RANDOM = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def with_random_weights(layer: Any, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Builds the layer on the inputs, gives it random weights and returns these by name."""
    layer(list(map(tf.constant, inputs)) if len(inputs) > 1 else tf.constant(inputs[0]))
    layer.set_weights([RANDOM.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def set_weights(layer: Any, *values: Any) -> None:
    layer.set_weights([np.array(value, np.float32) for value in values])


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def test_vector_cross_network_is_its_recursion() -> None:
    x0 = floats(3, 5)
    layer = layers.VectorCrossNetwork(4)
    weights = with_random_weights(layer, x0)
    x = x0.copy()
    for k in range(1, 5):
        for n in range(3):
            dot = sum(weights[f"kernel_{k}"][i, 0] * x[n, i] for i in range(5))
            x[n] = x0[n] * dot + weights[f"bias_{k}"] + x[n]
    close(layer(tf.constant(x0)), x)


def test_vector_cross_network_by_hand() -> None:
    layer = layers.VectorCrossNetwork(2)
    layer(tf.ones((1, 2)))
    set_weights(layer, [[1.0], [0.0]], [[0.0], [1.0]], [10.0, 20.0], [0.0, 1.0])
    # x_1 = [1, 2] * 1 + [10, 20] + [1, 2] = [12, 24]; x_2 = [1, 2] * 24 + [0, 1] + [12, 24]
    assert layer(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[36.0, 73.0]]
