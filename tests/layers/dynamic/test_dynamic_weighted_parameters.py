"""DynInt-DWP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    DynamicWeightedParameters,
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
@pytest.mark.parametrize(("offset", "rank"), [("unit", 1), ("unit", 3), ("paper", 3)])
def test_weighted_parameters_are_equations_6_9_10(offset: str, rank: int, fields_last: bool) -> None:
    layer = DynamicWeightedParameters(rank, offset, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    added = 1 / math.sqrt(rank) if offset == "unit" else 1 / rank
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, rank, F) + added
    g = np.zeros((N, F, F))
    for n, p, i, j in np.ndindex(N, rank, F, F):
        g[n, i, j] += uv[n, 0, p, i] * uv[n, 1, p, j]
    expected = crossed(g * weights["kernel"].T, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-3, atol=1e-4)


def test_printed_offset_starts_at_one_over_the_rank() -> None:
    layer = DynamicWeightedParameters(4, "paper")
    weights = built(layer)
    layer.set_weights([np.zeros_like(w) if "kernel_" in n or "bias_" in n else w for n, w in weights.items()])
    expected = crossed(np.stack([weights["kernel"].T / 4] * N), X, X0)
    np.testing.assert_allclose(output_of(layer, False), expected, rtol=1e-4, atol=1e-5)


def test_penalty_of_equation_12_is_averaged_over_the_batch() -> None:
    layer = DynamicWeightedParameters(3, orthogonal_weight=0.5, reduction_ratio=2.0)
    weights = built(layer)
    output_of(layer, False)
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, 3, F) + 1 / math.sqrt(3)
    cosines = sum_of_cosines(tf.constant(uv, tf.float32)).numpy()  # (N, 2)
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * cosines.sum(axis=1).mean(), rtol=1e-4)
