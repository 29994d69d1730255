"""Static interaction layers against loops, hand-computed numbers and each other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import (
    CrossLayer,
    FactorizationMachine,
    FieldSumOutput,
    MergeSubspaces,
    PolynomialInteraction,
    SplitSubspaces,
)

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


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


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("h", [1, 2, 4])
def test_merging_undoes_splitting(h: int, fields_last: bool) -> None:
    x = floats(3, 5, 4)
    stacked = SplitSubspaces(h, fields_last=fields_last)(tf.constant(x))
    assert stacked.shape == ((3, 4 // h, 5 * h) if fields_last else (3, 5 * h, 4 // h))
    row_major = stacked.numpy().transpose(0, 2, 1) if fields_last else stacked.numpy()
    for n, f, s, j in np.ndindex(3, 5, h, 4 // h):
        assert row_major[n, f * h + s, j] == x[n, f, s * 4 // h + j]
    np.testing.assert_array_equal(MergeSubspaces(h, fields_last=fields_last)(stacked).numpy(), x)


def test_one_subspace_is_the_plain_layer() -> None:
    x0 = tf.constant(floats(3, 4, 6))
    layer = PolynomialInteraction()
    plain = layer([x0, x0]).numpy()
    stacked = SplitSubspaces(1)(x0)
    np.testing.assert_array_equal(plain, MergeSubspaces(1)(layer([stacked, stacked])).numpy())


def test_order_of_pieces_is_a_permutation_of_the_matrix() -> None:
    """The author's code puts all fields of the first piece first; W permuted alike gives the same output."""
    x, h, fields = floats(2, 3, 4), 2, 3
    ours = SplitSubspaces(h)(tf.constant(x))
    layer = PolynomialInteraction()
    output = MergeSubspaces(h)(layer([ours, ours])).numpy()
    theirs = np.concatenate(np.split(x, h, axis=2), axis=1)  # row s * fields + f
    order = [f * h + s for s in range(h) for f in range(fields)]
    kernel = layer.get_weights()[0][np.ix_(order, order)]
    crossed = theirs * (np.einsum("gf,ngd->nfd", kernel, theirs) + 1)
    merged = np.concatenate(np.split(crossed, h, axis=1), axis=2)
    np.testing.assert_allclose(output, merged, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="4 entries of an embedding among 3"):
        SplitSubspaces(3)(tf.ones((1, 2, 4)))
    with pytest.raises(ValueError, match="5 stacked fields among 2"):
        MergeSubspaces(2)(tf.ones((1, 5, 4)))
    with pytest.raises(ValueError, match="5 stacked fields among 2"):
        FieldSumOutput(2)(tf.ones((1, 5, 4)))
    with pytest.raises(ValueError, match="of one shape"):
        PolynomialInteraction()([tf.ones((1, 5, 4)), tf.ones((1, 4, 4))])


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("h", [1, 2])
def test_field_sum_output_is_equation_2(h: int, fields_last: bool) -> None:
    x = floats(3, 5, 4)
    layer = FieldSumOutput(h, fields_last=fields_last)
    stacked = SplitSubspaces(h, fields_last=fields_last)(tf.constant(x))
    layer(stacked)
    w, b = floats(5, 1), floats(1)
    layer.set_weights([w, b])
    expected = [sum(sum(w[f, 0] * x[n, f, d] for f in range(5)) + b[0] for d in range(4)) for n in range(3)]
    np.testing.assert_allclose(layer(stacked).numpy()[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_factorization_machine_sums_all_pairs() -> None:
    x = floats(3, 5, 4)
    expected = [sum(x[n, i] @ x[n, j] for i in range(5) for j in range(i)) for n in range(3)]
    np.testing.assert_allclose(FactorizationMachine()(x).numpy()[:, 0], expected, rtol=1e-4, atol=1e-5)


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


def test_regularizer_is_added_to_the_loss() -> None:
    layer = PolynomialInteraction(kernel_regularizer=keras.regularizers.L2(0.5), kernel_initializer="identity")
    layer(tf.ones((1, 3, 2)))
    assert float(tf.add_n(layer.losses)) == 1.5
