"""AFN's transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close, set_weights

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


@pytest.mark.parametrize("training", [True, False])
def test_logarithmic_transformation_is_its_equation(training: bool) -> None:
    x = floats(6, 4, 3)
    x[0, 0, 0] = 0.0
    layer = layers.LogarithmicTransformation(5, epsilon=1e-3)
    with_random_weights(layer, x)
    layer.set_weights([np.abs(weight) + 0.1 for weight in layer.get_weights()])
    kernel = layer.kernel.numpy()

    def normalised(values: np.ndarray, norm: Any) -> np.ndarray:
        result = np.zeros_like(values)
        for f in range(values.shape[1]):
            mean = values[:, f].mean() if training else norm.moving_mean.numpy()[f]
            variance = values[:, f].var() if training else norm.moving_variance.numpy()[f]
            result[:, f] = (values[:, f] - mean) / np.sqrt(variance + 1e-5) * norm.gamma.numpy()[f]
            result[:, f] += norm.beta.numpy()[f] if norm.center else 0
        return result

    logs = normalised(np.log(np.maximum(np.abs(x), 1e-3)), layer.log_norm)
    products = np.zeros((6, 5, 3))
    for n, k, d in np.ndindex(6, 5, 3):
        products[n, k, d] = np.exp(sum(kernel[f, k] * logs[n, f, d] for f in range(4)))
    expected = normalised(products, layer.exp_norm)
    close(layer(tf.constant(x), training=training), expected)


def test_logarithmic_transformation_by_hand() -> None:
    layer = layers.LogarithmicTransformation(2, batch_norm=False)
    x = tf.constant([[[2.0], [-3.0], [0.0]]])
    layer(x)
    set_weights(layer, [[1.0, 2.0], [1.0, -1.0], [0.0, 0.0]])
    close(layer(x), [[[6.0], [4.0 / 3.0]]])
