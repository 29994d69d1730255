"""A table for each scenario."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import (
    ScenarioFieldEmbedding,
)

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def test_a_table_for_each_scenario() -> None:
    layer = ScenarioFieldEmbedding(10, 3, 5)
    ids = np.array([[1, 0], [9, 2], [3, 0], [1, 1], [4, 4], [0, 5], [7, 7]], np.int32)
    found = layer([SCENARIO, ids]).numpy()
    tables = layer.get_weights()[0].reshape(3, 10, 3)
    for row in range(7):
        for place in range(2):
            own = (
                tables[:, ids[row, place]].mean(0) if SCENARIO[row] < 2 else tables[SCENARIO[row] - 2, ids[row, place]]
            )
            close(found[row, place], np.zeros(3) if ids[row, place] == 0 else own)
