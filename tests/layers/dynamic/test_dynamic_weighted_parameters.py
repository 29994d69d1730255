"""DynInt-DWP."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from crossed_maps import CONDITION, X0, F, N, X, built, crossed, generated_with_loops, output_of
from equations import Drawn

from dynctr_tf.layers import DynamicWeightedParameters
from dynctr_tf.losses import sum_of_cosines

DRAWN = Drawn(12)


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize(("offset", "rank"), [("unit", 1), ("unit", 3), ("paper", 3)])
def test_weighted_parameters_are_equations_6_9_10(offset: str, rank: int, fields_last: bool) -> None:
    layer = DynamicWeightedParameters(rank, offset, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(DRAWN, layer, fields_last)
    added = 1 / math.sqrt(rank) if offset == "unit" else 1 / rank
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, rank, F) + added
    g = np.zeros((N, F, F))
    for n, p, i, j in np.ndindex(N, rank, F, F):
        g[n, i, j] += uv[n, 0, p, i] * uv[n, 1, p, j]
    expected = crossed(g * weights["kernel"].T, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-3, atol=1e-4)


def test_printed_offset_starts_at_one_over_the_rank() -> None:
    layer = DynamicWeightedParameters(4, "paper")
    weights = built(DRAWN, layer)
    layer.set_weights([np.zeros_like(w) if "kernel_" in n or "bias_" in n else w for n, w in weights.items()])
    expected = crossed(np.stack([weights["kernel"].T / 4] * N), X, X0)
    np.testing.assert_allclose(output_of(layer, False), expected, rtol=1e-4, atol=1e-5)


def test_penalty_of_equation_12_is_averaged_over_the_batch() -> None:
    layer = DynamicWeightedParameters(3, orthogonal_weight=0.5, reduction_ratio=2.0)
    weights = built(DRAWN, layer)
    output_of(layer, False)
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, 3, F) + 1 / math.sqrt(3)
    cosines = sum_of_cosines(tf.constant(uv, tf.float32)).numpy()  # (N, 2)
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * cosines.sum(axis=1).mean(), rtol=1e-4)
