"""A fixed set of keys, found by binary search."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import KnownKeyEmbedding


def test_known_keys_have_their_rows_and_all_others_zeros() -> None:
    layer = KnownKeyEmbedding(4, 3, linear=True)
    layer.build((None, 2))
    table = np.arange(20, dtype=np.float32).reshape(5, 4) + 1
    known = np.array([-(2**63), -1, 7, 2**63 - 1])
    layer.set_weights([table, known])
    keys = np.array([[7, 8], [-(2**63), 0], [2**63 - 1, -2], [-1, 6]])
    rows = np.array([[3, 0], [1, 0], [4, 0], [2, 0]])
    for training in (None, True):
        field_map, weights = layer(tf.constant(keys), training=training)
        expected = table[rows] * (rows != 0)[:, :, np.newaxis]
        np.testing.assert_array_equal(field_map, expected[:, :, :3])
        np.testing.assert_array_equal(weights, expected[:, :, 3:])
