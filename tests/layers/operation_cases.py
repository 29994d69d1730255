"""The cases by which DPN's operations are checked against the contract of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from layer_contract import Case

from dynctr_tf.layers import dynamic

RANDOM = np.random.default_rng(6)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


VECTOR, CONDITION, FIELD_MAP, EACH = floats(5, 6), floats(5, 7), floats(5, 4, 6), floats(5, 4, 7)


def of(layer: Any, *args: Any, **options: Any) -> Any:
    return lambda **more: layer(*args, **options, **more)


CASES: dict[str, Case] = {
    "KernelBank": Case(of(dynamic.KernelBank, 8), VECTOR, FIELD_MAP[:, :, :, None], CONDITION),
    "KernelBank, other options": Case(
        of(dynamic.KernelBank, 4, static_kernel=True, static_bias=True, num_heads=2, heads="shared"),
        FIELD_MAP,
        VECTOR[0],
        EACH,
    ),
    "HyperDense": Case(of(dynamic.HyperDense, 8), VECTOR, VECTOR[0], CONDITION),
    "HyperDense, second order alone": Case(
        of(dynamic.HyperDense, 3, weight_bias=False, dynamic_bias=False, use_bias=False, kernel_regularizer="l2"),
        FIELD_MAP,
        VECTOR[0],
    ),
    "MixtureOfKernels": Case(of(dynamic.MixtureOfKernels, 8), VECTOR, VECTOR[0], CONDITION),
    "MixtureOfKernels, per position": Case(
        of(dynamic.MixtureOfKernels, 3, 2, gate="sigmoid", static_kernel=True), FIELD_MAP, VECTOR[0], EACH
    ),
    "MixtureOfKernels, heads, itself": Case(
        of(dynamic.MixtureOfKernels, 4, num_heads=2, bias="static", gate_initializer="normal"), VECTOR, VECTOR[0]
    ),
    "DecomposedDense": Case(of(dynamic.DecomposedDense, 8, rank=3), VECTOR, FIELD_MAP, CONDITION),
    "DecomposedDense, one layer, static kernel": Case(
        of(dynamic.DecomposedDense, 8, rank=3, num_kernels=None, static_kernel=True), VECTOR, FIELD_MAP
    ),
}
