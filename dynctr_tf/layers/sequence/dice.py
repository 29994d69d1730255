"""Dice, DIN's data-dependent activation."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dense.batch_normalization import BatchNormalization


@stack.serializable
class Dice(stack.Layer):
    """An activation that bends where the batch has its mean, with a learned slope on one side.

    Use it as DIN does, inside of its activation unit and of its dense layers.

    `y = p x + alpha (1 - p) x`, `p = sigmoid((x - E[x]) / sqrt(Var[x] + epsilon))`, alpha one number per channel. In
    training the mean and variance are the batch's, otherwise their moving averages. alpha starts at 0, and 1
    would make it the identity.

    Args:
        epsilon: Added to the variance. Default 1e-9.
        momentum: Of the moving averages. Default 0.99.

    Call arguments:
        inputs: A float tensor.
        training: Whether the batch gives mean and variance. Default `None`: Keras decides.

    Input shape:
        `(batch, n)`; rows of padding must not be among them, since they would move the mean.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: Inputs of another rank.

    Cost: n parameters beside the averages; about ten operations per entry.

    Example:

    >>> import tensorflow as tf
    >>> Dice()(tf.constant([[0.0, 2.0]])).shape
    TensorShape([1, 2])

    Reference:
        Zhou et al., Deep Interest Network for Click-Through Rate Prediction, arXiv 1706.06978, data adaptive
        activation function.
    """

    def __init__(self, epsilon: float = 1e-9, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.momentum = momentum
        self.normalization = BatchNormalization(
            epsilon=epsilon,
            momentum=momentum,
            center=False,
            scale=False,
            dtype=stack.wide_dtype(self),
            name="normalization",
        )

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) != 2 or shape[-1] is None:
            raise ValueError(f"{self.name} takes shape (batch, n) with n known, got {shape}.")
        self.alpha = self.add_weight(name="alpha", shape=(shape[-1],), initializer="zeros", trainable=True)
        self.normalization.build(shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        normal = self.normalization(stack.widened(inputs), training=training)
        p = tf.cast(tf.sigmoid(normal), inputs.dtype)
        alpha = tf.cast(self.alpha, inputs.dtype)
        return inputs * (p + alpha * (1.0 - p))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon, "momentum": self.momentum}
