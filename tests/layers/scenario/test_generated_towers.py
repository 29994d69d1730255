"""Towers that a hypernetwork generates for each scenario."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import GeneratedTowers

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


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def tower_of(layer: Any, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases of one row of the tables: 0 for the mean, then the real scenarios."""
    table = [layer.dense_parameters(index, tf.range(layer.num_real + 1)) for index in range(layer.num_layers)]
    return [(kernels.numpy()[row], biases.numpy()[row]) for kernels, biases in table]


def test_its_parameters_are_what_its_equation_says() -> None:
    generated = randomised(GeneratedTowers(**TOWER, scenario_dim=6, code_dim=3), X, SCENARIO)
    (embeddings,) = arrays(generated.scenario_embeddings)
    codes = relu(embeddings @ arrays(generated.generator.kernels[0])[0] + arrays(generated.generator.biases[0])[0])
    bank = generated.banks[1]
    kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
    for row, code in enumerate([codes.mean(0), *codes]):
        close(tower_of(generated, row)[1][0], sum(code[j] * kernels[0, j] for j in range(3)) + static[0, 0])
        close(tower_of(generated, row)[1][1], code @ biases + bias)
    mean = np.mean([tower_of(generated, row)[1][0] for row in (1, 2, 3)], axis=0)
    close(tower_of(generated, 0)[1][0], mean)  # the mean code generates the mean tower
