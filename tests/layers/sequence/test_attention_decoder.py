"""Attention of a query to behaviours."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import AttentionDecoder

RANDOM = np.random.default_rng(5)
Q, X, KEYS = (RANDOM.normal(size=shape).astype(np.float32) for shape in ((3, 4), (3, 5, 6), (3, 5, 2)))
MASK = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


def test_it_is_the_formula_of_multi_head_attention() -> None:
    layer = AttentionDecoder(num_heads=2, key_dim=3, units=4)
    layer([Q, X, KEYS], mask=MASK)
    layer.set_weights([RANDOM.normal(size=weight.shape) for weight in layer.get_weights()])
    query, key, value, output = layer.get_weights()
    expected = np.zeros((3, 4))
    for row in range(3):
        there = np.flatnonzero(MASK[row])
        for head in range(2) if len(there) else ():
            q = Q[row] @ query[:, head]
            scores = np.array([q @ (KEYS[row, place] @ key[:, head]) for place in there]) / np.sqrt(3)
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            read = sum(share * (X[row, place] @ value[:, head]) for share, place in zip(shares, there, strict=True))
            expected[row] += read @ output[head]
    np.testing.assert_allclose(layer([Q, X, KEYS], mask=MASK).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_keys_default_to_the_behaviours() -> None:
    layer = AttentionDecoder(num_heads=1)
    same = layer([Q, X, X]).numpy()
    np.testing.assert_allclose(layer([Q, X]).numpy(), same, rtol=1e-6)
    assert same.shape == (3, 6)


def test_an_empty_history_gives_zeros() -> None:
    assert not AttentionDecoder()([Q, X], mask=tf.zeros((3, 5), tf.bool)).numpy().any()
