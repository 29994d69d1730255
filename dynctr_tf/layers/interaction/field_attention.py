"""The interacting layer of AutoInt."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class FieldAttention(stack.Layer):
    """Multi-head self-attention among fields with a residual: the interacting layer of AutoInt.

    Use it in a chain; each layer raises the degree of interaction.

    For each head `a_fg = softmax_g(<Q e_f, K e_g>)` and `h_f = sum_g a_fg V e_g`; the heads are joined, then
    `output_f = relu([h_f of all heads] + W_res e_f)`. The softmax is taken in float32. All four projections are
    one matrix product; heads are cut from its columns, and nothing is transposed.

    Args:
        num_heads: Number of heads. Default 2.
        head_dim: Size of a head. Default 8.
        residual: Whether `W_res e_f` is added. Default `True`.
        scaled: Whether scores are divided by `sqrt(head_dim)`. Default `False`.
        kernel_initializer: Start of the four matrices, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of them. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields, num_heads * head_dim)`.

    Raises:
        ValueError: Sizes below 1, another rank or unknown sizes.

    Cost: with n = num_heads * head_dim, `4 * dim * n` parameters, `4 * fields * dim * n + 2 * fields ** 2 * n`
    multiply-adds and `num_heads * fields ** 2` exponentials per row.

    Example:

    >>> import tensorflow as tf
    >>> FieldAttention(num_heads=2, head_dim=3)(tf.ones((2, 5, 4))).shape
    TensorShape([2, 5, 6])

    Reference:
        Song et al., AutoInt, CIKM 2019, arXiv 1810.11921, equations 5 to 8. Without a scale, as there.
    """

    def __init__(
        self,
        num_heads: int = 2,
        head_dim: int = 8,
        residual: bool = True,
        scaled: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or head_dim < 1:
            raise ValueError(f"num_heads and head_dim must be at least 1, got {num_heads} and {head_dim}.")
        self.num_heads = int(num_heads)
        self.head_dim = int(head_dim)
        self.residual = residual
        self.scaled = scaled
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        _, dim = field_map_sizes(self.name, input_shape)
        names = ("query", "key", "value", "residual_kernel") if self.residual else ("query", "key", "value")
        self.kernels = [
            self.add_weight(
                name=name,
                shape=(dim, self.num_heads * self.head_dim),
                initializer=distinct_initializer(self.kernel_initializer, index),
                regularizer=self.kernel_regularizer,
                trainable=True,
            )
            for index, name in enumerate(names)
        ]
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        _, fields, dim = inputs.shape
        width = self.num_heads * self.head_dim
        joined = tf.concat([tf.cast(kernel, inputs.dtype) for kernel in self.kernels], axis=1)
        projected = tf.matmul(tf.reshape(inputs, [-1, dim]), joined)
        projected = tf.reshape(projected, [-1, fields, len(self.kernels) * width])
        sizes = [self.head_dim] * (3 * self.num_heads) + ([width] if self.residual else [])
        parts = tf.split(projected, sizes, axis=2)
        heads = []
        for head in range(self.num_heads):
            query, key, value = (parts[kind * self.num_heads + head] for kind in range(3))
            scores = stack.widened(tf.matmul(query, key, transpose_b=True))  # (batch, fields, fields)
            if self.scaled:
                scores = scores * self.head_dim**-0.5
            heads.append(tf.matmul(tf.cast(tf.nn.softmax(scores), value.dtype), value))
        output = tf.concat(heads, axis=2) if self.num_heads > 1 else heads[0]
        return tf.nn.relu(output + parts[-1] if self.residual else output)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], input_shape[1], self.num_heads * self.head_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "residual": self.residual,
            "scaled": self.scaled,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
