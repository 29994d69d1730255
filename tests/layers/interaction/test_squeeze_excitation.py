"""SENET."""

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


def test_squeeze_excitation_is_its_equations() -> None:
    x = floats(3, 6, 4)
    layer = layers.SqueezeExcitation(3, activation="sigmoid")
    weights = with_random_weights(layer, x)
    assert weights["squeeze"].shape == (6, 2)
    for n in range(3):
        q = np.array([x[n, f].mean() for f in range(6)])
        a = 1 / (1 + np.exp(-(np.maximum(q @ weights["squeeze"], 0) @ weights["excite"])))
        for f in range(6):
            close(layer(tf.constant(x))[n, f], a[f] * x[n, f])


def test_squeeze_excitation_by_hand() -> None:
    layer = layers.SqueezeExcitation(2, kernel_initializer="ones")
    # Means 2 and 3, middle 5, weights 5 and 5.
    assert layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist() == [[[5.0, 15.0], [10.0, 20.0]]]
