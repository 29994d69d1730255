"""Gates that a condition generates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    MLP,
    EmbeddingGate,
    GateUnit,
    HiddenGate,
    HiddenUnitContributions,
    PersonalizedMLP,
)

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def arrays(*weights: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def randomised(layer: Any, *inputs: Any) -> Any:
    """Calls the layer, and gives it random weights."""
    layer(*inputs)
    layer.set_weights([0.5 * floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_gates_that_start_at_zero_leave_the_network() -> None:
    close(GateUnit()(X, Z), X)
    close(GateUnit(include_inputs=True, granularity="position")(floats(3, 2, 4), Z[:3]).shape, (3, 2, 4))
    close(HiddenUnitContributions(5)(X, SCENARIO), X)
    field_map = floats(3, 4, 5)
    for granularity in ("field", "element"):
        close(EmbeddingGate(granularity, gate_scale=2.0, kernel_initializer="zeros")(field_map), field_map)
    close(HiddenGate(gate_scale=2.0, kernel_initializer="zeros")(X), X)
    personalised, plain = PersonalizedMLP((4, 3)), MLP((4, 3))
    personalised(X, Z)
    plain(X)
    plain.set_weights([weight for dense in personalised.dense_layers for weight in dense.get_weights()])
    close(personalised(X, Z), plain(X))


@pytest.mark.parametrize("include", [False, True])
def test_gate_unit_follows_its_equation(include: bool) -> None:
    layer = randomised(GateUnit(include_inputs=include, gate_scale=1.5), X, Z)
    (first, second), (bias, last) = arrays(*layer.generator.kernels), arrays(*layer.generator.biases)
    z = np.concatenate([Z, X], axis=1) if include else Z
    close(layer(X, Z), X * 1.5 * sigmoid(relu(z @ first + bias) @ second + last))
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, Z))
    # The gate sees the inputs through a stopped gradient.
    close(tape.gradient(loss, x), 1.5 * sigmoid(relu(z @ first + bias) @ second + last))
