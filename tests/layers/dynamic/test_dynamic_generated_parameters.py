"""DynInt-DGP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    DynamicGeneratedParameters,
    PolynomialInteraction,
)
from dynctr_tf.losses import sum_of_cosines

RANDOM = np.random.default_rng(11)
N, F, D, Z = 3, 4, 2, 5


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, X0, CONDITION = floats(N, F, D), floats(N, F, D), floats(N, Z)


def randomised(layer: Any, *arguments: Any) -> dict[str, np.ndarray]:
    """Builds the layer, gives every weight random values, and returns these by their last name."""
    layer(*arguments)
    layer.set_weights([floats(*weight.shape) for weight in layer.get_weights()])
    names = [getattr(weight, "path", weight.name).split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def generated_with_loops(weights: dict[str, np.ndarray], condition: np.ndarray) -> np.ndarray:
    """The output of a two-layer generator before its output activation."""
    hidden = np.zeros((len(condition), weights["bias_1"].size))
    for n, j in np.ndindex(hidden.shape):
        total = sum(condition[n, k] * weights["kernel_1"][k, j] for k in range(condition.shape[1]))
        hidden[n, j] = max(0.0, total + weights["bias_1"][j])
    return hidden @ weights["kernel_2"] + weights["bias_2"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def crossed(matrices: np.ndarray, x: np.ndarray, x0: np.ndarray, gate: Any = 1.0) -> np.ndarray:
    """X * (W_i X_0) * gate + X with one matrix per instance, which the layers never build."""
    assert matrices.shape == (N, F, F)
    mixed = np.stack([matrices[n] @ x0[n] for n in range(len(x0))])
    return x * mixed * gate + x


def output_of(layer: Any, fields_last: bool) -> np.ndarray:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    output = layer([tf.constant(m) for m in pair], tf.constant(CONDITION)).numpy()
    return output.transpose(0, 2, 1) if fields_last else output


def built(layer: Any, fields_last: bool = False) -> dict[str, np.ndarray]:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    return randomised(layer, [tf.constant(m) for m in pair], tf.constant(CONDITION))


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_generated_parameters_are_equations_5_7_8(sigma: str, fields_last: bool) -> None:
    layer = DynamicGeneratedParameters(3, sigma, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    raw = generated_with_loops(weights, CONDITION)
    values = 2 * sigmoid(raw) if sigma == "two_sigmoid" else 1 + raw
    matrices = np.stack([weights["u"] @ np.diag(values[n]) @ weights["v"].T for n in range(N)])
    expected = crossed(matrices, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_constant_sigma_is_the_static_layer_of_that_matrix(sigma: str) -> None:
    layer = DynamicGeneratedParameters(2, sigma)
    weights = built(layer)
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
    weights = built(layer)
    output_of(layer, False)
    expected = sum(float(sum_of_cosines(tf.constant(weights[name].T))) for name in ("u", "v"))
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * expected, rtol=1e-5)


def test_orthogonal_start_has_no_penalty() -> None:
    layer = DynamicGeneratedParameters(3, orthogonal_weight=1.0)
    layer([tf.constant(X), tf.constant(X0)], tf.constant(CONDITION))
    assert float(layer.losses[-1]) < 1e-5
    assert np.abs(layer.u.numpy() - layer.v.numpy()).max() > 1e-3  # two starts, not one
