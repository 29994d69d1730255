"""DCN-V2's mixture."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close, set_weights, softmax

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_cross_mixture_is_its_equations(gate: str) -> None:
    x, x0 = floats(3, 5), floats(3, 5)
    layer = layers.CrossMixtureLayer(rank=2, num_experts=3, gate_activation=gate)
    weights = with_random_weights(layer, x, x0)
    expected = x.astype(np.float64)
    for n in range(3):
        scores = weights["gate_kernel"].T @ x[n]
        gates = softmax(scores) if gate == "softmax" else 1 / (1 + np.exp(-scores))
        for k in range(3):
            inner = np.tanh(weights[f"down_{k + 1}"].T @ x[n])
            inner = np.tanh(weights[f"middle_{k + 1}"].T @ inner)
            expected[n] += gates[k] * x0[n] * (weights[f"up_{k + 1}"].T @ inner + weights["bias"])
    close(layer([tf.constant(x), tf.constant(x0)]), expected)


def test_one_linear_expert_is_the_low_rank_cross_layer() -> None:
    x, x0 = floats(3, 5), floats(3, 5)
    mixture = layers.CrossMixtureLayer(rank=2, num_experts=1, activation="linear")
    weights = with_random_weights(mixture, x, x0)
    single = layers.CrossLayer(rank=2)
    single([tf.constant(x), tf.constant(x0)])
    single.set_weights([weights["down_1"] @ weights["middle_1"], weights["up_1"], weights["bias"]])
    pair = [tf.constant(x), tf.constant(x0)]
    close(mixture(pair), single(pair).numpy())


def test_cross_mixture_by_hand() -> None:
    layer = layers.CrossMixtureLayer(rank=1, num_experts=2, activation="relu")
    x0 = tf.constant([[1.0, 2.0]])
    layer(x0)
    downs, middles, ups = ([[1.0], [1.0]], [[1.0], [0.0]]), ([[2.0]], [[3.0]]), ([[1.0, 1.0]], [[2.0, 0.0]])
    set_weights(layer, *downs, *middles, *ups, [5.0, 0.0], np.zeros((2, 2)))
    # Experts: 2 * 3 * [1, 1] = [6, 6] and 3 * 1 * [2, 0] = [6, 0], half of each: [6, 3]; x_0 * ([6, 3] + b) + x_0
    assert layer(x0).numpy().tolist() == [[12.0, 8.0]]
