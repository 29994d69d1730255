"""Dice."""

from __future__ import annotations

import numpy as np
from equations import sigmoid

from dynctr_tf.layers.sequence import (
    Dice,
    TargetAttention,
)

RANDOM = np.random.default_rng(10)
X = RANDOM.normal(size=(4, 5, 4)).astype(np.float32)
Q = RANDOM.normal(size=(4, 4)).astype(np.float32)


def test_dice_is_its_formula() -> None:
    layer = Dice()
    layer(X[:, 0])
    layer.alpha.assign(np.array([0.0, 0.5, 1.0, -1.0]))
    x = X.reshape(-1, 4)
    p = sigmoid((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-9))
    expected = p * x + np.array([0.0, 0.5, 1.0, -1.0]) * (1 - p) * x
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.array(layer(x, training=True))[:, 2], x[:, 2], atol=1e-5)  # alpha = 1


def test_a_batch_without_any_behaviour_leaves_dice_sound() -> None:
    layer = TargetAttention((6,))
    found = np.array(layer([Q, X], mask=np.zeros((4, 5), bool), training=True))
    assert not found.any()
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())
