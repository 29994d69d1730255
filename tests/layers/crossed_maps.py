"""Field maps, and DynInt's equation with one matrix for each row, for the tests of its three layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from equations import Drawn, relu

N, F, D, Z = 3, 4, 2, 5
_floats = Drawn(11).floats
X, X0, CONDITION = _floats(N, F, D), _floats(N, F, D), _floats(N, Z)


def generated_with_loops(weights: dict[str, np.ndarray], condition: np.ndarray) -> np.ndarray:
    """The output of a two-layer generator before its output activation."""
    hidden = np.zeros((len(condition), weights["bias_1"].size))
    for n, j in np.ndindex(hidden.shape):
        total = sum(condition[n, k] * weights["kernel_1"][k, j] for k in range(condition.shape[1]))
        hidden[n, j] = relu(total + weights["bias_1"][j])
    return hidden @ weights["kernel_2"] + weights["bias_2"]


def crossed(matrices: np.ndarray, x: np.ndarray, x0: np.ndarray, gate: Any = 1.0) -> np.ndarray:
    """X * (W_i X_0) * gate + X with one matrix per instance, which the layers never build."""
    assert matrices.shape == (N, F, F)
    mixed = np.stack([matrices[n] @ x0[n] for n in range(len(x0))])
    return x * mixed * gate + x


def inputs_of(fields_last: bool) -> tuple[list[tf.Tensor], tf.Tensor]:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    return [tf.constant(m) for m in pair], tf.constant(CONDITION)


def output_of(layer: Any, fields_last: bool) -> np.ndarray:
    output = layer(*inputs_of(fields_last)).numpy()
    return output.transpose(0, 2, 1) if fields_last else output


def built(drawn: Drawn, layer: Any, fields_last: bool = False) -> dict[str, np.ndarray]:
    """Calls the layer, gives every weight random values, and returns these by name."""
    layer(*inputs_of(fields_last))
    return drawn.randomise(layer)
