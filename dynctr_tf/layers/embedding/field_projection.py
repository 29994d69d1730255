"""Embeddings of one size to another."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack


@stack.serializable
class FieldProjection(stack.Layer):
    """Multiplies each embedding by one matrix, so that fields of another size fit into a field map.

    Use it where a field's embeddings are smaller than the others, because it has many ids, or larger, because they were
    trained elsewhere.

    `output[k] = x[k] W`, W `(m, output_dim)`, without a bias, so that padding stays 0.

    Args:
        output_dim: Size of the projected embeddings.
        kernel_initializer: Initialiser of W. Default `"glorot_uniform"`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, m)`.

    Output shape:
        `(batch, fields, output_dim)`.

    Raises:
        ValueError: A size below 1, or inputs of another rank or of unknown width.

    Cost: `m * output_dim` parameters, and as many multiply-adds for each field.

    Example:

    >>> FieldProjection(3)(tf.ones((2, 4, 8))).shape
    TensorShape([2, 4, 3])

    Reference:
        Ginart et al., Mixed Dimension Embeddings with Application to Memory-Efficient Recommendation Systems,
        arXiv 1909.11810.
    """

    def __init__(self, output_dim: int, kernel_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if output_dim < 1:
            raise ValueError(f"output_dim must be at least 1, got {output_dim}.")
        self.output_dim = int(output_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) != 3 or shape[2] is None:
            raise ValueError(f"{self.name} takes a field map (batch, fields, dim) of known width, got {shape}.")
        self.kernel = self.add_weight(
            name="kernel", shape=(shape[2], self.output_dim), initializer=self.kernel_initializer, trainable=True
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), inputs.dtype)
        return tf.einsum("bfd,de->bfe", inputs, kernel)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        batch, fields, _ = tuple(input_shape)
        return (batch, fields, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
