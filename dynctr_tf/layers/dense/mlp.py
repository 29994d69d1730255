"""A stack of dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.batch_normalization import BatchNormalization
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.initializers import distinct_initializer


@stack.serializable
class MLP(stack.Layer):
    """A multi-layer perceptron: dense, batch normalisation, activation, dropout, once per entry.

    Use it as the deep part of a model, before the layer that makes the logit.

    `x <- dropout(activation(batch_norm(x W_l + b_l)))` for each l.

    Args:
        units: Widths of the layers. Default `(400, 400, 400)`.
        activation: A Keras activation. Default `"relu"`.
        batch_norm: Whether to normalise over the batch before the activation; the dense layer then has no
            bias, which the normalisation would take away again. Default `False`.
        dropout: Share of the outputs of each layer that is dropped in training. Default 0.0.
        kernel_initializer: A Keras initializer; each layer has one of its own. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: A float tensor.
        training: Whether dropout drops and the normalisation uses the batch. Default `None`: Keras decides.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, units[-1])`.

    Raises:
        ValueError: No layer, a width below 1, or inputs of another rank.

    Cost: sum of `n_l * n_(l+1)` multiply-adds per row and as many parameters, plus the biases.

    Example:

    >>> import tensorflow as tf
    >>> MLP(units=(8, 4))(tf.ones((2, 3))).shape
    TensorShape([2, 4])
    """

    def __init__(
        self,
        units: Sequence[int] = (400, 400, 400),
        activation: Any = "relu",
        batch_norm: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(width < 1 for width in units):
            raise ValueError(f"units must be one or more widths of at least 1, got {units!r}.")
        self.units = tuple(int(width) for width in units)
        self.activation = keras.activations.get(activation)
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._steps: list[Any] = []
        for index, width in enumerate(self.units):
            self._steps.append(
                Dense(
                    width,
                    activation=None if batch_norm else self.activation,
                    use_bias=not batch_norm,
                    kernel_initializer=distinct_initializer(self.kernel_initializer, index),
                    kernel_regularizer=self.kernel_regularizer,
                    dtype=self.dtype_policy,
                    name=f"dense_{index + 1}",
                )
            )
            if batch_norm:
                self._steps.append(BatchNormalization(dtype=self.dtype_policy, name=f"batch_norm_{index + 1}"))
                self._steps.append(
                    keras.layers.Activation(self.activation, dtype=self.dtype_policy, name=f"activation_{index + 1}")
                )
            if dropout:
                self._steps.append(keras.layers.Dropout(dropout, dtype=self.dtype_policy, name=f"dropout_{index + 1}"))

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes shape (batch, n) with n known, got {tuple(input_shape)}; "
                "flatten a field map first with keras.layers.Flatten()."
            )
        shape = tuple(input_shape)
        for step in self._steps:
            if not step.built:
                step.build(shape)
            if isinstance(step, keras.layers.Dense):
                shape = (shape[0], step.units)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = inputs
        for step in self._steps:
            x = step(x, training=training) if isinstance(step, (BatchNormalization, keras.layers.Dropout)) else step(x)
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
