"""One condition of several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from equations import Drawn

from dynctr_tf.layers import AdaptiveDense, AdaptiveMLP, GroupCondition, MixCondition

floats = Drawn(4).floats
X, Z = floats(4, 6), floats(4, 5)


def test_mixed_conditions_follow_their_equations() -> None:
    one, other = floats(4, 5), floats(4, 5)
    stacked = np.stack([one, other], axis=1)
    np.testing.assert_array_equal(MixCondition()([one, other]).numpy(), np.concatenate([one, other], axis=1))
    np.testing.assert_array_equal(MixCondition("stack")([one, other]).numpy(), stacked)
    np.testing.assert_allclose(MixCondition("mean")([one, other]).numpy(), (one + other) / 2, rtol=1e-5, atol=1e-6)
    layer = MixCondition("attention")
    mixed = layer([one, other]).numpy()
    scores = np.exp(stacked @ layer.get_weights()[0])
    np.testing.assert_allclose(mixed, (scores / scores.sum(1, keepdims=True) * stacked).sum(1), rtol=1e-4, atol=1e-5)


def test_columns_and_positions_choose_the_conditions() -> None:
    ids = np.array([[3, 12], [4, 10], [3, 11]], np.int32)
    layer = GroupCondition(3, 2, column=1, first_id=10)
    np.testing.assert_array_equal(layer(ids).numpy(), layer.get_weights()[0][[2, 0, 1]])
    field_map = floats(4, 3, 5)
    chosen = [field_map[:, 2], field_map[:, 0]]
    for mode in ("concatenate", "mean", "stack"):
        np.testing.assert_allclose(
            MixCondition(mode, [2, 0])(field_map).numpy(), MixCondition(mode)(chosen).numpy(), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveDense(3, num_groups=0), "num_groups must be at least 1"),
        (lambda: AdaptiveDense(3, num_groups=2)(X, Z), "group numbers"),
        (lambda: AdaptiveDense(3, num_groups=2)(X), "group numbers"),
        (lambda: GroupCondition(3, column=2)(np.zeros((4, 2), np.int32)), "that have column 2"),
        (lambda: GroupCondition(3)(np.zeros((4, 2), np.int32)), "name the column"),
        (lambda: MixCondition("mean", [1]), "two or more rows"),
        (lambda: MixCondition("mean", [0, 3])(floats(4, 3, 5)), "there are 3 conditions"),
        (lambda: AdaptiveMLP(()), "units"),
        (lambda: AdaptiveMLP((4, 3), adaptive={"rank": [3]}), "one value for each of its 2 layers"),
        (lambda: GroupCondition(0), "num_groups"),
        (lambda: MixCondition("meen"), "Did you mean 'mean'"),
        (lambda: MixCondition("mean")([X, Z]), "one width"),
    ],
)
def test_wrong_conditions_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
