"""The cases by which APG's layers are checked against the contract of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from equations import Drawn
from layer_contract import Case

from dynctr_tf.layers import dynamic

floats = Drawn(8).floats


def of(layer: Any, *args: Any, **options: Any) -> Any:
    return lambda **more: layer(*args, **options, **more)


VECTOR, CONDITION, SEVERAL, FIELD_MAP = floats(5, 6), floats(5, 7), floats(5, 3, 7), floats(5, 4, 6)
GROUPS = np.array([0, 2, 3, 1, 2], np.int32)

CASES: dict[str, Case] = {
    "AdaptiveDense": Case(of(dynamic.AdaptiveDense, 8, 3), VECTOR, FIELD_MAP, CONDITION),
    "AdaptiveDense, v1": Case(of(dynamic.AdaptiveDense, 8, None, bias_kind="dynamic"), VECTOR, FIELD_MAP),
    "AdaptiveDense, v2": Case(
        of(dynamic.AdaptiveDense, 8, 0.5, factor_kind="generated", materialise=True), VECTOR, FIELD_MAP, CONDITION
    ),
    "AdaptiveDense, v3": Case(
        of(dynamic.AdaptiveDense, 8, 3, factor_kind="generated", bias_kind="none", depth=2, activation="tanh"),
        VECTOR,
        FIELD_MAP,
    ),
    "AdaptiveDense, v5": Case(
        of(dynamic.AdaptiveDense, 8, 3, 5, identity_start=True, bias_kind="dynamic", kernel_regularizer="l2"),
        VECTOR,
        FIELD_MAP,
        CONDITION,
    ),
    "AdaptiveDense, several conditions": Case(
        of(dynamic.AdaptiveDense, 8, 3, aggregator="attention", depth=3, hidden_dim=4), VECTOR, FIELD_MAP, SEVERAL
    ),
    "AdaptiveDense, a table of groups": Case(
        of(dynamic.AdaptiveDense, 8, 3, num_groups=4, bias_kind="dynamic"), VECTOR, FIELD_MAP, GROUPS
    ),
    "AdaptiveMLP": Case(
        of(dynamic.AdaptiveMLP, (8, 4), "tanh", dropout=0.3, adaptive={"rank": [3, 2], "bias_kind": "dynamic"}),
        VECTOR,
        FIELD_MAP,
        CONDITION,
    ),
    "AdaptiveMLP, self-wise, batch norm": Case(
        of(dynamic.AdaptiveMLP, (8, 4), "tanh", batch_norm=True, adaptive={"rank": 2, "over_parameterisation": 5}),
        VECTOR,
        FIELD_MAP,
    ),
    "GroupCondition": Case(of(dynamic.GroupCondition, 4, 3), GROUPS, VECTOR),
    "GroupCondition, of one column": Case(
        of(dynamic.GroupCondition, 4, 3, column=1, first_id=7), np.stack([GROUPS, GROUPS + 7], axis=1), GROUPS
    ),
    "MixCondition, of a field map": Case(of(dynamic.MixCondition, "attention", [2, 0]), FIELD_MAP, VECTOR),
    **{
        f"MixCondition, {mode}": Case(of(dynamic.MixCondition, mode), [CONDITION, SEVERAL[:, 0]], CONDITION)
        for mode in ("concatenate", "mean", "attention", "stack")
    },
}
