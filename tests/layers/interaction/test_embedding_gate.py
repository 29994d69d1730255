"""The gate of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import EmbeddingGate

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


@pytest.mark.parametrize("granularity", ["field", "element"])
@pytest.mark.parametrize("shared", [False, True])
def test_it_follows_its_equation(granularity: str, shared: bool) -> None:
    field_map = floats(3, 4, 5)
    layer = randomised(EmbeddingGate(granularity, shared), field_map)
    (kernel,) = layer.get_weights()
    expected = [
        [field_map[n, f] * sigmoid(field_map[n, f] @ kernel[0 if shared else f]) for f in range(4)] for n in range(3)
    ]
    close(layer(field_map), expected)
