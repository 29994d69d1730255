"""The gradients of DPN's layers against differences of a loss, to the weights and to what a layer is called with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from layer_contract import Case, listed
from operation_cases import CASES
from tensorflow import keras

from dynctr_tf import stack

# A large step may cross the kink of a ReLU, a small one drowns in rounding; a wrong gradient fits neither.
STEPS = (1e-2, 1e-3)


def loss_of(layer: Any, inputs: list[Any], case: Case) -> tf.Tensor:
    """A sum of the outputs, each with a weight of its own, and of the losses that the layer adds."""
    first, inputs = listed(case.inputs), [tf.convert_to_tensor(tensor) for tensor in inputs]
    given = inputs[: len(first)] if isinstance(case.inputs, list) else inputs[0]
    conditions = inputs[len(first) :]
    keywords = {key: tf.constant(value) for key, value in case.keywords.items()}
    outputs = listed(layer(given, *conditions, **keywords))
    parts = [
        tf.reduce_sum(tf.sin(1.0 + tf.reshape(tf.range(tf.size(part), dtype=tf.float32), tf.shape(part))) * part)
        for part in outputs
    ]
    return tf.add_n(parts + list(layer.losses))


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_slope_of_the_loss(name: str) -> None:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    case = CASES[name]
    layer = case.make()
    arrays = [*listed(case.inputs), *([] if case.condition is None else [case.condition])]
    inputs = [tf.Variable(array) if array.dtype == np.float32 else tf.constant(array) for array in arrays]
    loss_of(layer, inputs, case)
    weights = [stack.raw_variable(weight) for weight in layer.trainable_weights]
    for weight in weights:  # biases start at 0, and kernels of generators may
        weight.assign_add(random.normal(0, 0.2, weight.shape).astype(np.float32))
    # Where the layer cuts a gradient off, it is not the slope, which is the point of it.
    free = [] if getattr(layer, "stop_gradient", False) else [t for t in inputs if isinstance(t, tf.Variable)]
    varied = [*weights, *free]
    with tf.GradientTape() as tape:
        loss = loss_of(layer, inputs, case)
    for variable, gradient in zip(varied, tape.gradient(loss, varied), strict=True):
        assert gradient is not None, variable.name
        gradient = tf.convert_to_tensor(gradient).numpy().astype(np.float64)
        size = np.linalg.norm(gradient)
        # Along the gradient, where every part of it tells, and a little aside, where a wrong direction would.
        aside = random.normal(size=gradient.shape)
        direction = gradient / size + aside / np.linalg.norm(aside)
        start = variable.numpy()
        expected, slopes = pytest.approx((gradient * direction).sum(), rel=0.02, abs=2e-3), []
        for step in STEPS:
            losses = []
            for sign in (1, -1):
                variable.assign((start + sign * step * direction).astype(np.float32))
                losses.append(float(loss_of(layer, inputs, case)))
            slopes.append((losses[0] - losses[1]) / (2 * step))
            if slopes[-1] == expected:
                break
        variable.assign(start)
        assert slopes[-1] == expected, (variable.name, slopes)
