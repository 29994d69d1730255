"""A dense layer whose bias learns in bfloat16 too."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack


def add_bias(x: tf.Tensor, bias: Any) -> tf.Tensor:
    """Returns `x + bias` over the last axis; the bias has a gradient that is right in bfloat16.

    `tf.nn.bias_add` ends in `BiasAddGrad`, which on CPUs sums bfloat16 in bfloat16: 4096 ones add up to 256, and the
    gradients of a batch are 7 % off and more (TF 2.15 and 2.21, with oneDNN and without it). The gradient of a
    broadcast is summed in float32, and it is faster (0.8 ms against 1.4 for 4096 rows of 400, two cores). In the
    forward pass both are fused with the product before them.

    Args:
        x: Float tensor `(..., n)`.
        bias: Float variable or tensor `(n,)`, cast to the dtype of x.
    """
    return x + tf.cast(bias, x.dtype)


@stack.serializable
class Dense(stack.FloatInputs, keras.layers.Dense):  # type: ignore[misc]
    """`keras.layers.Dense` whose bias learns in bfloat16 too, see `add_bias`.

    Use it in place of `keras.layers.Dense` in models that run under the policy "mixed_bfloat16" on a CPU. It is the
    same function with the same weights.

    Args:
        units: Width of the output.
        **kwargs: As `keras.layers.Dense`, without LoRA and quantisation.

    Input shape:
        `(batch, ..., n)`.

    Output shape:
        `(batch, ..., units)`.

    Raises:
        ValueError: Inputs of another rank, or of unknown width.

    Cost: `n * units` multiply-adds per row and as many parameters, plus the bias.

    Example:

    >>> import tensorflow as tf
    >>> Dense(4, activation="relu")(tf.ones((2, 3))).shape
    TensorShape([2, 4])
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.input_spec = None  # until the layer is built: the message below says more

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"{self.name} takes shape (batch, ..., n) with n known, got {tuple(input_shape)}.")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        kernel = tf.cast(self.kernel, inputs.dtype)
        rank = len(inputs.shape)
        output = tf.matmul(inputs, kernel) if rank == 2 else tf.tensordot(inputs, kernel, [[rank - 1], [0]])
        if self.use_bias:
            output = add_bias(output, self.bias)
        return output if self.activation is None else self.activation(output)
