"""Bilinear products."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

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


def bilinear_loops(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    dim, outputs = x.shape[2], []
    for p, (i, j) in enumerate(pairs_of(x.shape[1])):
        which = {"all": 0, "each": i, "interaction": p}[mode]
        outputs.append((x[:, i] @ kernel[:, which * dim : (which + 1) * dim]) * x[:, j])
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("mode", ["all", "each", "interaction"])
def test_bilinear_interaction_is_its_equation(mode: str) -> None:
    x = floats(3, 5, 4)
    layer = layers.BilinearInteraction(mode)
    kernel = with_random_weights(layer, x)["kernel"]
    close(layer(tf.constant(x)), bilinear_loops(x, kernel, mode))


def test_bilinear_interaction_by_hand() -> None:
    layer = layers.BilinearInteraction("interaction")
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]])
    assert layer(x).numpy().tolist() == [[[201.0 * 3, 2010.0 * 4]]]


def test_every_pair_starts_with_a_matrix_of_its_own() -> None:
    layer = layers.BilinearInteraction("interaction", kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    layer(tf.constant(floats(2, 6, 4)))
    matrices = np.split(layer.get_weights()[0], 15, axis=1)
    assert len({matrix.tobytes() for matrix in matrices}) == 15
    limit = (6 / 8) ** 0.5
    assert 0.8 * limit < np.abs(matrices).max() <= limit
