"""The bridge of PTUPCDR."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import (
    PersonalizedBridge,
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


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_bridge_follows_its_equation() -> None:
    layer = randomised(PersonalizedBridge(3, hidden_dim=2), X, Z)
    codes = relu(Z @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    kernels, static = arrays(layer.bank.kernels, layer.bank.unmixed_kernel)
    close(layer(X, Z), [X[n] @ (np.tensordot(codes[n], kernels[0], 1) + static[0, 0]) for n in range(7)])
