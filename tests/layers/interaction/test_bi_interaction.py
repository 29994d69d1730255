"""Bi-interaction pooling."""

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


def test_bi_interaction_is_the_sum_over_pairs() -> None:
    x = floats(3, 5, 4)
    output = layers.BiInteraction()(tf.constant(x)).numpy()
    close(output, sum(x[:, i] * x[:, j] for i, j in pairs_of(5)))
    close(output.sum(axis=1, keepdims=True), layers.FactorizationMachine()(tf.constant(x)))


def test_sums_over_pairs_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    # 1 * 3 + 1 * 5 + 3 * 5 and 2 * 4 + 2 * 6 + 4 * 6
    assert layers.BiInteraction()(x).numpy().tolist() == [[23.0, 44.0]]
    assert layers.FactorizationMachine()(x).numpy().tolist() == [[67.0]]
