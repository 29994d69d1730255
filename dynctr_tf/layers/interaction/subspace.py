"""Sub-space crossing: embeddings cut into pieces, each of which becomes a field of its own, and back."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack


class _Subspaces(stack.Layer):
    """The arguments of splitting and merging, which undo each other."""

    def __init__(self, num_subspaces: int = 1, fields_last: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_subspaces < 1:
            raise ValueError(f"num_subspaces must be at least 1, got {num_subspaces}.")
        self.num_subspaces = int(num_subspaces)
        self.fields_last = fields_last

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)
        self.built = True

    def check(self, input_shape: Any, divided: int, what: str) -> None:
        if len(input_shape) != 3 or None in tuple(input_shape)[1:]:
            raise ValueError(
                f"{self.name} takes shape (batch, fields, dim) with known sizes, got {tuple(input_shape)}."
            )
        if input_shape[divided] % self.num_subspaces:
            raise ValueError(
                f"{self.name} cannot share {input_shape[divided]} {what} among {self.num_subspaces} sub-spaces; "
                f"num_subspaces must divide it."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_subspaces": self.num_subspaces,
            "fields_last": self.fields_last,
        }


@keras.saving.register_keras_serializable(package="dynctr_tf")
class SplitSubspaces(_Subspaces):
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


@keras.saving.register_keras_serializable(package="dynctr_tf")
class MergeSubspaces(_Subspaces):
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
