"""Outer products."""

from __future__ import annotations

import itertools
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


def set_weights(layer: Any, *values: Any) -> None:
    layer.set_weights([np.array(value, np.float32) for value in values])


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def pairs_of(fields: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(fields), 2))


def test_outer_products_are_their_equations() -> None:
    x = floats(2, 4, 3)
    total = x.sum(axis=1)
    flat = layers.OuterProduct()(tf.constant(x)).numpy()
    for n, a, b in np.ndindex(2, 3, 3):
        close(flat[n, 3 * a + b], total[n, a] * total[n, b])
    layer = layers.OuterProduct("kernel")
    kernel = with_random_weights(layer, x)["kernel"]
    for p, (i, j) in enumerate(pairs_of(4)):
        matrix = kernel[:, 3 * p : 3 * p + 3]
        expected = [sum(r[i, a] * matrix[a, b] * r[j, b] for a in range(3) for b in range(3)) for r in x]
        close(layer(tf.constant(x))[:, p], expected)


def test_outer_product_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    assert layers.OuterProduct()(x).numpy().tolist() == [[16.0, 24.0, 24.0, 36.0]]
    layer = layers.OuterProduct("kernel")
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]])  # 1*3 + 10*1*4 + 100*2*3 + 1000*2*4
    assert layer(x).numpy().tolist() == [[8643.0]]
