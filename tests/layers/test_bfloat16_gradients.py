"""Gradients under mixed bfloat16, of weights that gather theirs from a whole batch.

TensorFlow sums bfloat16 in bfloat16 in places, where a sum stops at 256 times its entries; a batch of 4096 shows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.stack import raw_variable

RNG = np.random.default_rng(0)
VECTORS = RNG.uniform(0.2, 1.0, size=(4096, 8)).astype(np.float32)
FIELD_MAPS = RNG.uniform(0.2, 1.0, size=(4096, 8, 4)).astype(np.float32)
MANY_FIELDS = RNG.uniform(0.2, 1.0, size=(4096, 24, 4)).astype(np.float32)
GROUPS = RNG.integers(2, 4, size=4096).astype(np.int32)
# Layer and what it is called with: an array, a list of them, or inputs and condition.
CASES: dict[str, tuple[Any, Any]] = {
    "Dense": (lambda **k: layers.Dense(6, activation="softplus", **k), VECTORS),
    "MLP": (lambda **k: layers.MLP((6, 5), activation="softplus", **k), VECTORS),
    "ResidualUnit": (lambda **k: layers.ResidualUnit(6, activation="softplus", **k), VECTORS),
    "VectorCrossNetwork": (lambda **k: layers.VectorCrossNetwork(2, **k), VECTORS),
    "CrossLayer": (lambda **k: layers.CrossLayer(**k), [VECTORS, VECTORS]),
    "CompressedInteraction": (lambda **k: layers.CompressedInteraction((6, 5), **k), FIELD_MAPS),
    "AttentionalPooling": (lambda **k: layers.AttentionalPooling(3, **k), FIELD_MAPS),
    "AttentionalPooling by unit": (lambda **k: layers.AttentionalPooling(2, **k), MANY_FIELDS),
    "ScenarioEmbedding": (lambda **k: layers.ScenarioEmbedding(4, 6, **k), GROUPS),
    "GroupCondition": (lambda **k: layers.GroupCondition(4, 6, **k), GROUPS),
    "StarTowers": (lambda **k: layers.StarTowers(4, hidden_units=(6,), activation="softplus", **k), (VECTORS, GROUPS)),
}


@pytest.mark.parametrize("name", CASES)
def test_sums_over_a_batch_are_those_of_float32(name: str) -> None:
    # Weights of other seeds give the bias of an attention a gradient that almost cancels, 5 % of which is rounding.
    keras.utils.set_random_seed(0)
    make, inputs = CASES[name]
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    gradients: list[list[np.ndarray]] = []
    start = None
    for policy in ("float32", "mixed_bfloat16"):
        layer = make(dtype=policy)
        layer(*arguments)
        start = layer.get_weights() if start is None else start
        layer.set_weights(start)
        weights = [raw_variable(weight) for weight in layer.trainable_weights]
        with tf.GradientTape() as tape:
            output = tf.cast(layer(*arguments), tf.float32)
            loss = tf.reduce_sum(output)
        found = tape.gradient(loss, weights)
        gradients.append([tf.convert_to_tensor(gradient).numpy() for gradient in found if gradient is not None])
    assert gradients[0] and len(gradients[0]) == len(gradients[1])
    for exact, rounded in zip(*gradients, strict=True):
        assert np.linalg.norm(rounded - exact) < 0.03 * np.linalg.norm(exact)
