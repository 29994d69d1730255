"""Sub-space crossing: embeddings cut into pieces, each of which becomes a field of its own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.interaction.subspaces import Subspaces


@stack.serializable
class SplitSubspaces(Subspaces):
    """Cuts every embedding into h pieces and stacks the pieces on the field axis.

    Use it before interaction layers: h = 1 crosses whole vectors, h = dim single bits, between lies a mixture.

    `output[f * h + s, j] = input[f, s * dim / h + j]`.

    Args:
        num_subspaces: Number h of pieces; must divide dim. Default 1.
        fields_last: Whether the output is `(batch, dim / h, fields * h)`, for layers with `fields_last`, which
            costs one transposition for a whole network (none for h = dim). Default `False`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields * h, dim / h)`, or transposed.

    Raises:
        ValueError: Another rank, or h does not divide dim.

    Cost: no parameters; at most one transposition.

    Example:

    >>> import tensorflow as tf
    >>> SplitSubspaces(2)(tf.constant([[[1.0, 2.0, 3.0, 4.0]]])).numpy().tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]

    Reference:
        Yan and Li, xDeepInt, arXiv 2301.01089. Their code puts all fields of the first piece first; here
        the pieces of a field stay together, which needs no transposition. The functions that a PIN can take
        are the same: its matrix has its rows and columns in another order.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        _, fields, dim = inputs.shape
        stacked_fields, piece = fields * self.num_subspaces, dim // self.num_subspaces
        if self.fields_last and piece == 1:
            return tf.reshape(inputs, [-1, 1, stacked_fields])
        stacked = tf.reshape(inputs, [-1, stacked_fields, piece])
        return tf.transpose(stacked, [0, 2, 1]) if self.fields_last else stacked

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        self.check(input_shape, 2, "entries of an embedding")
        batch, fields, dim = input_shape
        stacked = (fields * self.num_subspaces, dim // self.num_subspaces)
        return (batch, *(reversed(stacked) if self.fields_last else stacked))
