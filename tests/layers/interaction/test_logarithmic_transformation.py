"""AFN's transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

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
