"""DIN's attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynctr_tf.layers.sequence import (
    TargetAttention,
)

RANDOM = np.random.default_rng(10)
X = RANDOM.normal(size=(4, 5, 4)).astype(np.float32)
Q = RANDOM.normal(size=(4, 4)).astype(np.float32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


def randomise(layer: Any) -> None:
    layer.set_weights([RANDOM.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


@pytest.mark.parametrize("normalise", [False, True])
def test_target_attention_is_its_formula(normalise: bool) -> None:
    layer = TargetAttention((6,), "sigmoid", softmax=normalise)
    weigher = TargetAttention((6,), "sigmoid", softmax=normalise, return_weights=True)
    layer([Q, X], mask=MASK)
    weigher([Q, X], mask=MASK)
    randomise(layer)
    weigher.set_weights(layer.get_weights())
    w = layer.get_weights()
    for b in range(4):
        a = np.zeros(5)
        for t in range(LENGTHS[b]):
            features = np.concatenate([Q[b], X[b, t], Q[b] - X[b, t], Q[b] * X[b, t]])
            hidden = sigmoid(features @ w[0] + w[1])
            a[t] = hidden @ w[2][:, 0] + (0 if normalise else w[3][0])
        if normalise and LENGTHS[b]:
            a[: LENGTHS[b]] = softmax(a[: LENGTHS[b]])
        np.testing.assert_allclose(weigher([Q, X], mask=MASK)[b], a, atol=1e-4)
        np.testing.assert_allclose(layer([Q, X], mask=MASK)[b], a @ X[b], atol=1e-4)
