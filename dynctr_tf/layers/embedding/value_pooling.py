"""Pools the values of multi-valued fields and sequences into one embedding each."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message

_POOLINGS = ("mean", "sum")


@stack.serializable
class ValuePooling(stack.Layer):
    """Pools the embeddings of each multi-valued field over its values, padding left out.

    Use it after a `FieldEmbedding` that embedded single-valued fields and the padded values of others in one
    gather: the single-valued fields pass through, the values of each other field become one row.

    `output = sum_k e_k` over the values that are not padding, divided by their number for `"mean"`; a field
    with no value at all gives 0. The embedding of padding must be 0, as `FieldEmbedding` makes it.

    Args:
        pooling: `"mean"` or `"sum"`. Default `"mean"`.

    Call arguments:
        inputs: A list: the embeddings, then one int tensor of ids for each field to pool, in the order in
            which their values stand at the end of the embeddings.

    Input shape:
        `[(batch, n, dim), (batch, n_1), (batch, n_2), ...]`, the last n_1 + n_2 + ... rows being values.

    Output shape:
        `(batch, n - n_1 - n_2 - ... + number of pooled fields, dim)`.

    Raises:
        ValueError: An unknown pooling, ranks that differ from these, or more values than rows.

    Cost: no parameters; dim additions per value.

    Example:

    >>> import tensorflow as tf
    >>> embeddings = tf.constant([[[7.0], [1.0], [3.0], [0.0]]])
    >>> ValuePooling()([embeddings, tf.constant([[5, 6, 0]])]).numpy().tolist()
    [[[7.0], [2.0]]]
    """

    float_arguments = ()  # embeddings beside ids

    def __init__(self, pooling: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pooling not in _POOLINGS:
            raise ValueError(unknown_name_message("pooling", str(pooling), _POOLINGS))
        self.pooling = pooling

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        self.built = True

    def _check(self, input_shape: Any) -> tuple[Any, list[int]]:
        shapes = [tuple(shape) for shape in input_shape]
        if len(shapes) < 2 or len(shapes[0]) != 3 or any(len(shape) != 2 for shape in shapes[1:]):
            raise ValueError(
                f"{self.name} takes [embeddings (batch, n, dim), ids (batch, n_1), ...], got shapes {shapes}."
            )
        widths = [shape[1] for shape in shapes[1:]]
        if shapes[0][1] is None or None in widths or sum(widths) > shapes[0][1]:
            raise ValueError(
                f"{self.name} needs known numbers of values that fit in the embeddings: got {widths} values "
                f"for {shapes[0][1]} rows."
            )
        return shapes[0], widths

    def call(self, inputs: Any) -> tf.Tensor:
        embeddings, *ids = inputs
        embeddings = stack.as_floats(self, embeddings)
        start = embeddings.shape[1] - sum(part.shape[1] for part in ids)
        fields = [embeddings[:, :start]]
        for part in ids:
            values = embeddings[:, start : start + part.shape[1]]  # (batch, n_j, dim)
            pooled = tf.reduce_sum(values, axis=1, keepdims=True)  # (batch, 1, dim)
            if self.pooling == "mean":
                count = tf.reduce_sum(tf.cast(tf.not_equal(part, 0), pooled.dtype), axis=1)
                pooled = tf.math.divide_no_nan(pooled, count[:, tf.newaxis, tf.newaxis])
            fields.append(pooled)
            start += part.shape[1]
        return tf.concat(fields, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        (batch, rows, dim), widths = self._check(input_shape)
        return (batch, rows - sum(widths) + len(widths), dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling}
