"""AFM's pooling."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
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


def set_weights(layer: Any, *values: Any) -> None:
    layer.set_weights([np.array(value, np.float32) for value in values])


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def pairs_of(fields: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(fields), 2))


# The second sizes are those that are computed unit by unit.
@pytest.mark.parametrize(("fields", "dim", "units"), [(5, 4, 6), (24, 6, 3)])
def test_attentional_pooling_is_its_equations(fields: int, dim: int, units: int) -> None:
    x = floats(3, fields, dim)
    layer = layers.AttentionalPooling(units)
    weights = with_random_weights(layer, x)
    for n in range(3):
        products = [x[n, i] * x[n, j] for i, j in pairs_of(fields)]
        scores = [np.maximum(p @ weights["kernel"] + weights["bias"], 0) @ weights["score"][:, 0] for p in products]
        expected = sum(a * p for a, p in zip(softmax(np.array(scores)), products, strict=True))
        close(layer(tf.constant(x))[n], expected)


def test_attentional_pooling_by_hand() -> None:
    layer = layers.AttentionalPooling(1)
    x = tf.constant([[[1.0], [2.0], [3.0]]])
    layer(x)
    set_weights(layer, [[1.0]], [-3.0], [[np.log(2.0)]])
    # Products 2, 3, 6; hidden 0, 0, 3; weights 1 : 1 : 8; (2 + 3 + 48) / 10
    close(layer(x), [[5.3]])
