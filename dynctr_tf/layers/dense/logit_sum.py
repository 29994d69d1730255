"""The last sum of a model: everything that is added up to the logit, and a bias."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class LogitSum(stack.Layer):
    """Adds all it is given, over every axis but the batch, and a trained bias.

    Use it as the last layer of a model: on the first-order weights of LR, or to join the parts of FM, DeepFM
    and the like.

    `logit = bias + sum over the inputs of the sum of their entries`, in float32.

    Args:
        use_bias: Whether there is a bias; it starts at 0. Default `True`.
        dtype: The policy. A logit stays float32, also where the global policy is mixed.
            Default `"float32"`.

    Call arguments:
        inputs: A float tensor or a list of them.

    Input shape:
        `(batch, ...)`, or a list of such, of any ranks from 2 on.

    Output shape:
        `(batch, 1)`, float32.

    Raises:
        ValueError: An input of rank 1.

    Cost: one parameter; one addition per entry.

    Example:

    >>> import tensorflow as tf
    >>> LogitSum()([tf.constant([[1.0, 2.0]]), tf.constant([[[3.0], [4.0]]])]).numpy().tolist()
    [[10.0]]
    """

    def __init__(self, use_bias: bool = True, dtype: Any = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        nested = any(isinstance(entry, (list, tuple, tf.TensorShape)) for entry in input_shape)
        shapes = [tuple(shape) for shape in input_shape] if nested else [tuple(input_shape)]
        if any(len(shape) < 2 for shape in shapes):
            raise ValueError(
                f"{self.name} takes tensors of shape (batch, ...) of rank 2 at least, got {shapes}; "
                "a column of shape (batch,) becomes one with tf.expand_dims(x, 1)."
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros", trainable=True)
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        parts = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        sums = [
            tf.reduce_sum(stack.widened(part), axis=list(range(1, part.shape.rank)))[:, tf.newaxis] for part in parts
        ]
        total = tf.add_n(sums)
        return total + stack.widened(self.bias) if self.use_bias else total

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        first = input_shape[0]
        return (first[0] if isinstance(first, (list, tuple, tf.TensorShape)) else first, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_bias": self.use_bias}
