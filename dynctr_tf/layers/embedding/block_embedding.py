"""An embedding table of some fields alone, among the ids of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding.field_embedding import FieldEmbedding

FIRST_ORDER = "_first_order"
"""The end of the name of a layer whose table has the first-order weights beside another table."""


@stack.serializable
class BlockEmbedding(FieldEmbedding):
    """Turns the ids of some blocks of the id space into embeddings, by a table that has rows of these alone.

    Use it beside others like it where fields want embeddings of different sizes, or some of them must not train: each
    reads the same ids, and takes the columns that are its own. `FieldProjection` brings their sizes together.

    With the blocks one after another, and row 0 for padding: `output[k] = E[1 + (place of i_k in the blocks)]`. An id
    of another block is 0, as padding is.

    Args:
        blocks: For each block its first id and how many it has, as `EncodedFeatures` gives them: ascending, apart.
        output_dim: Size D of an embedding.
        columns: Which of the ids, joined along axis 1, are embedded, in this order. Default `None`: all.
        **kwargs: As `FieldEmbedding`, but for the number of ids; `trainable=False` freezes the table.

    Call arguments:
        inputs: As `FieldEmbedding`.
        training: As `FieldEmbedding`. Default `None`.

    Input shape:
        As `FieldEmbedding`.

    Output shape:
        `(batch, len(columns), output_dim)`; with `linear` a pair of that and `(batch, len(columns), 1)`.

    Raises:
        ValueError: Blocks that overlap, are empty or hold the padding id, columns that do not exist, or as
            `FieldEmbedding`.

    Cost: as `FieldEmbedding` for the ids of the blocks, and a search among their begins for each id.

    Example:

    >>> layer = BlockEmbedding([(4, 3)], output_dim=2, columns=[1])
    >>> layer(tf.constant([[1, 5, 2], [3, 6, 2]])).shape, layer.num_rows
    (TensorShape([2, 1, 2]), 4)
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        output_dim: int,
        columns: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        pairs = [(int(first), int(count)) for first, count in blocks]
        ends = [0, *(first + count - 1 for first, count in pairs)]
        if (
            not pairs
            or any(count < 1 for _, count in pairs)
            or any(first <= end for (first, _), end in zip(pairs, ends, strict=False))
        ):
            raise ValueError(
                "blocks must be pairs of a first id, from 1 on, and a number of ids, at least 1, in ascending order "
                f"and apart; got {[tuple(block) for block in blocks]}."
            )
        if columns is not None and (not columns or min(columns) < 0):
            raise ValueError(f"columns must be one or more from 0 on, or None for all; got {columns!r}.")
        super().__init__(1 + sum(count for _, count in pairs), output_dim, **kwargs)
        self.blocks = pairs
        self.columns = None if columns is None else [int(column) for column in columns]

    @property
    def num_rows(self) -> int:
        """The rows of the table, that of the padding id included."""
        return self.num_ids

    def rows_of(self, first_id: int, num_ids: int) -> slice | None:
        """Returns which rows of the table are those of a block of ids; `None` where the table does not have it."""
        start = 1
        for first, count in self.blocks:
            if (first, count) == (first_id, num_ids):
                return slice(start, start + count)
            start += count
        return None

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        shapes = input_shape if isinstance(input_shape[0], (list, tuple, tf.TensorShape)) else [input_shape]
        widths = [tuple(shape)[1] for shape in shapes]
        if self.columns is not None and None not in widths and max(self.columns) >= sum(widths):
            raise ValueError(f"{self.name} has columns={list(self.columns)}, and there are {sum(widths)} ids in a row.")

    def _joined(self, inputs: Any) -> tf.Tensor:
        ids = super()._joined(inputs)
        ids = ids if self.columns is None else tf.gather(ids, self.columns, axis=1)
        return tf.ensure_shape(self._rows(ids), (None, None if self.columns is None else len(self.columns)))

    def embed_columns(self, ids: tf.Tensor) -> Any:
        """Embeds ids of some of the columns alone, for inference.

        Args:
            ids: `(batch, n)`, ids of the columns that the layer takes, in any number and order.

        Returns:
            As the layer returns, of these ids.
        """
        return self._embedded(self._rows(ids))

    def _rows(self, ids: tf.Tensor) -> tf.Tensor:
        """The rows of the table for ids of the id space; 0 for those of other blocks."""
        firsts, counts = (np.array(numbers, ids.dtype.as_numpy_dtype) for numbers in zip(*self.blocks, strict=True))
        starts = np.concatenate([[1], 1 + np.cumsum(counts)[:-1]]).astype(firsts.dtype)
        if len(firsts) == 1:
            place, count, start = ids - firsts[0], counts[0], starts[0]
        else:
            block = tf.searchsorted(firsts, tf.reshape(ids, [-1]), side="right") - 1
            block = tf.reshape(tf.maximum(block, 0), tf.shape(ids))
            place, count, start = ids - tf.gather(firsts, block), tf.gather(counts, block), tf.gather(starts, block)
        return tf.where(tf.logical_and(place >= 0, place < count), place + start, tf.zeros_like(ids))

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = super().compute_output_shape(input_shape)
        if self.columns is None:
            return shape
        if self.linear:
            return tuple((part[0], len(self.columns), part[2]) for part in shape)
        return (shape[0], len(self.columns), shape[2])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_ids"], config["num_ids_per_field"]
        return {
            **config,
            "blocks": [list(block) for block in self.blocks],
            "columns": None if self.columns is None else list(self.columns),
        }
