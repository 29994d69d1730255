"""The generator."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import ParameterGenerator


def test_generator_by_hand() -> None:
    layer = ParameterGenerator(2, hidden_dim=2, output_scale=3.0, output_offset=1.0)
    layer(tf.ones((1, 2)))
    layer.set_weights([np.array([[1, -1], [1, -1]]), np.array([0, 0]), np.array([[1, 2], [5, 5]]), np.array([0, 1])])
    # relu([2, -2]) = [2, 0]; [2, 4] + [0, 1]; 3 * . + 1
    assert layer(tf.ones((1, 2))).numpy().tolist() == [[7.0, 16.0]]


def test_generator_sizes() -> None:
    layer = ParameterGenerator((2, 3), depth=3, reduction_ratio=4.0)
    assert layer(tf.ones((7, 10))).shape == (7, 2, 3)
    assert layer.count_params() == (10 * 3 + 3) + (3 * 3 + 3) + (3 * 6 + 6)  # ceil(10 / 4) = 3
    assert ParameterGenerator(4, depth=1)(tf.ones((7, 10))).shape == (7, 4)
