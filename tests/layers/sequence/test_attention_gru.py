"""DIEN's cell."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, sigmoid

from dynctr_tf.layers.sequence import AttentionGRU

DRAWN = Drawn(10)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 4)
A = DRAWN.random.uniform(size=(4, 5)).astype(np.float32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


@pytest.mark.parametrize("gate", ["augru", "agru"])
def test_attention_gru_is_its_formula(gate: str) -> None:
    layer = AttentionGRU(3, gate)
    layer([X, A], mask=MASK)
    randomise(layer)
    kernel, gates, candidate, bias = layer.get_weights()
    for b in range(4):
        h = np.zeros(3)
        for t in range(LENGTHS[b]):
            from_x = X[b, t] @ kernel + bias
            g = sigmoid(from_x[:-3] + h @ gates)
            c = np.tanh(from_x[-3:] + (g[-3:] * h) @ candidate)
            u = A[b, t] * g[:3] if gate == "augru" else A[b, t]
            h = (1 - u) * h + u * c
        np.testing.assert_allclose(layer([X, A], mask=MASK)[b], h, atol=1e-5)
