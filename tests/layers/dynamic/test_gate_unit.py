"""Gates that a condition generates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, arrays, close, relu, sigmoid
from towers import SCENARIO

from dynctr_tf.layers import (
    MLP,
    EmbeddingGate,
    GateUnit,
    HiddenGate,
    HiddenUnitContributions,
    PersonalizedMLP,
)

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


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
