"""The operations never hold a kernel per instance where the order of products spares it."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import dynamic

BATCH, WIDTH, UNITS, CONTEXT, POSITIONS = 101, 60, 50, 12, 7


def largest_tensor_per_row(layer: Any, tensors: list[tf.Tensor]) -> float:
    """Numbers per row of the largest tensor that forward and backward make, from the traced graph."""
    layer(*(tensor[:2] for tensor in tensors))

    @tf.function
    def step(*given: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_sum(tf.square(layer(*given)))
        return tape.gradient(loss, [*given, *(stack.raw_variable(weight) for weight in layer.trainable_weights)])

    shapes = [
        output.shape
        for operation in step.get_concrete_function(*tensors).graph.get_operations()
        for output in operation.outputs
        if output.dtype.is_floating
    ]
    assert all(shape.is_fully_defined() for shape in shapes)
    return max(shape.num_elements() for shape in shapes) / BATCH


X, Z = tf.ones((BATCH, WIDTH)), tf.ones((BATCH, CONTEXT))
MAP, SEQUENCE = tf.ones((BATCH, POSITIONS, WIDTH)), tf.ones((BATCH, POSITIONS, CONTEXT))
CASES: dict[str, tuple[Any, list[tf.Tensor], int]] = {
    # Beside each: numbers per row that the class says it holds.
    "HyperDense": (lambda: dynamic.HyperDense(UNITS), [X, Z], (CONTEXT + 1) * UNITS),
    "MixtureOfKernels": (lambda: dynamic.MixtureOfKernels(UNITS), [X, Z], 4 * UNITS),
    "MixtureOfKernels, static kernel": (
        lambda: dynamic.MixtureOfKernels(UNITS, static_kernel=True),
        [X, Z],
        5 * UNITS,
    ),
    "MixtureOfKernels, heads": (lambda: dynamic.MixtureOfKernels(UNITS, num_heads=2), [X, Z], 4 * UNITS),
    "MixtureOfKernels, shared heads": (
        lambda: dynamic.MixtureOfKernels(UNITS, num_heads=2, head_kind="shared"),
        [X, Z],
        4 * UNITS,
    ),
    "DecomposedDense": (lambda: dynamic.DecomposedDense(UNITS, rank=16, static_kernel=True), [X, Z], 4 * 16),
    "AdaptiveDense": (lambda: dynamic.AdaptiveDense(UNITS, 8), [X, Z], 8 * 8),
    "QueryOperation": (lambda: dynamic.QueryOperation(UNITS), [X, SEQUENCE], 5 * UNITS),
    "DynamicConvolution, outputs mixed": (
        lambda: dynamic.DynamicConvolution(30, mixed="outputs"),
        [SEQUENCE],
        POSITIONS * 5 * CONTEXT,
    ),
    **{
        f"FieldOperation, {aggregator}": (
            lambda aggregator=aggregator: dynamic.FieldOperation(UNITS, aggregator),
            [MAP],
            POSITIONS * 4 * UNITS,
        )
        for aggregator in ("summation", "self", "attention", "concatenate")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_no_kernel_is_made_per_instance(name: str) -> None:
    make, tensors, stated = CASES[name]
    # The inputs and the outputs are there in any case.
    least = max(int(tensor.shape.num_elements()) // BATCH for tensor in tensors)
    assert largest_tensor_per_row(make(), tensors) <= max(stated, least)
    assert stated < WIDTH * UNITS


@pytest.mark.parametrize("form", ["full", "depthwise"])
def test_a_convolution_that_mixes_kernels_holds_one_per_instance_and_says_so(form: str) -> None:
    layer = dynamic.DynamicConvolution(kind=form)
    width, count = CONTEXT, CONTEXT if form == "full" else 1
    held = largest_tensor_per_row(layer, [SEQUENCE])
    # One tap at a time; and the sequence, padded.
    assert held == max(width * count, (POSITIONS + 2) * width)
