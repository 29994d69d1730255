"""The condition of a group."""

from __future__ import annotations

import numpy as np

from dynctr_tf.layers import GroupCondition


def test_group_condition_gives_one_row_per_group() -> None:
    layer = GroupCondition(3, 2)
    groups = np.array([2, 0, 2], np.int32)
    np.testing.assert_array_equal(layer(groups).numpy(), layer.get_weights()[0][groups])
    np.testing.assert_array_equal(layer(groups[:, None]).numpy(), layer(groups).numpy())
