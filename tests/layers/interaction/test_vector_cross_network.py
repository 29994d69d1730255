"""The vector cross network."""

from __future__ import annotations

import tensorflow as tf
from equations import Drawn, close, set_weights

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


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
