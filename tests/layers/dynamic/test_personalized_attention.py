"""Attention whose heads a condition weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import (
    PersonalizedAttention,
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


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_personalised_attention_follows_its_equation() -> None:
    x, mask = floats(2, 4, 6), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    layer = randomised(PersonalizedAttention(2, 3), x, Z[:2])
    w = {name: arrays(dense.kernel)[0] for name, dense in layer.projections.items()}
    gates = {name: gate(np.ones((2, 6), np.float32), Z[:2]).numpy() for name, gate in layer.gates.items()}
    mix = softmax(Z[:2] @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    (kernels,) = arrays(layer.values.kernels)
    expected = np.zeros((2, 4, 6))
    for n in range(2):
        q, k = (gates[name][n] * (x[n] @ w[name]) for name in ("query", "key"))
        v = x[n] @ np.tensordot(mix[n], kernels[0], 1)
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            scores = np.where(mask[n], q[:, head] @ k[:, head].T / np.sqrt(3), -np.inf)
            heads.append(softmax(scores) @ v[:, head])
        y = np.concatenate(heads, axis=1) @ w["output"] + arrays(layer.projections["output"].bias)[0]
        expected[n] = mask[n][:, None] * y
    close(layer(x, Z[:2], mask=mask), expected)
