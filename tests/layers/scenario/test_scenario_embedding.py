"""An embedding of scenarios."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import (
    ScenarioEmbedding,
)

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def test_scenario_embedding_of_unknown_scenarios_is_the_mean() -> None:
    layer = ScenarioEmbedding(5, 3)
    found = layer(SCENARIO).numpy()
    table = layer.get_weights()[0]
    close(found, [table.mean(0) if index < 2 else table[index - 2] for index in SCENARIO])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(SCENARIO))
    gradient = tape.gradient(loss, stack.raw_variable(layer.embeddings))
    # Dense, with the two rows of unknown scenarios shared out and repeated scenarios summed.
    close(gradient, np.repeat([[2 + 2 / 3], [1 + 2 / 3], [2 + 2 / 3]], 3, axis=1))
