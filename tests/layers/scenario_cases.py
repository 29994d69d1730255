"""The cases by which layers of several scenarios, and the gates of the same papers, keep the contract of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from equations import Drawn
from layer_contract import Case

from dynctr_tf import layers
from dynctr_tf.layers import dense, dynamic, interaction, scenario

floats = Drawn(12).floats


def of(layer: Any, *args: Any, **options: Any) -> Any:
    return lambda **more: layer(*args, **options, **more)


VECTOR, CONDITION, FIELD_MAP, SEQUENCE = floats(5, 6), floats(5, 7), floats(5, 4, 6), floats(5, 4, 6)
SCENARIO = np.array([2, 0, 4, 3, 2], np.int32)
SHARED = [floats(5, 3, 4), floats(5, 6), floats(5, 2)]
IDS = np.array([[1, 2, 0], [3, 1, 9], [1, 9, 4], [5, 6, 7], [8, 8, 8]], np.int32)
MASK = {"mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]], bool)}
GLOROT: dict[str, Any] = {"output_initializer": "glorot_uniform"}
TOWER: dict[str, Any] = {"hidden_units": (8, 4), "activation": "tanh"}

CASES: dict[str, Case] = {
    "ParallelMLP": Case(of(dense.ParallelMLP, 3, (5, 4), "tanh", dropout=0.3), VECTOR, FIELD_MAP),
    "ParallelMLP, linear output": Case(of(dense.ParallelMLP, 2, (4,), linear_output=True), VECTOR, FIELD_MAP),
    "StopGradient": Case(of(dense.StopGradient), VECTOR, np.float32(1.0)),
    "ExpertMixture": Case(of(dense.ExpertMixture), [FIELD_MAP, FIELD_MAP[:, :, 0]], [FIELD_MAP, VECTOR]),
    "ScenarioFieldEmbedding": Case(
        of(layers.ScenarioFieldEmbedding, 10, 6, 5, row_regularizer_l2=0.1, seed=1), [SCENARIO, IDS], [SCENARIO, IDS[0]]
    ),
    "ScenarioEmbedding": Case(of(scenario.ScenarioEmbedding, 5, 3), SCENARIO, VECTOR),
    "SeparateTowers": Case(
        of(scenario.SeparateTowers, 5, dropout=0.2, **TOWER), VECTOR, FIELD_MAP[None], SCENARIO, float32_output=True
    ),
    "SeparateTowers, low rank, of several vectors": Case(
        of(scenario.SeparateTowers, 5, units=None, rank=2, kernel_regularizer="l2", **TOWER),
        SEQUENCE,
        VECTOR[0],
        SCENARIO,
    ),
    "StarTowers": Case(
        of(scenario.StarTowers, 5, units=3, **TOWER), VECTOR, FIELD_MAP[None], SCENARIO, float32_output=True
    ),
    "GeneratedTowers": Case(
        of(scenario.GeneratedTowers, 5, scenario_dim=6, code_dim=6, kernel_initializer="he_uniform", **TOWER),
        VECTOR,
        VECTOR[0],
        SCENARIO,
        float32_output=True,
    ),
    "GeneratedTowers, low rank": Case(
        of(scenario.GeneratedTowers, 5, rank=2, scenario_dim=6, code_dim=6, **TOWER),
        VECTOR,
        VECTOR[0],
        SCENARIO,
        float32_output=True,
    ),
    "InstanceTower": Case(
        of(dynamic.InstanceTower, units=2, code_dim=5, dropout=0.2, **TOWER),
        VECTOR,
        FIELD_MAP,
        CONDITION,
        float32_output=True,
    ),
    "InstanceTower, low rank": Case(
        of(dynamic.InstanceTower, rank=2, code_dim=5, **TOWER), VECTOR, FIELD_MAP, CONDITION, float32_output=True
    ),
    "OrthogonalSet": Case(of(scenario.OrthogonalSet), FIELD_MAP, VECTOR),
    "OrthogonalSet, Frobenius": Case(of(scenario.OrthogonalSet, 0.1, "frobenius"), FIELD_MAP, VECTOR),
    **{
        f"SharedCombination, {kind}": Case(of(scenario.SharedCombination, 5, kind), SHARED, SHARED[1:], SCENARIO)
        for kind in ("gate", "select", "concatenate", "film")
    },
    "GateUnit": Case(of(dynamic.GateUnit, **GLOROT), VECTOR, VECTOR[0], CONDITION),
    "GateUnit, inputs too": Case(
        of(dynamic.GateUnit, include_inputs=True, stop_gradient=True, hidden_dim=3, **GLOROT),
        FIELD_MAP,
        VECTOR[0],
        CONDITION,
    ),
    "GateUnit, one gate per position": Case(
        of(dynamic.GateUnit, granularity="position", gate_scale=1.0, **GLOROT), FIELD_MAP, VECTOR, CONDITION
    ),
    "HiddenUnitContributions": Case(of(scenario.HiddenUnitContributions, 5), VECTOR, FIELD_MAP, SCENARIO),
    "PartitionedNormalization": Case(of(scenario.PartitionedNormalization, 5), VECTOR, FIELD_MAP, SCENARIO),
    **{
        f"EmbeddingGate, {granularity}, shared {shared}": Case(
            of(interaction.EmbeddingGate, granularity, shared), FIELD_MAP, VECTOR
        )
        for granularity in ("field", "element")
        for shared in (False, True)
    },
    "HiddenGate": Case(of(dense.HiddenGate, 2.0), VECTOR, FIELD_MAP),
    "MaskBlock": Case(of(dynamic.MaskBlock, 8, dropout=0.2), VECTOR, FIELD_MAP, CONDITION),
    "PersonalizedMLP": Case(
        of(dynamic.PersonalizedMLP, (8, 4), "tanh", dropout=0.2, **GLOROT), VECTOR, FIELD_MAP, CONDITION
    ),
    "PersonalizedAttention": Case(
        of(dynamic.PersonalizedAttention, 2, 3, **GLOROT), SEQUENCE, VECTOR, CONDITION, keywords=MASK
    ),
    "CoActionUnit": Case(of(dynamic.CoActionUnit, (3, 2)), SEQUENCE, VECTOR[0], 0.5 * floats(5, 24), keywords=MASK),
    "CoActionUnit, one value": Case(
        of(dynamic.CoActionUnit, (3, 2), 2, independent_orders=True), VECTOR, VECTOR[0], 0.5 * floats(5, 48)
    ),
    **{
        f"LightConvolution, dynamic {dynamic_kernel}": Case(
            of(dynamic.LightConvolution, 3, 2, dynamic_kernel=dynamic_kernel, glu=glu), SEQUENCE, VECTOR, keywords=MASK
        )
        for dynamic_kernel, glu in ((True, True), (False, False))
    },
    "PersonalizedBridge": Case(of(dynamic.PersonalizedBridge, hidden_dim=5), VECTOR, FIELD_MAP, CONDITION),
}
