"""The residual unit of Deep Crossing."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import layers

RANDOM = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def with_random_weights(layer: Any, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Builds the layer on the inputs, gives it random weights and returns these by name."""
    layer(list(map(tf.constant, inputs)) if len(inputs) > 1 else tf.constant(inputs[0]))
    layer.set_weights([RANDOM.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def test_residual_unit_is_its_equation() -> None:
    x = floats(3, 4)
    layer = layers.ResidualUnit(6)
    weights = with_random_weights(layer, x)
    hidden = np.maximum(x @ weights["kernel_1"] + weights["bias_1"], 0)
    close(layer(tf.constant(x)), np.maximum(x + hidden @ weights["kernel_2"] + weights["bias_2"], 0))


def test_residual_unit_by_hand() -> None:
    layer = layers.ResidualUnit(1, kernel_initializer="ones")
    # The middle is 6: each entry gets it added.
    assert layer(tf.constant([[1.0, 2.0, 3.0]])).numpy().tolist() == [[7.0, 8.0, 9.0]]
