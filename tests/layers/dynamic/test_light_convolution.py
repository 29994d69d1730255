"""Light and dynamic convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    LightConvolution,
)

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


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


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


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
