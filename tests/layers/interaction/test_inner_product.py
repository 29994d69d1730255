"""Inner products."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import layers

RANDOM = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def pairs_of(fields: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(fields), 2))


def test_inner_product_and_its_gradient_are_those_of_loops() -> None:
    x, upstream = floats(2, 5, 3), floats(2, 10)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        output = layers.InnerProduct()(variable)
    gradient = np.zeros_like(x)
    for p, (i, j) in enumerate(pairs_of(5)):
        close(output[:, p], (x[:, i] * x[:, j]).sum(axis=1))
        gradient[:, i] += upstream[:, p : p + 1] * x[:, j]
        gradient[:, j] += upstream[:, p : p + 1] * x[:, i]
    close(tape.gradient(output, variable, tf.constant(upstream)), gradient)


def test_inner_products_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert layers.InnerProduct()(x).numpy().tolist() == [[11.0, 17.0, 39.0]]
