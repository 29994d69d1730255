"""CAN."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, close

from dynctr_tf.layers import CoActionUnit

floats = Drawn(21).floats


@pytest.mark.parametrize("independent", [False, True])
def test_co_action_follows_its_equation(independent: bool) -> None:
    layer = CoActionUnit((3, 2), 2, independent)
    x, weights = floats(2, 4, 5), floats(2, layer.parameter_count(5))
    assert layer.parameter_count(5) == 21 * (1 + independent)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    expected = np.zeros((2, 10))
    for n in range(2):
        for t in range(4):
            outputs = []
            for order in (1, 2):
                own = weights[n, 21 * (order - 1) :] if independent else weights[n]
                first, second = own[:15].reshape(5, 3), own[15:21].reshape(3, 2)
                hidden = np.tanh(x[n, t] ** order @ first)
                outputs += [hidden, hidden @ second]
            expected[n] += mask[n, t] * np.concatenate(outputs)
    close(layer(x, weights, mask=mask), expected)
