"""Several perceptrons side by side."""

from __future__ import annotations

import numpy as np
from equations import Drawn, arrays, close

from dynctr_tf.layers import ParallelMLP

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_each_is_a_perceptron_of_its_own() -> None:
    layer = randomised(ParallelMLP(3, (4, 2), "tanh"), X)
    first, first_bias, second, second_bias = (
        arrays(part)[0] for pair in zip(layer.kernels, layer.biases, strict=True) for part in pair
    )
    experts = [np.tanh(np.tanh(X @ first[k] + first_bias[k]) @ second[k] + second_bias[k]) for k in range(3)]
    close(layer(X), np.stack(experts, axis=1))
