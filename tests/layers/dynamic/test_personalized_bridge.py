"""The bridge of PTUPCDR."""

from __future__ import annotations

import numpy as np
from equations import Drawn, arrays, close, relu

from dynctr_tf.layers import PersonalizedBridge

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


def test_bridge_follows_its_equation() -> None:
    layer = randomised(PersonalizedBridge(3, hidden_dim=2), X, Z)
    codes = relu(Z @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    kernels, static = arrays(layer.bank.kernels, layer.bank.unmixed_kernel)
    close(layer(X, Z), [X[n] @ (np.tensordot(codes[n], kernels[0], 1) + static[0, 0]) for n in range(7)])
