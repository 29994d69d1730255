"""The inner products of PNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

import dynctr_tf.stack  # noqa: F401  (gives `keras.saving`)
from dynctr_tf.layers.interaction.field_map import field_map_sizes, number_of_pairs


@keras.saving.register_keras_serializable(package="dynctr_tf")
class InnerProduct(keras.layers.Layer):
    """The inner products of all pairs of fields, side by side.

    Use it in front of a multi-layer perceptron, joined to the flattened embeddings, as in IPNN.

    `output[(i, j)] = <x_i, x_j>` for i < j, in the order (0, 1), (0, 2), ..., (1, 2), ...: what stands above the
    diagonal of `X X^T`. The backward pass is one product of the mirrored gradient with X, where that of a
    gather would add up entry by entry.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields * (fields - 1) / 2)`.

    Raises:
        ValueError: Fewer than two fields, another rank or unknown sizes.

    Cost: no parameters; `fields ** 2 * dim` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> InnerProduct()(tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])).numpy().tolist()
    [[11.0, 17.0, 39.0]]

    Reference:
        Qu et al., Product-based Neural Networks, ICDM 2016, arXiv 1611.00144, section III-B. The products
        themselves go on, as in the authors' code, in place of a factorised weight of them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        field_map_sizes(self.name, input_shape, least_fields=2)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return pair_inner_products(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], number_of_pairs(input_shape[1]))


@tf.custom_gradient
def pair_inner_products(x: tf.Tensor) -> Any:
    """Returns the inner products of all pairs of fields, `(batch, pairs)`."""
    fields = x.shape[1]
    first, second = np.triu_indices(fields, 1)
    gram = tf.reshape(tf.matmul(x, x, transpose_b=True), [-1, fields * fields])
    products = tf.gather(gram, (first * fields + second).astype(np.int32), axis=1)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        # Entry (i, j) and entry (j, i) take the gradient of pair (i, j), the diagonal an added column of 0.
        source = np.full((fields, fields), len(first), np.int32)
        source[first, second] = source[second, first] = np.arange(len(first))
        padded = tf.pad(upstream, [[0, 0], [0, 1]])
        mirrored = tf.reshape(tf.gather(padded, source.ravel(), axis=1), [-1, fields, fields])
        return tf.matmul(mirrored, x)

    return products, gradient
