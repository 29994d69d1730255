"""DIEN's auxiliary loss."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, sigmoid
from tensorflow import keras

from dynctr_tf.layers.sequence import NextBehaviourLoss

DRAWN = Drawn(10)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 4)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


@pytest.mark.parametrize("given", [False, True])
def test_next_behaviour_loss_is_its_formula(given: bool) -> None:
    layer = NextBehaviourLoss(0.5, (3,))
    negatives = X[:, ::-1].copy()
    inputs = [X, X, negatives] if given else [X, X]
    np.testing.assert_array_equal(layer(inputs, mask=MASK), X)
    randomise(layer)
    w = layer.get_weights()
    layer(inputs, mask=MASK)

    def f(h: np.ndarray, e: np.ndarray) -> float:
        return float(sigmoid(sigmoid(np.concatenate([h, e]) @ w[0] + w[1]) @ w[2] + w[3])[0])

    loss, steps = 0.0, 0
    for b in range(4):
        for t in range(LENGTHS[b] - 1):
            loss -= np.log(f(X[b, t], X[b, t + 1]))
            steps += 1
            if given or MASK[b - 1, t + 1]:
                loss -= np.log(1 - f(X[b, t], negatives[b, t + 1] if given else X[b - 1, t + 1]))
    assert float(layer.losses[-1]) == pytest.approx(0.5 * loss / steps, rel=1e-4)


def test_next_behaviour_loss_of_one_row_and_of_nothing() -> None:
    layer = NextBehaviourLoss()
    layer([X[:1], X[:1]])
    assert np.isfinite(float(layer.losses[-1])) and float(layer.losses[-1]) > 0
    layer([X, X], mask=np.zeros((4, 5), bool))
    assert float(layer.losses[-1]) == 0.0


def test_the_loss_reaches_a_model() -> None:
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, NextBehaviourLoss(hidden_units=(3,))([inputs, inputs]))
    model.compile("sgd", "mse")
    before = model.get_weights()[0].copy()
    model.fit(X, X, verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0
    assert tf.is_tensor(model.losses[0]) or model.losses
