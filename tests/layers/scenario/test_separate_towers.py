"""A tower for each scenario."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import SeparateTowers

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)
TOWER: dict[str, Any] = {"num_scenarios": 5, "hidden_units": (4, 3), "units": 2, "activation": "tanh"}


def arrays(*weights: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def randomised(layer: Any, *inputs: Any) -> Any:
    """Calls the layer, and gives it random weights."""
    layer(*inputs)
    layer.set_weights([0.5 * floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def tower_of(layer: Any, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases of one row of the tables: 0 for the mean, then the real scenarios."""
    table = [layer.dense_parameters(index, tf.range(layer.num_real + 1)) for index in range(layer.num_layers)]
    return [(kernels.numpy()[row], biases.numpy()[row]) for kernels, biases in table]


def test_its_parameters_are_what_its_equation_says() -> None:
    separate = randomised(SeparateTowers(**TOWER), X, SCENARIO)
    kernels, biases = arrays(*separate.tables[1])
    close(tower_of(separate, 2)[1][0], kernels[1])
    close(tower_of(separate, 0)[1][0], kernels.mean(0))  # the mean tower
    close(tower_of(separate, 0)[1][1], biases.mean(0))
