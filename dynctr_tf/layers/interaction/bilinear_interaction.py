"""The bilinear interaction of FiBiNET."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.interaction.bilinear_products import (
    BILINEAR_KINDS,
    add_matrices,
    bilinear_blocks,
    matrices_of_left_fields,
)
from dynctr_tf.layers.interaction.field_map import field_map_sizes, number_of_pairs
from dynctr_tf.nearest import unknown_name_message


@stack.serializable
class BilinearInteraction(stack.Layer):
    """The entry-wise products of all pairs of fields, with a matrix between the two.

    Use it where the products themselves are wanted. In front of a dense layer `BilinearDense` gives the same
    without keeping all of them for the backward pass.

    `p_ij = (x_i W) * x_j` for i < j, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        kind: Which pairs share W: `"all"`, those of `"each"` left field i, or none (`"interaction"`).
            Default `"interaction"`.
        kernel_initializer: Start of each W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields * (fields - 1) / 2, dim)`.

    Raises:
        ValueError: An unknown kind, fewer than two fields, another rank or unknown sizes.

    Cost: `dim ** 2` parameters, times `fields - 1` or the number of pairs; `dim ** 2 + dim` multiply-adds per row
    and pair.

    Example:

    >>> import tensorflow as tf
    >>> layer = BilinearInteraction("all", kernel_initializer="identity")
    >>> layer(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[[3.0, 8.0]]]

    Reference:
        Huang et al., FiBiNET, RecSys 2019, arXiv 1905.09433, equations 6 to 8.
    """

    def __init__(
        self,
        kind: str = "interaction",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in BILINEAR_KINDS:
            raise ValueError(unknown_name_message("kind of bilinear product", str(kind), BILINEAR_KINDS))
        self.kind = kind
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        fields, dim = field_map_sizes(self.name, input_shape, least_fields=2)
        self.kernel = add_matrices(self, self.kind, fields, dim)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        _, fields, dim = inputs.shape
        matrices = matrices_of_left_fields(tf.cast(self.kernel, inputs.dtype), self.kind, fields, dim)
        products = tf.concat(bilinear_blocks(inputs, matrices), axis=1)
        return tf.reshape(products, [-1, number_of_pairs(fields), dim])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], number_of_pairs(input_shape[1]), input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
