"""The outer products of PNN."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.interaction.bilinear_products import (
    add_matrices,
    bilinear_blocks,
    matrices_of_left_fields,
)
from dynctr_tf.layers.interaction.field_map import field_map_sizes, number_of_pairs
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("superposition", "kernel")


@stack.serializable
class OuterProduct(stack.Layer):
    """The outer products of pairs of fields, brought to an affordable size in one of two ways.

    Use it in front of a multi-layer perceptron, joined to the flattened embeddings, as in OPNN and KPNN.

    `"superposition"`: `p p^T` with `p = sum_f x_f`, which is the sum of all outer products, flattened.
    `"kernel"`: `sum_(a,b) K_ij[a, b] * x_i[a] * x_j[b]`, the outer product of each pair i < j weighed by a matrix
    of its own to one number.

    Args:
        kind: `"superposition"` or `"kernel"`. Default `"superposition"`.
        kernel_initializer: Start of each K_ij, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the K_ij. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, dim ** 2)`, with `"kernel"` `(batch, fields * (fields - 1) / 2)`.

    Raises:
        ValueError: An unknown kind, fewer than two fields, another rank or unknown sizes.

    Cost: no parameters and `dim ** 2` multiply-adds per row; with `"kernel"` `dim ** 2` of each per pair.

    Example:

    >>> import tensorflow as tf
    >>> OuterProduct()(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[16.0, 24.0, 24.0, 36.0]]

    Reference:
        Qu et al., Product-based Neural Networks, ICDM 2016, arXiv 1611.00144, section III-C, for the
        superposition; Qu et al., TOIS 2018, arXiv 1807.00311, section 3.3, for the kernels.
    """

    def __init__(
        self,
        kind: str = "superposition",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of product", str(kind), _KINDS))
        self.kind = kind
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        fields, dim = field_map_sizes(self.name, input_shape, least_fields=2)
        if self.kind == "kernel":
            self.kernel = add_matrices(self, "interaction", fields, dim)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        _, fields, dim = inputs.shape
        if self.kind == "superposition":
            total = tf.reduce_sum(inputs, axis=1)  # (batch, dim)
            return tf.reshape(total[:, :, tf.newaxis] * total[:, tf.newaxis, :], [-1, dim * dim])
        matrices = matrices_of_left_fields(tf.cast(self.kernel, inputs.dtype), "interaction", fields, dim)
        blocks = bilinear_blocks(inputs, matrices)
        sums = [tf.reduce_sum(tf.reshape(block, [-1, block.shape[1] // dim, dim]), axis=2) for block in blocks]
        return tf.concat(sums, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        width = input_shape[2] ** 2 if self.kind == "superposition" else number_of_pairs(input_shape[1])
        return (input_shape[0], width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
