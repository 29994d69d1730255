"""The cases by which the interaction layers of the baselines are checked against the contract of layers."""

from __future__ import annotations

from typing import Any

from equations import Drawn
from layer_contract import Case

from dynctr_tf import layers

floats = Drawn(7).floats


FIELD_MAP, VECTORS = floats(5, 4, 6), [floats(5, 6), floats(5, 6)]


def of(layer: Any, *args: Any, **options: Any) -> Any:
    return lambda **more: layer(*args, **options, **more)


CASES: dict[str, Case] = {
    "AnovaKernel": Case(of(layers.AnovaKernel), FIELD_MAP, FIELD_MAP[:, :2], float32_output=True),
    "AnovaKernel, order 4": Case(of(layers.AnovaKernel, 4), FIELD_MAP, VECTORS[0], float32_output=True),
    "AttentionalPooling": Case(of(layers.AttentionalPooling, dropout=0.5), FIELD_MAP, VECTORS[0]),
    "BiInteraction": Case(of(layers.BiInteraction), FIELD_MAP, VECTORS[0]),
    "CompressedInteraction": Case(of(layers.CompressedInteraction, (3, 2)), FIELD_MAP, VECTORS[0]),
    "CompressedInteraction, other options": Case(
        of(layers.CompressedInteraction, (8, 6, 3), activation="tanh", use_bias=False, split_half=True),
        FIELD_MAP,
        VECTORS[0],
    ),
    "CrossMixtureLayer": Case(of(layers.CrossMixtureLayer, 2, 3), VECTORS, FIELD_MAP),
    "CrossMixtureLayer, sigmoid": Case(
        of(layers.CrossMixtureLayer, 3, 2, activation="linear", gate_activation="sigmoid", kernel_regularizer="l2"),
        VECTORS[0],
        FIELD_MAP,
    ),
    "CrossMixtureLayer, one expert": Case(of(layers.CrossMixtureLayer, 3, 1), VECTORS, FIELD_MAP),
    "FieldAttention": Case(of(layers.FieldAttention, 2, 3), FIELD_MAP, VECTORS[0]),
    "FieldAttention, other options": Case(
        of(layers.FieldAttention, 1, 4, residual=False, scaled=True, kernel_regularizer="l2"),
        FIELD_MAP,
        VECTORS[0],
    ),
    "InnerProduct": Case(of(layers.InnerProduct), FIELD_MAP, FIELD_MAP[:, :1]),
    "LogarithmicTransformation": Case(of(layers.LogarithmicTransformation, 5), FIELD_MAP, VECTORS[0]),
    "LogarithmicTransformation, not normalised": Case(
        of(layers.LogarithmicTransformation, 5, batch_norm=False, epsilon=1e-3), FIELD_MAP, VECTORS[0]
    ),
    "OuterProduct": Case(of(layers.OuterProduct), FIELD_MAP, VECTORS[0]),
    "OuterProduct, kernel": Case(of(layers.OuterProduct, "kernel"), FIELD_MAP, FIELD_MAP[:, :1]),
    "ResidualUnit": Case(of(layers.ResidualUnit, 8, activation="tanh", dropout=0.5), VECTORS[0], FIELD_MAP),
    "SplitEmbedding": Case(of(layers.SplitEmbedding, 3), FIELD_MAP, VECTORS[0]),
    "SqueezeExcitation": Case(of(layers.SqueezeExcitation, 2, activation="sigmoid"), FIELD_MAP, VECTORS[0]),
    "VectorCrossNetwork": Case(of(layers.VectorCrossNetwork, 3), VECTORS[0], FIELD_MAP),
    **{
        f"{layer.__name__}, {kind}": Case(of(layer, *units, kind=kind), FIELD_MAP, FIELD_MAP[:, :1])
        for layer, units in ((layers.BilinearInteraction, ()), (layers.BilinearDense, (3,)))
        for kind in ("all", "each", "interaction")
    },
}
