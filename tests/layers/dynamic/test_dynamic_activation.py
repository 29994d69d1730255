"""DynInt-DA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import (
    DynamicActivation,
)

RANDOM = np.random.default_rng(11)
N, F, D, Z = 3, 4, 2, 5


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, X0, CONDITION = floats(N, F, D), floats(N, F, D), floats(N, Z)


def randomised(layer: Any, *arguments: Any) -> dict[str, np.ndarray]:
    """Builds the layer, gives every weight random values, and returns these by their last name."""
    layer(*arguments)
    layer.set_weights([floats(*weight.shape) for weight in layer.get_weights()])
    names = [getattr(weight, "path", weight.name).split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def generated_with_loops(weights: dict[str, np.ndarray], condition: np.ndarray) -> np.ndarray:
    """The output of a two-layer generator before its output activation."""
    hidden = np.zeros((len(condition), weights["bias_1"].size))
    for n, j in np.ndindex(hidden.shape):
        total = sum(condition[n, k] * weights["kernel_1"][k, j] for k in range(condition.shape[1]))
        hidden[n, j] = max(0.0, total + weights["bias_1"][j])
    return hidden @ weights["kernel_2"] + weights["bias_2"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def crossed(matrices: np.ndarray, x: np.ndarray, x0: np.ndarray, gate: Any = 1.0) -> np.ndarray:
    """X * (W_i X_0) * gate + X with one matrix per instance, which the layers never build."""
    assert matrices.shape == (N, F, F)
    mixed = np.stack([matrices[n] @ x0[n] for n in range(len(x0))])
    return x * mixed * gate + x


def output_of(layer: Any, fields_last: bool) -> np.ndarray:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    output = layer([tf.constant(m) for m in pair], tf.constant(CONDITION)).numpy()
    return output.transpose(0, 2, 1) if fields_last else output


def built(layer: Any, fields_last: bool = False) -> dict[str, np.ndarray]:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    return randomised(layer, [tf.constant(m) for m in pair], tf.constant(CONDITION))


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("gate", ["field", "element"])
def test_dynamic_activation_is_equation_4(gate: str, fields_last: bool) -> None:
    layer = DynamicActivation(gate, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    g = 2 * sigmoid(generated_with_loops(weights, CONDITION))
    g = g[:, :, None] if gate == "field" else g.reshape(N, D, F).transpose(0, 2, 1)
    expected = crossed(np.stack([weights["kernel"].T] * N), X, X0, g)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)
