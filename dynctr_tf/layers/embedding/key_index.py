"""Finds the row of a key: a hash table in memory that follows the weights."""

from __future__ import annotations

import importlib
from typing import Any

import tensorflow as tf

from dynctr_tf.nearest import unknown_name_message

INDEX_KINDS = ("tensorflow", "tfra")
"""Whose hash table finds the rows: TensorFlow's own, or that of tensorflow-recommenders-addons."""

# Odd numbers with about as many ones as zeros, as in splitmix64.
_FIRST, _SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47


def pairs_checksum(keys: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns a checksum of pairs of key and row, int64: the sum of one number a pair, in any order.

    Args:
        keys: int64 `(n,)`.
        rows: Whole numbers `(n,)`.
    """
    mixed = tf.bitwise.bitwise_xor(keys, tf.cast(rows, tf.int64) * tf.constant(_FIRST, tf.int64))
    mixed *= tf.constant(_SECOND, tf.int64)
    return tf.reduce_sum(tf.bitwise.bitwise_xor(mixed, tf.bitwise.right_shift(mixed, tf.constant(31, tf.int64))))


class KeyIndex:
    """A hash table from keys to rows, which is not saved: the weights say which key each row has.

    `follow` compares the checksum of the pairs in it with that of the weights. So it is made again after weights were
    loaded, whoever has loaded them. Keras does not track it, and no SavedModel can hold it.

    Args:
        kind: One of `INDEX_KINDS`.

    Raises:
        ValueError: Another kind.
        ImportError: tensorflow-recommenders-addons is wanted and cannot be imported.
    """

    def __init__(self, kind: str) -> None:
        if kind not in INDEX_KINDS:
            raise ValueError(unknown_name_message("index_kind", str(kind), INDEX_KINDS))
        with tf.init_scope(), tf.device("/CPU:0"):
            self._table = _tfra_table() if kind == "tfra" else _tensorflow_table()
            self._checksum = tf.Variable(0, dtype=tf.int64, trainable=False, name="index_checksum")
        self._value_shape = [1] if kind == "tfra" else []

    def find(self, keys: tf.Tensor) -> tf.Tensor:
        """Returns the rows of keys `(n,)`, int64; 0 for a key that has none."""
        return tf.reshape(self._table.lookup(keys), [-1])

    def add(self, keys: tf.Tensor, rows: tf.Tensor) -> None:
        """Adds keys, int64 `(n,)`, that are not there."""
        self._table.insert(keys, tf.reshape(tf.cast(rows, tf.int64), [-1, *self._value_shape]))
        self._checksum.assign_add(pairs_checksum(keys, rows))

    def remove(self, keys: tf.Tensor, rows: tf.Tensor) -> None:
        """Removes keys, int64 `(n,)`, that have these rows."""
        self._table.remove(keys)
        self._checksum.assign_sub(pairs_checksum(keys, rows))

    def follow(self, keys: tf.Variable, checksum: tf.Variable) -> None:
        """Makes the table again where it does not hold the keys of the rows.

        Args:
            keys: The key of each row, int64 `(rows,)`, 0 where a row has none.
            checksum: The checksum of all pairs.
        """

        def make_again() -> tf.Tensor:
            self._table.remove(self._table.export()[0])
            self._checksum.assign(0)
            rows = tf.where(tf.not_equal(keys, 0))[:, 0]
            self.add(tf.gather(keys, rows), rows)
            return tf.constant(True)

        tf.cond(tf.equal(checksum, self._checksum), lambda: tf.constant(False), make_again)


def _tensorflow_table() -> Any:
    return tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, default_value=0)


def _tfra_table() -> Any:
    try:
        tables = importlib.import_module("tensorflow_recommenders_addons.dynamic_embedding")
    except ImportError as error:
        raise ImportError(
            f"index_kind='tfra' needs tensorflow-recommenders-addons ({error}). On TensorFlow 2.15 and Python 3.10 or "
            "3.11 install it with\n    pip install 'dynctr_tf[dynamic_ids]'\nindex_kind='tensorflow' needs nothing."
        ) from error
    return tables.CuckooHashTable(tf.int64, tf.int64, tf.zeros([1], tf.int64), checkpoint=False)
