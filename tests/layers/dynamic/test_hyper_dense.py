"""HyperDense."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers.dynamic import HyperDense
from dynctr_tf.layers.interaction import CrossLayer

DRAWN = Drawn(7)
randomise = DRAWN.randomise
X, Z = DRAWN.floats(3, 6), DRAWN.floats(3, 4)


@pytest.mark.parametrize("units", [2, 9])  # either order of products
@pytest.mark.parametrize("generator_bias", [True, False])
@pytest.mark.parametrize("dynamic_bias", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_hyper_dense_is_equation_4(units: int, generator_bias: bool, dynamic_bias: bool, use_bias: bool) -> None:
    layer = HyperDense(units, generator_bias, dynamic_bias, use_bias)
    layer(X, Z)
    w = randomise(layer)
    expected = np.zeros((3, units))
    for i in range(3):
        for c in range(units):
            for b in range(6):
                for a in range(4):
                    expected[i, c] += Z[i, a] * w["kernels"][0, a, b, c] * X[i, b]
                if generator_bias:
                    expected[i, c] += w["static_kernel"][0, 0, b, c] * X[i, b]
            for a in range(4):
                if dynamic_bias:
                    expected[i, c] += w["biases"][a, c] * Z[i, a]
            if use_bias:
                expected[i, c] += w["static_bias"][c]
    np.testing.assert_allclose(layer(X, Z), expected, rtol=1e-4, atol=1e-5)


def test_hyper_dense_by_hand() -> None:
    layer = HyperDense(1)
    x, z = np.array([[2.0]], np.float32), np.array([[3.0]], np.float32)
    layer(x, z)
    # In the order of creation: kernels 5, static kernel 7, biases 11, static bias 13.
    values = zip(layer.weights, (5, 7, 11, 13), strict=True)
    layer.set_weights([np.full(weight.shape, value, np.float32) for weight, value in values])
    assert float(layer(x, z)[0, 0]) == 3 * 5 * 2 + 7 * 2 + 11 * 3 + 13


def test_cross_layer_is_a_hyper_dense() -> None:
    # In float64, so that what remains is no rounding.
    n, x = 6, X.astype(np.float64)
    cross = CrossLayer(rank=1, dtype="float64")
    x0 = DRAWN.random.normal(size=(3, n))
    cross([x, x0])
    w, bias = DRAWN.random.normal(size=n), DRAWN.random.normal(size=n)
    # DCN's first version, x_0 (w^T x) + b + x. DCN-V2's layer of rank 1 with U = w and V = 1 has b inside of
    # the product, so that b is added apart.
    cross.set_weights([w[:, None], np.ones((1, n)), np.zeros(n)])
    layer = HyperDense(n, dynamic_bias=False, dtype="float64")
    layer(x, x0)
    kernels = np.zeros((1, n, n, n))
    for a in range(n):
        kernels[0, a, :, a] = w
    layer.set_weights([kernels, np.eye(n)[None, None], bias])
    np.testing.assert_allclose(layer(x, x0), cross([x, x0]) + bias, atol=1e-12)
    np.testing.assert_allclose(layer(x, x0), x0 * (x @ w)[:, None] + bias + x, atol=1e-12)


def test_dense_on_both_is_a_hyper_dense_without_second_order() -> None:
    x, z = X.astype(np.float64), Z.astype(np.float64)
    layer = HyperDense(5, dtype="float64")
    layer(x, z)
    w = randomise(layer)
    layer.bank.kernels.assign(np.zeros_like(w["kernels"]))
    dense = tf.keras.layers.Dense(5, dtype="float64")
    both = np.concatenate([x, z], axis=1)
    dense(both)
    dense.set_weights([np.concatenate([w["static_kernel"][0, 0], w["biases"]]), w["static_bias"]])
    np.testing.assert_allclose(layer(x, z), dense(both), atol=1e-12)
