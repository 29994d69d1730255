"""Stops the gradient."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class StopGradient(stack.Layer):
    """Returns its inputs, and passes no gradient back.

    Use it in a functional model where one part may read another but not train it.

    `y = x`, `dy / dx = 0`.

    Call arguments:
        inputs: A float tensor.

    Input shape:
        `(batch, ...)`.

    Output shape:
        That of the inputs.

    Raises:
        ValueError: A scalar.

    Cost: nothing.

    Example:

    >>> import tensorflow as tf
    >>> StopGradient()(tf.constant([[1.0, 2.0]])).numpy().tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 1:
            raise ValueError(f"{self.name} takes a tensor (batch, ...), got a scalar.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.stop_gradient(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)
