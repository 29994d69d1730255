"""How shared and specific information are combined."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, arrays, close, sigmoid, softmax
from towers import SCENARIO

from dynctr_tf.layers import SharedCombination

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised


@pytest.mark.parametrize("mode", ["gate", "select", "concatenate", "film"])
def test_combinations_follow_their_equations(mode: str) -> None:
    shared, specific, embedding = floats(7, 3, 4), floats(7, 5), floats(7, 2)
    layer = randomised(SharedCombination(5, mode), [shared, specific, embedding], SCENARIO)
    kernel, bias = arrays(layer.kernel, layer.bias) if layer.kernel is not None else (None, None)
    expected = []
    for row in range(7):
        own = shared[row].mean(0) if SCENARIO[row] < 2 else shared[row, SCENARIO[row] - 2]
        if mode == "gate":
            weights = softmax(np.concatenate([specific[row], embedding[row]]) @ kernel + bias)
            expected.append(np.concatenate([weights @ shared[row], specific[row]]))
        elif mode == "select":
            expected.append(np.concatenate([own, specific[row]]))
        elif mode == "concatenate":
            expected.append(np.concatenate([shared[row].ravel(), specific[row]]))
        else:
            expected.append(own * 2 * sigmoid(specific[row] @ kernel + bias))
    close(layer([shared, specific, embedding], SCENARIO), expected)
