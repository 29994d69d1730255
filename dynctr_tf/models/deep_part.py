"""The multi-layer perceptron that many models have beside or behind their interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.layers import MLP


def kernel_regularizer(l2: float) -> Any:
    """Returns the L2 regularizer of kernels, or `None` where the penalty is 0."""
    return keras.regularizers.L2(l2) if l2 else None


def deep_part(
    x: Any,
    hidden_units: Sequence[int],
    activation: str,
    batch_norm: bool,
    dropout: float,
    kernel_regularizer_l2: float,
    name: str = "mlp",
) -> Any:
    """Applies a multi-layer perceptron, or returns the vector as it is where there is no layer.

    Args:
        x: `(batch, n)`.
        hidden_units: Widths, possibly none.
        activation: As `MLP`.
        batch_norm: As `MLP`.
        dropout: As `MLP`.
        kernel_regularizer_l2: L2 penalty of its kernels.
        name: Name of the layer. Default `"mlp"`.
    """
    if not hidden_units:
        return x
    return MLP(
        hidden_units,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
        name=name,
    )(x)


def unbiased_logit(x: Any, name: str, initial_size: float = 1.0) -> Any:
    """Returns a part of a logit, `(batch, 1)` in float32; the bias is that of the sum.

    Args:
        x: `(batch, n)`.
        name: Name of the layer.
        initial_size: How large its kernel starts, as a share of Glorot's start. Default 1.0.
    """
    start = keras.initializers.VarianceScaling(initial_size**2, mode="fan_avg", distribution="uniform")
    return keras.layers.Dense(1, use_bias=False, kernel_initializer=start, dtype="float32", name=name)(x)
