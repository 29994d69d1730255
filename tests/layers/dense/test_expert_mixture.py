"""Experts, mixed by a gate."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import ExpertMixture

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_it_is_the_mean_of_experts_weighted_by_a_softmax() -> None:
    experts, logits = floats(7, 3, 2), floats(7, 3)
    close(ExpertMixture()([experts, logits]), sum(softmax(logits)[:, k : k + 1] * experts[:, k] for k in range(3)))
