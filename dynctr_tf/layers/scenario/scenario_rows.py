"""Rows of a batch brought together by scenario, so that each kernel of a scenario meets its rows in one product.

The towers of all scenarios, the gates of MMoE and the meta units of M2M apply to each row the parameters of its
scenario. A kernel per row would hold `batch * m * c` numbers, and a product with the kernels of all scenarios would
cost their number times as much. Here the rows are put into blocks of one scenario each, filled up with zeros: there
are at most twice as many blocks as scenarios in the batch, and at most twice as many places as rows.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET


@dataclasses.dataclass(frozen=True)
class ScenarioBlocks:
    """Where each row of a batch stands in blocks of one scenario each.

    Args:
        places: int32 `(batch,)`, the place of each row among all places of all blocks.
        rows: int32 `(blocks,)`, the row of the parameter table that each block uses.
        size: Places of a block.
    """

    places: tf.Tensor
    rows: tf.Tensor
    size: tf.Tensor

    def arrange(self, x: tf.Tensor) -> tf.Tensor:
        """Puts rows `(batch, ..., n)` into their places, `(blocks, size * ..., n)`."""
        count, width = tf.shape(self.rows)[0], x.shape[-1]
        shape = tf.concat([[count * self.size], tf.shape(x)[1:]], axis=0)
        placed = tf.scatter_nd(self.places[:, tf.newaxis], x, shape)
        return tf.reshape(placed, [count, self.size * math.prod(x.shape[1:-1]), width])

    def restore(self, y: tf.Tensor, positions: int | None = None) -> tf.Tensor:
        """Takes the rows out of their places again: `(batch, n)`, or `(batch, positions, n)`."""
        width = y.shape[-1]
        shape = [-1, width] if positions is None else [-1, positions, width]
        return tf.gather(tf.reshape(y, shape), self.places)


def scenario_blocks(rows: tf.Tensor, num_rows: int) -> ScenarioBlocks:
    """Finds blocks for the rows of a batch.

    Args:
        rows: int32 `(batch,)`, which row of the parameter table each row of the batch uses.
        num_rows: How many rows the parameter table has.

    Example:

    >>> import tensorflow as tf
    >>> blocks = scenario_blocks(tf.constant([2, 0, 2]), num_rows=3)
    >>> blocks.rows.numpy().tolist(), blocks.arrange(tf.constant([[7.0], [8.0], [9.0]])).numpy().tolist()
    ([0, 2, 2], [[[8.0]], [[7.0]], [[9.0]]])
    """
    batch = tf.shape(rows)[0]
    present = tf.maximum(1, tf.minimum(batch, num_rows))
    size = tf.maximum(1, (batch + present - 1) // present)
    # The sum of ceil(n_s / size) over the scenarios is at most this, which is less than two for each of them.
    count = (batch + present * (size - 1)) // size
    order = tf.argsort(rows, stable=True)
    ordered = tf.gather(rows, order)
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, num_rows)
    blocks = (sizes + size - 1) // size
    first_place = tf.cumsum(blocks, exclusive=True) * size
    rank = tf.range(batch) - tf.gather(tf.cumsum(sizes, exclusive=True), ordered)
    places = tf.scatter_nd(order[:, tf.newaxis], tf.gather(first_place, ordered) + rank, tf.shape(rows))
    # A block's row is the number of rows whose blocks end before it, counted by sums, which TFLite has built in.
    ends = tf.math.unsorted_segment_sum(tf.ones_like(blocks), tf.minimum(tf.cumsum(blocks), count), count + 1)
    used = tf.cumsum(ends)[:count]
    return ScenarioBlocks(places, tf.minimum(used, num_rows - 1), size)


def table_rows(scenario: tf.Tensor) -> tf.Tensor:
    """Returns rows of a table whose row 0 is the mean of the real scenarios, which come after it.

    Args:
        scenario: int32 `(batch,)`: 0 missing, 1 unknown, 2 and above real.
    """
    return tf.maximum(scenario - FIRST_VALUE_OFFSET + 1, 0)


def with_mean_row(table: Any) -> tf.Tensor:
    """Puts the mean of a table's rows in front of them.

    Args:
        table: `(real scenarios, ...)`.
    """
    table = tf.convert_to_tensor(table)
    return tf.concat([tf.reduce_mean(table, axis=0, keepdims=True), table], axis=0)


def gather_rows(table: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Gathers rows of a small table whose gradient is dense, with repeated rows summed, for any optimizer.

    The sum is taken in float32 where the table is narrower: TensorFlow sums slices of bfloat16 in bfloat16, in which
    the gradient of a scenario that a batch of 4096 meets all the time comes out at half its size.

    Args:
        table: `(n, ...)`.
        rows: int32.
    """
    shape = table.shape.as_list()[1:]
    # A reshape makes its gradient dense.
    flat = tf.reshape(stack.widened(table), [-1, math.prod(shape)])
    return tf.cast(tf.reshape(tf.gather(flat, rows), [-1, *shape]), table.dtype)
