"""PIN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn
from tensorflow import keras

from dynctr_tf.layers import PolynomialInteraction

floats = Drawn(3).floats


def pin_with_loops(x: np.ndarray, x0: np.ndarray, w: np.ndarray, residual: bool) -> np.ndarray:
    """Equation 3 of DynInt, one entry at a time."""
    result = np.zeros_like(x)
    for n, f, d in np.ndindex(x.shape):
        mixed = sum(w[f, g] * x0[n, g, d] for g in range(x.shape[1]))
        result[n, f, d] = x[n, f, d] * mixed + (x[n, f, d] if residual else 0)
    return result


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("fields_last", [True, False])
def test_pin_is_equation_3(residual: bool, fields_last: bool) -> None:
    x, x0 = floats(3, 4, 2), floats(3, 4, 2)
    layer = PolynomialInteraction(residual=residual, fields_last=fields_last)
    pair = [m.transpose(0, 2, 1) for m in (x, x0)] if fields_last else [x, x0]
    output = layer([tf.constant(m) for m in pair]).numpy()
    output = output.transpose(0, 2, 1) if fields_last else output
    expected = pin_with_loops(x, x0, layer.get_weights()[0].T, residual)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_pin_by_hand() -> None:
    layer = PolynomialInteraction()
    x0 = tf.constant([[[1.0], [2.0]]])
    layer(x0)
    layer.set_weights([np.array([[1.0, 10.0], [0.0, 100.0]])])  # the kernel is the transpose of W
    # W X_0 = [1 * 1, 10 * 1 + 100 * 2] = [1, 210]; X_0 * (W X_0) + X_0 = [1 + 1, 420 + 2]
    assert layer(x0).numpy().ravel().tolist() == [2.0, 422.0]


def test_depth_raises_the_degree_of_interaction() -> None:
    """Scaling X_0 by t gives a polynomial of degree L + 1 in t, without terms beyond."""
    x0, depth = floats(1, 3, 2), 3
    chain = [PolynomialInteraction() for _ in range(depth)]

    def scaled(t: float) -> np.ndarray:
        first = tf.constant(t * x0, tf.float32)
        x = first
        for layer in chain:
            x = layer([x, first])
        return x.numpy()[0, 1, 1]

    points = np.linspace(-2, 2, 9)
    values = np.array([scaled(t) for t in points])
    coefficients = np.polynomial.polynomial.polyfit(points, values, 8)
    assert np.abs(coefficients[[0, 5, 6, 7, 8]]).max() < 1e-4
    assert abs(coefficients[depth + 1]) > 1e-3


def test_dropout_drops_entries_of_x0_in_training_alone() -> None:
    layer = PolynomialInteraction(dropout=0.5, residual=False, kernel_initializer="identity")
    pair = [tf.ones((4, 8, 16)), tf.ones((4, 8, 16))]
    assert (layer(pair, training=False).numpy() == 1).all()
    values, counts = np.unique(layer(pair, training=True).numpy(), return_counts=True)
    assert values.tolist() == [0.0, 2.0]
    assert 0.35 < counts[0] / counts.sum() < 0.65


def test_activation_acts_on_the_mixture() -> None:
    x0 = floats(2, 3, 4)
    layer = PolynomialInteraction(activation="tanh", residual=False)
    output = layer(tf.constant(x0)).numpy()
    mixed = np.einsum("gf,ngd->nfd", layer.get_weights()[0], x0)
    np.testing.assert_allclose(output, x0 * np.tanh(mixed), rtol=1e-4, atol=1e-5)


def test_regularizer_is_added_to_the_loss() -> None:
    layer = PolynomialInteraction(kernel_regularizer=keras.regularizers.L2(0.5), kernel_initializer="identity")
    layer(tf.ones((1, 3, 2)))
    assert float(tf.add_n(layer.losses)) == 1.5
