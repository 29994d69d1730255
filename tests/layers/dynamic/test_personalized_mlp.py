"""A perceptron whose units a condition weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import MLP, PersonalizedMLP

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def randomised(layer: Any, *inputs: Any) -> Any:
    """Calls the layer, and gives it random weights."""
    layer(*inputs)
    layer.set_weights([0.5 * floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


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
