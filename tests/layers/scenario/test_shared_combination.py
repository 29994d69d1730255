"""How shared and specific information are combined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    SharedCombination,
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


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


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
