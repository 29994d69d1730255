"""GateNet's gate on hidden layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack


@stack.serializable
class HiddenGate(stack.Layer):
    """Lets the units of a hidden layer weigh each other.

    Use it after each dense layer of a deep part. With W = 0 and a `gate_scale` of 2 it is the identity.

    `y = gate_scale * sigmoid(W a) * a`.

    Args:
        gate_scale: Upper end of a gate. Default 1.0.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: a, float.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: Inputs of another rank.

    Cost: `n ** 2` parameters and multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> HiddenGate(gate_scale=2.0, kernel_initializer="zeros")(tf.constant([[3.0, 4.0]])).numpy().tolist()
    [[3.0, 4.0]]

    Reference:
        Huang et al., GateNet, arXiv 2007.03519, equations of the hidden gate.
    """

    def __init__(
        self,
        gate_scale: float = 1.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate_scale = gate_scale
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(f"{self.name} takes shape (batch, n) with n known, got {tuple(input_shape)}.")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], input_shape[-1]),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        logits = stack.widened(tf.matmul(inputs, tf.cast(self.kernel, inputs.dtype)))
        return inputs * tf.cast(self.gate_scale * tf.sigmoid(logits), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gate_scale": self.gate_scale,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
