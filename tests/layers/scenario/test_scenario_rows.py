"""Rows arranged by scenario."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers.scenario.scenario_rows import scenario_blocks

DRAWN = Drawn(21)
floats = DRAWN.floats


# ------------------------------------------------------------------------------------------------- rows by scenario


@pytest.mark.parametrize(("batch", "num_rows", "share"), [(0, 3, 1), (1, 50, 1), (40, 1, 1), (64, 6, 5), (100, 50, 2)])
def test_blocks_hold_one_scenario_each_and_are_few(batch: int, num_rows: int, share: int) -> None:
    rows = (DRAWN.random.integers(0, num_rows, batch) // share).astype(np.int32)
    blocks = scenario_blocks(tf.constant(rows, tf.int32), num_rows)
    x = floats(batch, 3)
    arranged = blocks.arrange(tf.constant(x))
    present = max(1, min(batch, num_rows))
    assert blocks.rows.shape[0] <= 2 * present
    assert arranged.shape[0] * arranged.shape[1] <= 2 * max(batch, present)
    np.testing.assert_array_equal(blocks.restore(arranged).numpy(), x)
    kept = np.repeat(blocks.rows.numpy(), arranged.shape[1])
    np.testing.assert_array_equal(kept[blocks.places.numpy()], rows)
    assert len(set(blocks.places.numpy().tolist())) == batch
