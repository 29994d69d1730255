"""One of several parts whose sum is the logit."""

from __future__ import annotations

from typing import Any

from tensorflow import keras


def unbiased_logit(x: Any, name: str, initial_size: float = 1.0) -> Any:
    """Returns a part of a logit, `(batch, 1)` in float32; the bias is that of the sum.

    Args:
        x: `(batch, n)`.
        name: Name of the layer.
        initial_size: The start of its kernel as a share of Glorot's. Default 1.0.
    """
    start = keras.initializers.VarianceScaling(initial_size**2, mode="fan_avg", distribution="uniform")
    return keras.layers.Dense(1, use_bias=False, kernel_initializer=start, dtype="float32", name=name)(x)
