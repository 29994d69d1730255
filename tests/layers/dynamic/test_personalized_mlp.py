"""A perceptron whose units a condition weighs."""

from __future__ import annotations

import numpy as np
from equations import Drawn, close, sigmoid

from dynctr_tf.layers import MLP, PersonalizedMLP

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


def test_it_follows_its_equation() -> None:
    layer = randomised(PersonalizedMLP((4, 3), "tanh"), X, Z)
    x = X
    for dense, gate in zip(layer.dense_layers, layer.gates, strict=True):
        kernel, bias = dense.get_weights()
        first, first_bias, second, second_bias = gate.get_weights()
        gates = 2 * sigmoid(np.maximum(Z @ first + first_bias, 0) @ second + second_bias)
        x = np.tanh(x @ kernel + bias) * gates
    close(layer(X, Z), x)


def test_it_starts_as_the_static_perceptron() -> None:
    layer = PersonalizedMLP((4, 3), "tanh")
    layer(X, Z)
    static = MLP((4, 3), "tanh")
    static(X)
    static.set_weights([part for dense in layer.dense_layers for part in dense.get_weights()])
    close(layer(X, Z), static(X).numpy())
