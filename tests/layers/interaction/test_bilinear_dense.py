"""A dense layer on bilinear products."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from equations import Drawn, close, set_weights
from tensorflow import keras

from dynctr_tf import layers, stack
from dynctr_tf.layers.interaction import bilinear_dense

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


def test_bilinear_dense_by_hand() -> None:
    layer, x = layers.BilinearDense(2), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]], [[1.0, 0.0], [0.5, -1.0]], [7.0, 0.0])
    # The one product is (603, 8040), as above: 603 + 0.5 * 8040 + 7 and -8040.
    assert layer(x).numpy().tolist() == [[4630.0, -8040.0]]


@pytest.mark.parametrize("mode", ["all", "each", "interaction"])
@pytest.mark.parametrize("columns", [1, 20, 10_000])  # a chunk for each left field, some, one chunk
def test_bilinear_dense_is_the_dense_layer_on_all_products(
    mode: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bilinear_dense, "_LEAST_COLUMNS", columns)
    x, upstream = floats(3, 6, 4), floats(3, 7)
    fused = layers.BilinearDense(7, mode)
    weights = with_random_weights(fused, x)
    products, dense = layers.BilinearInteraction(mode), keras.layers.Dense(7)
    sequence = keras.Sequential([products, keras.layers.Flatten(), dense])
    sequence(tf.constant(x))
    sequence.set_weights([weights["bilinear_kernel"], weights["kernel"], weights["bias"]])
    results = []
    for model in (fused, sequence):
        variable = tf.Variable(x)

        @tf.function
        def differentiate(model: Any = model, variable: Any = variable) -> Any:
            sources = [variable, *map(stack.raw_variable, model.trainable_weights)]
            with tf.GradientTape() as tape:
                output = model(tf.convert_to_tensor(variable))
            return [output, *tape.gradient(output, sources, tf.constant(upstream))]

        results.append(differentiate())
    assert len(results[0]) == 5
    for one, other in zip(*results, strict=True):
        close(one, other.numpy())
