"""Bilinear products."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close, pairs_of, set_weights
from tensorflow import keras

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


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
