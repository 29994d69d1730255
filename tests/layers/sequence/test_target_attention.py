"""DIN's attention."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, sigmoid, softmax

from dynctr_tf.layers.sequence import TargetAttention

DRAWN = Drawn(10)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 4)
Q = DRAWN.floats(4, 4)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


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
