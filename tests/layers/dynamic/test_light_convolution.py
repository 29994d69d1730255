"""Light and dynamic convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, arrays, close, sigmoid, softmax

from dynctr_tf.layers import LightConvolution

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised


@pytest.mark.parametrize("dynamic", [False, True])
def test_light_convolution_follows_its_equation(dynamic: bool) -> None:
    layer, x = LightConvolution(3, 2, dynamic), floats(2, 5, 4)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    randomised(layer, x)
    dense = {name: arrays(*part.weights) for name, part in layer.dense.items()}
    inner = (x @ dense["value"][0] + dense["value"][1]) * sigmoid(x @ dense["gate"][0] + dense["gate"][1])
    expected = np.zeros((2, 5, 4))
    for n in range(2):
        for i in range(5):
            logits = (inner[n, i] @ dense["taps"][0]).reshape(2, 3) if dynamic else arrays(layer.taps)[0]
            weights, total = softmax(logits), np.zeros(4)
            for tap, at in enumerate((i - 1, i, i + 1)):
                if 0 <= at < 5 and mask[n, at]:
                    total += np.repeat(weights[:, tap], 2) * inner[n, at]
            expected[n, i] = mask[n, i] * (total @ dense["output"][0] + dense["output"][1])
    close(layer(x, mask=mask), expected)
