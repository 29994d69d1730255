"""A block of MaskNet."""

from __future__ import annotations

import numpy as np
from equations import Drawn, arrays, close, relu

from dynctr_tf.layers import MaskBlock

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


def test_mask_block_follows_its_equation() -> None:
    layer = randomised(MaskBlock(3, 2.0), X, Z)
    (first, second), (bias, last) = arrays(*layer.generator.kernels), arrays(*layer.generator.biases)
    assert first.shape == (4, 10)
    y = ((relu(Z @ first + bias) @ second + last) * X) @ arrays(layer.dense.kernel)[0]
    unit = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-6)
    gamma, beta = layer.norm.get_weights()
    close(layer(X, Z), relu(unit * gamma + beta))
