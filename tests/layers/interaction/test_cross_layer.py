"""The cross layer of DCN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers import (
    CrossLayer,
    PolynomialInteraction,
    SplitSubspaces,
)

floats = Drawn(3).floats


@pytest.mark.parametrize("rank", [None, 2])
def test_cross_layer_is_its_equation(rank: int | None) -> None:
    x, x0 = floats(3, 4), floats(3, 4)
    layer = CrossLayer(rank=rank)
    layer([tf.constant(x), tf.constant(x0)])
    layer.set_weights([floats(*weight.shape) for weight in layer.get_weights()])
    *kernels, bias = layer.get_weights()
    w = kernels[0].T if rank is None else (kernels[0] @ kernels[1]).T
    expected = np.zeros((3, 4))
    for n, i in np.ndindex(3, 4):
        expected[n, i] = x0[n, i] * (sum(w[i, j] * x[n, j] for j in range(4)) + bias[i]) + x[n, i]
    output = layer([tf.constant(x), tf.constant(x0)]).numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_cross_layer_by_hand() -> None:
    layer = CrossLayer()
    pair = [tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 5.0]])]
    layer(pair)
    layer.set_weights([np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0.5, 0.0])])
    # x W = [1 + 2, 2]; x0 * (. + b) + x = [3 * 3.5 + 1, 5 * 2 + 2]
    assert layer(pair).numpy().tolist() == [[11.5, 12.0]]


def test_bit_wise_pin_without_mixing_dimensions_equals_a_cross_layer() -> None:
    """With h = dim each bit is a field: PIN is then the cross layer whose matrix multiplies x_0."""
    x0 = floats(3, 2, 3)
    pin, cross = PolynomialInteraction(), CrossLayer(use_bias=False)
    stacked, flat = SplitSubspaces(3)(tf.constant(x0)), tf.constant(x0.reshape(3, 6))
    cross(flat)
    output = pin(stacked).numpy()
    cross.set_weights(pin.get_weights())
    np.testing.assert_allclose(output.reshape(3, 6), cross(flat).numpy(), rtol=1e-5, atol=1e-6)
