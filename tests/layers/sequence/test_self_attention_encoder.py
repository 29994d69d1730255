"""Self-attention of behaviours."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, arrays, close, relu, softmax

from dynctr_tf.layers.sequence import SelfAttentionEncoder

DRAWN = Drawn(10)
X = DRAWN.floats(4, 5, 4)
MASK = np.arange(5) < np.array([[5], [1], [0], [3]])


def normed(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6) + beta


@pytest.mark.parametrize("feed_forward_dim", [0, 3])
def test_it_is_its_formula(feed_forward_dim: int) -> None:
    layer = SelfAttentionEncoder(num_heads=2, key_dim=3, feed_forward_dim=feed_forward_dim)
    layer(X, mask=tf.constant(MASK))
    DRAWN.randomise(layer)
    query, key, value, output = arrays(*layer.attention.weights)  # (n, heads, 3), and (heads, 3, n)
    norms = [arrays(*norm.weights) for norm in layer._norms]
    attended = np.zeros_like(X)
    for row, place, head in np.ndindex(4, 5, 2):
        seen = X[row, MASK[row]]
        if len(seen):
            scores = (seen @ key[:, head]) @ (X[row, place] @ query[:, head]) / np.sqrt(3)
            attended[row, place] += softmax(scores) @ (seen @ value[:, head]) @ output[head]
    expected = normed(X + attended, *norms[0])
    if feed_forward_dim:
        (w_1, b_1), (w_2, b_2) = (arrays(*dense.weights) for dense in layer._feed_forward)
        expected = normed(expected + relu(expected @ w_1 + b_1) @ w_2 + b_2, *norms[1])
    close(layer(X, mask=tf.constant(MASK)), expected * MASK[:, :, None])


def test_sessions_do_not_see_each_other() -> None:
    layer = SelfAttentionEncoder(session_length=2)
    expected = np.array(layer(X))
    changed = X.copy()
    changed[:, 2:4] += 1
    found = np.array(layer(changed))
    np.testing.assert_allclose(found[:, [0, 1, 4]], expected[:, [0, 1, 4]], atol=1e-6)
    assert np.abs(found[:, 2] - expected[:, 2]).max() > 0.01
    blocks = np.tile(np.arange(5) // 2, (4, 1))
    whole = SelfAttentionEncoder()
    whole(X)
    whole.set_weights(layer.get_weights())
    np.testing.assert_allclose(whole(X, sessions=blocks), expected, atol=1e-6)
