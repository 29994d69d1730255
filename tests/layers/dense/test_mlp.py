"""The multi-layer perceptron."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import MLP
from dynctr_tf.layers.dense.initializers import distinct_initializer


def test_mlp_by_hand() -> None:
    layer = MLP((2, 1))
    layer(tf.ones((1, 2)))
    layer.set_weights([np.array([[1, -1], [2, 0]]), np.array([0, 0.5]), np.array([[3], [5]]), np.array([1])])
    # relu([1 + 2, -1 + 0.5]) = [3, 0]; relu(9 + 1) = 10
    assert layer(tf.ones((1, 2))).numpy().tolist() == [[10.0]]


def test_mlp_is_a_chain_of_dense_layers() -> None:
    layer = MLP((7, 5), activation="tanh")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    output = layer(tf.constant(x)).numpy()
    w1, b1, w2, b2 = layer.get_weights()
    np.testing.assert_allclose(output, np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2), rtol=1e-5, atol=1e-6)
    assert layer.count_params() == 4 * 7 + 7 + 7 * 5 + 5


def test_batch_norm_and_dropout_act_in_training_alone() -> None:
    x = tf.constant(np.random.default_rng(0).normal(3, 2, size=(512, 4)).astype(np.float32))
    normalised = MLP((6,), activation="linear", batch_norm=True)(x, training=True).numpy()
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(normalised.std(axis=0), 1, atol=1e-2)
    dropping = MLP((64,), activation="softplus", dropout=0.25)
    assert 0.2 < (dropping(x, training=True).numpy() == 0).mean() < 0.3
    assert (dropping(x, training=False).numpy() != 0).all()


def test_each_kernel_has_its_own_start() -> None:
    layer = MLP((4, 4), kernel_initializer=keras.initializers.RandomNormal(seed=3))
    layer(tf.ones((1, 4)))
    first, _, second, _ = layer.get_weights()
    assert (first != second).all()
    again = distinct_initializer(keras.initializers.RandomNormal(seed=3), 0)((4, 4)).numpy()
    np.testing.assert_array_equal(first, again)


def test_mlp_refuses_no_layers_and_unknown_width() -> None:
    for units in ((), (4, 0)):
        with pytest.raises(ValueError, match="units"):
            MLP(units)
