"""DynInt-DGP."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from crossed_maps import CONDITION, X0, N, X, built, crossed, generated_with_loops, output_of
from equations import Drawn, sigmoid

from dynctr_tf.layers import (
    DynamicGeneratedParameters,
    PolynomialInteraction,
)
from dynctr_tf.losses import sum_of_cosines

DRAWN = Drawn(12)


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_generated_parameters_are_equations_5_7_8(sigma: str, fields_last: bool) -> None:
    layer = DynamicGeneratedParameters(3, sigma, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(DRAWN, layer, fields_last)
    raw = generated_with_loops(weights, CONDITION)
    values = 2 * sigmoid(raw) if sigma == "two_sigmoid" else 1 + raw
    matrices = np.stack([weights["u"] @ np.diag(values[n]) @ weights["v"].T for n in range(N)])
    expected = crossed(matrices, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_constant_sigma_is_the_static_layer_of_that_matrix(sigma: str) -> None:
    layer = DynamicGeneratedParameters(2, sigma)
    weights = built(DRAWN, layer)
    for name in ("kernel_1", "kernel_2", "bias_1"):
        weights[name] = np.zeros_like(weights[name])
    layer.set_weights(list(weights.values()))
    bias = weights["bias_2"]
    values = 2 * sigmoid(bias) if sigma == "two_sigmoid" else 1 + bias
    static = PolynomialInteraction()
    static([X, X0])
    static.set_weights([(weights["u"] @ np.diag(values) @ weights["v"].T).T])
    np.testing.assert_allclose(output_of(layer, False), static([X, X0]).numpy(), rtol=1e-4, atol=1e-5)


def test_penalty_of_equation_11_is_added_once_for_the_columns() -> None:
    layer = DynamicGeneratedParameters(3, orthogonal_weight=0.5)
    weights = built(DRAWN, layer)
    output_of(layer, False)
    expected = sum(float(sum_of_cosines(tf.constant(weights[name].T))) for name in ("u", "v"))
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * expected, rtol=1e-5)


def test_orthogonal_start_has_no_penalty() -> None:
    layer = DynamicGeneratedParameters(3, orthogonal_weight=1.0)
    layer([tf.constant(X), tf.constant(X0)], tf.constant(CONDITION))
    assert float(layer.losses[-1]) < 1e-5
    assert np.abs(layer.u.numpy() - layer.v.numpy()).max() > 1e-3  # two starts, not one
