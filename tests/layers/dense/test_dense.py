"""The dense layer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import Dense


@pytest.mark.parametrize("shape", [(3, 4), (3, 5, 4)])
def test_dense_is_that_of_keras(shape: tuple[int, ...]) -> None:
    x = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    layer, other = Dense(6, activation="tanh", bias_initializer="ones"), keras.layers.Dense(6, activation="tanh")
    layer(x), other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), other(x), rtol=1e-6, atol=1e-6)
    bare = Dense(6, use_bias=False)
    assert bare(x).shape == (*shape[:-1], 6) and len(bare.weights) == 1
