"""Attention whose heads a condition weighs."""

from __future__ import annotations

import numpy as np
from equations import Drawn, arrays, close, softmax

from dynctr_tf.layers import PersonalizedAttention

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
Z = floats(7, 4)


def test_personalised_attention_follows_its_equation() -> None:
    x, mask = floats(2, 4, 6), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    layer = randomised(PersonalizedAttention(2, 3), x, Z[:2])
    w = {name: arrays(dense.kernel)[0] for name, dense in layer.projections.items()}
    gates = {name: gate(np.ones((2, 6), np.float32), Z[:2]).numpy() for name, gate in layer.gates.items()}
    mix = softmax(Z[:2] @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    (kernels,) = arrays(layer.values.kernels)
    expected = np.zeros((2, 4, 6))
    for n in range(2):
        q, k = (gates[name][n] * (x[n] @ w[name]) for name in ("query", "key"))
        v = x[n] @ np.tensordot(mix[n], kernels[0], 1)
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            scores = np.where(mask[n], q[:, head] @ k[:, head].T / np.sqrt(3), -np.inf)
            heads.append(softmax(scores) @ v[:, head])
        y = np.concatenate(heads, axis=1) @ w["output"] + arrays(layer.projections["output"].bias)[0]
        expected[n] = mask[n][:, None] * y
    close(layer(x, Z[:2], mask=mask), expected)
