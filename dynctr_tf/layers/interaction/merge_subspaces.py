"""Sub-space crossing: the pieces become whole embeddings again."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.interaction.subspaces import Subspaces


@stack.serializable
class MergeSubspaces(Subspaces):
    """Puts the pieces of every embedding together again: undoes `SplitSubspaces`.

    Use it after interaction layers, where field maps are needed again.

    `output[f, s * dim / h + j] = input[f * h + s, j]`.

    Args:
        num_subspaces: Number h of pieces; must divide the number of stacked fields. Default 1.
        fields_last: Whether the input is `(batch, dim / h, fields * h)`. Default `False`.

    Call arguments:
        inputs: What `SplitSubspaces` with the same arguments gives, or what layers made of it.

    Input shape:
        `(batch, fields * h, dim / h)`, or transposed.

    Output shape:
        `(batch, fields, dim)`.

    Raises:
        ValueError: Another rank, or h does not divide the number of stacked fields.

    Cost: no parameters; at most one transposition.

    Example:

    >>> import tensorflow as tf
    >>> MergeSubspaces(2)(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[[1.0, 2.0, 3.0, 4.0]]]

    Reference:
        As `SplitSubspaces`.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = inputs
        if self.fields_last:
            _, piece, stacked_fields = inputs.shape
            x = tf.transpose(inputs, [0, 2, 1]) if piece > 1 else inputs
        else:
            _, stacked_fields, piece = inputs.shape
        return tf.reshape(x, [-1, stacked_fields // self.num_subspaces, piece * self.num_subspaces])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        self.check(input_shape, 2 if self.fields_last else 1, "stacked fields")
        batch, stacked_fields, piece = input_shape
        if self.fields_last:
            stacked_fields, piece = piece, stacked_fields
        return (batch, stacked_fields // self.num_subspaces, piece * self.num_subspaces)
