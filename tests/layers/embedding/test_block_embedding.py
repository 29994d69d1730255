"""A table that has rows for some blocks of the id space alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import BlockEmbedding

IDS = np.array([[1, 6, 4], [3, 9, 0], [2, 8, 7]], np.int32)


def test_each_id_has_the_row_of_its_place_in_the_blocks() -> None:
    layer = BlockEmbedding([(2, 2), (7, 3)], output_dim=4)
    found = layer(tf.constant(IDS)).numpy()
    table = stack.raw_variable(layer.table).numpy()
    assert table.shape == (6, 4) and layer.num_rows == 6
    rows = {2: 1, 3: 2, 7: 3, 8: 4, 9: 5}
    for place in np.ndindex(*IDS.shape):
        expected = table[rows[IDS[place]]] if IDS[place] in rows else np.zeros(4)  # of another block, or padding
        np.testing.assert_array_equal(found[place], expected)


def test_it_takes_its_own_columns_in_their_order() -> None:
    layer = BlockEmbedding([(7, 3)], output_dim=4, columns=[2, 1])
    found = layer(tf.constant(IDS)).numpy()
    table = stack.raw_variable(layer.table).numpy()
    np.testing.assert_array_equal(found[2], table[[1, 2]])  # ids 7 and 8
    np.testing.assert_array_equal(layer.embed_columns(tf.constant(IDS[:, 2:])).numpy(), found[:, :1])
    with pytest.raises(ValueError, match=r"columns=\[2, 1\], and there are 2 ids in a row"):
        BlockEmbedding([(7, 3)], output_dim=4, columns=[2, 1])(tf.constant(IDS[:, :2]))


def test_the_rows_of_a_block() -> None:
    layer = BlockEmbedding([(2, 2), (7, 3)], output_dim=4)
    assert (layer.rows_of(2, 2), layer.rows_of(7, 3)) == (slice(1, 3), slice(3, 6))
    assert layer.rows_of(7, 2) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": []}, "blocks must be pairs"),
        ({"blocks": [(0, 3)]}, r"from 1 on.*got \[\(0, 3\)\]"),
        ({"blocks": [(2, 3), (4, 2)]}, "ascending order and apart"),
        ({"blocks": [(2, 0)]}, "at least 1"),
        ({"blocks": [(2, 3)], "columns": []}, "columns must be one or more"),
        ({"blocks": [(2, 3)], "columns": [-1]}, "columns must be one or more"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockEmbedding(output_dim=4, **options)
