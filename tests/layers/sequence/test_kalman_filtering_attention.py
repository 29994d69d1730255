"""KFAtt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from equations import Drawn
from tensorflow import keras

from dynctr_tf.layers.sequence import KalmanFilteringAttention

DRAWN = Drawn(10)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 4)
Q = DRAWN.floats(4, 4)
IDS = np.array([[1, 2, 1, 1, 3], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 5, 5, 0, 0]], np.int32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


def two_layers(x: np.ndarray, network: Any) -> np.ndarray:
    w1, b1, w2, b2 = (np.array(weight) for weight in network)
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


@pytest.mark.parametrize("mode", ["base", "freq"])
@pytest.mark.parametrize("prior", [False, True])
def test_kalman_filtering_attention_is_its_formula(mode: str, prior: bool) -> None:
    layer = KalmanFilteringAttention(kind=mode, use_prior=prior, project=False, hidden_dim=3)
    keywords = {"key_ids": IDS} if mode == "freq" else {}
    layer([Q, X], mask=MASK, **keywords)
    randomise(layer)
    found = np.array(layer([Q, X], mask=MASK, **keywords))
    for b in range(4):
        numerator, denominator = np.zeros(4), 0.0
        if prior:
            p = np.exp(two_layers(Q[b], layer.precision_network)[0])
            numerator, denominator = two_layers(Q[b], layer.mean_network) * p, p
        if mode == "base":
            for t in range(LENGTHS[b]):
                numerator += np.exp(Q[b] @ X[b, t]) * X[b, t]
                denominator += np.exp(Q[b] @ X[b, t])
        else:
            # The keys are given by ids alone in this test: equal ids have equal keys.
            for key in set(IDS[b, : LENGTHS[b]]):
                places = [t for t in range(LENGTHS[b]) if IDS[b, t] == key]
                for t in places:
                    p = np.exp(Q[b] @ X[b, t])
                    s = np.exp(two_layers(X[b, t], layer.variance_network)[0])
                    weight = 1 / (1 / p + s / len(places)) / len(places)
                    numerator += weight * X[b, t]
                    denominator += weight
        expected = numerator / denominator if denominator else np.zeros(4)
        np.testing.assert_allclose(found[b], expected, rtol=1e-3, atol=1e-3)


def test_kalman_filtering_by_hand_and_repetition() -> None:
    values = np.array([[[2.0], [8.0], [8.0], [8.0]]], np.float32)
    keys, q = np.zeros((1, 4, 1), np.float32), np.zeros((1, 1), np.float32)
    base = KalmanFilteringAttention(use_prior=False, project=False)
    assert float(base([q, values, keys])[0, 0]) == pytest.approx(26 / 4)
    freq = KalmanFilteringAttention(kind="freq", use_prior=False, project=False)
    freq([q, values, keys], key_ids=np.array([[1, 2, 2, 2]]))
    freq.set_weights([np.zeros(weight.shape) for weight in freq.weights])
    # Precisions 1, variances 1: 1 / (1 + 1) for the one click, 1 / (1 + 1 / 3) for the three.
    found = float(freq([q, values, keys], key_ids=np.array([[1, 2, 2, 2]]))[0, 0])
    assert found == pytest.approx((0.5 * 2 + 0.75 * 8) / 1.25, rel=1e-5)


def test_without_prior_and_with_projection_it_is_multi_head_attention() -> None:
    layer, attention = (
        KalmanFilteringAttention(num_heads=2, use_prior=False),
        keras.layers.MultiHeadAttention(2, 2, use_bias=False),
    )
    layer([Q, X])
    attention(Q[:, None], X)
    query, key, value, _ = attention.get_weights()
    # Keras divides by the square root of a head's width.
    layer.set_weights([query / np.sqrt(2), key, value])
    attention.set_weights([query, key, value, np.eye(4, dtype=np.float32).reshape(2, 2, 4)])
    np.testing.assert_allclose(layer([Q, X]), attention(Q[:, None], X)[:, 0], atol=1e-5)
