"""The residual unit of Deep Crossing."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import add_bias
from dynctr_tf.layers.dense.initializers import distinct_initializer


@stack.serializable
class ResidualUnit(stack.Layer):
    """Two dense layers whose output is added to their input in front of the last activation.

    Use it in a chain on flattened embeddings, for Deep Crossing.

    `output = act(x + W_2 act(W_1 x + b_1) + b_2)`.

    Args:
        hidden_dim: Width of the middle. Default 400.
        activation: A Keras activation. Default `"relu"`.
        dropout: Share of the outputs dropped in training. Default 0.0.
        kernel_initializer: Start of W_1 and W_2, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W_1 and W_2. Default `None`.

    Call arguments:
        inputs: A float tensor.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: A width below 1, or another rank.

    Cost: `2 * n * hidden_dim` multiply-adds per row and as many parameters, plus the biases.

    Example:

    >>> import tensorflow as tf
    >>> ResidualUnit(2, kernel_initializer="ones")(tf.constant([[1.0, 2.0, 3.0]])).numpy().tolist()
    [[13.0, 14.0, 15.0]]

    Reference:
        Shan et al., Deep Crossing, KDD 2016, section 4.3.
    """

    def __init__(
        self,
        hidden_dim: int = 400,
        activation: Any = "relu",
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_dim < 1:
            raise ValueError(f"hidden_dim must be at least 1, got {hidden_dim}.")
        self.hidden_dim = int(hidden_dim)
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes shape (batch, n) with n known, got {tuple(input_shape)}; "
                "flatten a field map first with keras.layers.Flatten()."
            )
        n = input_shape[-1]
        self.kernels, self.biases = [], []
        for index, shape in enumerate([(n, self.hidden_dim), (self.hidden_dim, n)]):
            self.kernels.append(
                self.add_weight(
                    name=f"kernel_{index + 1}",
                    shape=shape,
                    initializer=distinct_initializer(self.kernel_initializer, index),
                    regularizer=self.kernel_regularizer,
                    trainable=True,
                )
            )
            self.biases.append(
                self.add_weight(name=f"bias_{index + 1}", shape=shape[1:], initializer="zeros", trainable=True)
            )
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        dtype = inputs.dtype
        first, second = (tf.cast(kernel, dtype) for kernel in self.kernels)
        first_bias, second_bias = self.biases
        hidden = self.activation(add_bias(tf.matmul(inputs, first), first_bias))
        output = self.activation(inputs + add_bias(tf.matmul(hidden, second), second_bias))
        return output if self._drop is None else self._drop(output, training=training)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
