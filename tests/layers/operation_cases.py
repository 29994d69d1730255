"""The cases by which DPN's operations are checked against the contract of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from equations import Drawn
from layer_contract import Case

from dynctr_tf.layers import FieldSelection, dynamic, sequence

DRAWN = Drawn(6)
floats = DRAWN.floats


VECTOR, CONDITION, FIELD_MAP, EACH = floats(5, 6), floats(5, 7), floats(5, 4, 6), floats(5, 4, 7)

SEQUENCE = floats(5, 4, 6)
WEIGHTS = DRAWN.random.uniform(0.1, 0.9, size=(5, 4)).astype(np.float32)
IDS = np.array([[3, 4, 3, 3], [1, 0, 0, 0], [0, 0, 0, 0], [7, 7, 0, 0], [5, 6, 5, 0]], np.int32)
MASK = {"mask": np.arange(4) < np.array([[4], [1], [0], [2], [3]])}


def of(layer: Any, *args: Any, **options: Any) -> Any:
    return lambda **more: layer(*args, **options, **more)


CASES: dict[str, Case] = {
    "KernelBank": Case(of(dynamic.KernelBank, 8), VECTOR, FIELD_MAP[:, :, :, None], CONDITION),
    "KernelBank, other options": Case(
        of(dynamic.KernelBank, 4, static_kernel=True, use_bias=True, num_heads=2, head_kind="shared"),
        FIELD_MAP,
        VECTOR[0],
        EACH,
    ),
    "HyperDense": Case(of(dynamic.HyperDense, 8), VECTOR, VECTOR[0], CONDITION),
    "HyperDense, second order alone": Case(
        of(dynamic.HyperDense, 3, generator_bias=False, dynamic_bias=False, use_bias=False, kernel_regularizer="l2"),
        FIELD_MAP,
        VECTOR[0],
    ),
    "MixtureOfKernels": Case(of(dynamic.MixtureOfKernels, 8), VECTOR, VECTOR[0], CONDITION),
    "MixtureOfKernels, per position": Case(
        of(dynamic.MixtureOfKernels, 3, 2, gate_activation="sigmoid", static_kernel=True), FIELD_MAP, VECTOR[0], EACH
    ),
    "MixtureOfKernels, heads, itself": Case(
        of(dynamic.MixtureOfKernels, 4, num_heads=2, bias_kind="static", gate_initializer="normal"), VECTOR, VECTOR[0]
    ),
    "DecomposedDense": Case(of(dynamic.DecomposedDense, 8, rank=3), VECTOR, FIELD_MAP, CONDITION),
    "DecomposedDense, one layer, static kernel": Case(
        of(dynamic.DecomposedDense, 8, rank=3, num_kernels=None, static_kernel=True), VECTOR, FIELD_MAP
    ),
    **{
        f"FieldOperation, {aggregator}": Case(
            of(dynamic.FieldOperation, 8, aggregator), FIELD_MAP, VECTOR, None if aggregator == "self" else EACH
        )
        for aggregator in ("summation", "self", "attention", "concatenate")
    },
    "FieldOperation, projected, masked": Case(
        of(dynamic.FieldOperation, 3, project_contexts=True, implicit=False, bias_kind="static"),
        FIELD_MAP,
        VECTOR,
        keywords=MASK,
    ),
    "FieldOperation, others, masked": Case(
        of(dynamic.FieldOperation, 3, "summation", exclude_self=True), FIELD_MAP, VECTOR, keywords=MASK
    ),
    "FieldOperation, attention, masked": Case(
        of(dynamic.FieldOperation, 3, "attention", gate_activation="sigmoid"), FIELD_MAP, VECTOR, keywords=MASK
    ),
    "DynamicConvolution": Case(of(dynamic.DynamicConvolution, 8), SEQUENCE, VECTOR, keywords=MASK),
    "DynamicConvolution, outputs mixed, a condition": Case(
        of(dynamic.DynamicConvolution, 8, 5, mixed="outputs", shared_gate=True), SEQUENCE, VECTOR, CONDITION
    ),
    "DynamicConvolution, depthwise, local": Case(
        of(dynamic.DynamicConvolution, kind="depthwise", context_kind="convolution", static_kernel=False),
        SEQUENCE,
        VECTOR,
        keywords=MASK,
    ),
    "DynamicConvolution, separable, local": Case(
        of(dynamic.DynamicConvolution, 5, kind="separable", context_kind="separable"), SEQUENCE, VECTOR, keywords=MASK
    ),
    "QueryOperation": Case(of(dynamic.QueryOperation, 8), VECTOR, FIELD_MAP, SEQUENCE, keywords=MASK),
    "QueryOperation, local": Case(
        of(dynamic.QueryOperation, 8, context_kind="convolution", static_kernel=False, stop_gradient=True),
        VECTOR,
        FIELD_MAP,
        SEQUENCE,
    ),
    "SequenceContext": Case(of(sequence.SequenceContext), SEQUENCE, VECTOR, keywords=MASK),
    "SequenceContext, local": Case(
        of(sequence.SequenceContext, "separable", 5, activation="tanh"), SEQUENCE, VECTOR, keywords=MASK
    ),
    "Dice": Case(of(sequence.Dice), VECTOR, SEQUENCE),
    "TargetAttention": Case(of(sequence.TargetAttention, (8, 4)), [VECTOR, SEQUENCE], [VECTOR, VECTOR], keywords=MASK),
    "TargetAttention, softmax, weights": Case(
        of(sequence.TargetAttention, (8,), "sigmoid", softmax=True, return_weights=True),
        [VECTOR, SEQUENCE],
        [VECTOR, EACH],
        keywords=MASK,
    ),
    "KalmanFilteringAttention": Case(
        of(sequence.KalmanFilteringAttention, num_heads=2, hidden_dim=8), [CONDITION, SEQUENCE], VECTOR, keywords=MASK
    ),
    "KalmanFilteringAttention, freq": Case(
        of(sequence.KalmanFilteringAttention, 3, 2, "freq", hidden_dim=8),
        [CONDITION, SEQUENCE, EACH],
        [SEQUENCE, VECTOR],
        keywords={**MASK, "key_ids": IDS},
    ),
    "KalmanFilteringAttention, plain": Case(
        of(sequence.KalmanFilteringAttention, use_prior=False, project=False), [VECTOR, SEQUENCE], VECTOR
    ),
    "SelfAttentionEncoder": Case(of(sequence.SelfAttentionEncoder), SEQUENCE, VECTOR, keywords=MASK),
    "SelfAttentionEncoder, sessions": Case(
        of(sequence.SelfAttentionEncoder, 3, key_dim=2, feed_forward_dim=0),
        SEQUENCE,
        VECTOR,
        keywords={**MASK, "sessions": IDS},
    ),
    "AttentionDecoder": Case(
        of(sequence.AttentionDecoder), [CONDITION, SEQUENCE], [SEQUENCE, CONDITION], keywords=MASK
    ),
    "AttentionDecoder, keys": Case(
        of(sequence.AttentionDecoder, 3, units=4), [CONDITION, SEQUENCE, EACH], [CONDITION, VECTOR], keywords=MASK
    ),
    "AttentionGRU": Case(of(sequence.AttentionGRU, 5), [SEQUENCE, WEIGHTS], [SEQUENCE, SEQUENCE], keywords=MASK),
    "AttentionGRU, AGRU": Case(of(sequence.AttentionGRU, kind="agru"), [SEQUENCE, WEIGHTS], [VECTOR, WEIGHTS]),
    "NextBehaviourLoss": Case(
        of(sequence.NextBehaviourLoss, 0.5, (8,)), [SEQUENCE, EACH], [SEQUENCE, VECTOR], keywords=MASK
    ),
    "NextBehaviourLoss, negatives": Case(
        of(sequence.NextBehaviourLoss, hidden_units=(8,)), [SEQUENCE, EACH, EACH[::-1].copy()], [VECTOR, EACH]
    ),
    "FieldSelection": Case(of(FieldSelection, [3, 0]), FIELD_MAP, VECTOR),
    "FieldSelection, columns": Case(of(FieldSelection, [1, 2], 2, 5), FIELD_MAP, VECTOR),
}
