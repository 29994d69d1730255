"""The towers that the tests of scenario layers build, and what they are in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

SCENARIO = np.array([2, 4, 0, 3, 2, 1, 4], np.int32)
TOWER: dict[str, Any] = {"num_scenarios": 5, "hidden_units": (4, 3), "units": 2, "activation": "tanh"}


def tower_of(layer: Any, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases of one row of the tables: 0 for the mean, then the real scenarios."""
    table = [layer.dense_parameters(index, tf.range(layer.num_real + 1)) for index in range(layer.num_layers)]
    return [(kernels.numpy()[row], biases.numpy()[row]) for kernels, biases in table]


def run_tower(x: np.ndarray, tower: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    for index, (kernel, bias) in enumerate(tower):
        x = x @ kernel + bias
        x = np.tanh(x) if index < len(tower) - 1 else x
    return x
