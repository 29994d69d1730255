"""Several perceptrons side by side on one input: experts, or a set of encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer


@stack.serializable
class ParallelMLP(stack.Layer):
    """A set of perceptrons of one shape that read the same vector.

    Use it for the experts of MMoE and PLE, and for OptMSM's set of encoders of shared information.

    `x_k <- dropout(activation(W_lk x_k + b_lk))` for each l and each k; `x_k = x` at first.

    Args:
        num_mlps: Number K of perceptrons.
        units: Widths of the layers of each. Default `(128, 64)`.
        activation: A Keras activation. Default `"relu"`.
        linear_output: Whether the last layer has no activation and no dropout, for vectors whose directions should
            differ. Default `False`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        kernel_initializer: Start of each kernel on its own, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, num_mlps, units[-1])`.

    Raises:
        ValueError: Numbers below 1, no layer, or inputs of another rank.

    Cost: K times that of one perceptron; the first layers of all are one matrix product.

    Example:

    >>> import tensorflow as tf
    >>> ParallelMLP(3, units=(8, 4))(tf.ones((2, 5))).shape
    TensorShape([2, 3, 4])
    """

    def __init__(
        self,
        num_mlps: int,
        units: Sequence[int] = (128, 64),
        activation: Any = "relu",
        linear_output: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_mlps < 1 or not units or any(width < 1 for width in units):
            raise ValueError(
                "There must be at least one perceptron with one or more widths of at least 1, got "
                f"num_mlps={num_mlps}, units={tuple(units)}."
            )
        self.num_mlps = int(num_mlps)
        self.units = tuple(int(width) for width in units)
        self.activation = keras.activations.get(activation)
        self.linear_output = linear_output
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
        width = int(input_shape[-1])
        self.kernels, self.biases = [], []
        for index, units in enumerate(self.units):
            self.kernels.append(
                self.add_weight(
                    name=f"kernels_{index + 1}",
                    shape=(self.num_mlps, width, units),
                    initializer=_SeparateStarts(self.kernel_initializer, index * self.num_mlps),
                    regularizer=self.kernel_regularizer,
                    trainable=True,
                )
            )
            self.biases.append(
                self.add_weight(
                    name=f"biases_{index + 1}", shape=(self.num_mlps, units), initializer="zeros", trainable=True
                )
            )
            width = units
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = inputs
        for index, (kernels, biases) in enumerate(zip(self.kernels, self.biases, strict=True)):
            kernels, biases = tf.cast(kernels, inputs.dtype), tf.cast(biases, inputs.dtype)
            width, units = kernels.shape[1:]
            if index == 0:
                side_by_side = tf.reshape(tf.transpose(kernels, [1, 0, 2]), [width, self.num_mlps * units])
                x = tf.reshape(tf.matmul(x, side_by_side), [-1, self.num_mlps, units]) + biases
            else:
                x = tf.matmul(tf.transpose(x, [1, 0, 2]), kernels)  # (K, batch, units)
                x = tf.transpose(x, [1, 0, 2]) + biases
            if index < len(self.kernels) - 1 or not self.linear_output:
                x = self.activation(x)
                x = x if self._drop is None else self._drop(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.num_mlps, self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_mlps": self.num_mlps,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "linear_output": self.linear_output,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


class _SeparateStarts(keras.initializers.Initializer):  # type: ignore[misc]
    """A start of its own for each kernel, as a dense layer's: perceptrons that start alike would stay alike."""

    def __init__(self, initializer: Any, first: int) -> None:
        self.initializer = initializer
        self.first = first

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        starts = [distinct_initializer(self.initializer, self.first + index) for index in range(shape[0])]
        return tf.stack([tf.convert_to_tensor(start(tuple(shape[1:]), dtype=dtype)) for start in starts])

    def get_config(self) -> dict[str, Any]:
        return {"initializer": keras.initializers.serialize(self.initializer), "first": self.first}
