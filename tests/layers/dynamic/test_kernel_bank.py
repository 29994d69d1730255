"""What the operations on features share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers.dynamic import DecomposedDense, HyperDense, KernelBank, MixtureOfKernels

DRAWN = Drawn(7)
randomise = DRAWN.randomise
X, Z = DRAWN.floats(3, 6), DRAWN.floats(3, 4)


@pytest.mark.parametrize(("units", "once"), [(5, True), (30, False)])  # below and above 5 positions x 4 kernels
@pytest.mark.parametrize("static_kernel", [False, True])
def test_positions_that_share_a_mixture(units: int, once: bool, static_kernel: bool) -> None:
    layer = KernelBank(units, static_kernel=static_kernel)
    x = DRAWN.floats(3, 5, 6)
    layer(x, Z)
    w = randomise(layer)
    kinds = {op.type for op in tf.function(layer).get_concrete_function(x, Z).graph.get_operations()}
    assert ("BatchMatMulV2" in kinds) == once  # a kernel of each row, or one product for all
    kernel = np.einsum("be,emc->bmc", Z, w["kernels"][0]) + (w["static_kernel"][0, 0] if static_kernel else 0.0)
    expected = np.einsum("btm,bmc->btc", x, kernel) + (Z @ w["biases"])[:, np.newaxis]
    np.testing.assert_allclose(layer(x, Z), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [HyperDense, MixtureOfKernels, DecomposedDense], ids=lambda v: v.__name__)
def test_condition_defaults_to_the_inputs_and_rows_do_not_mix(make: Any) -> None:
    layer = make(5)
    together = np.array(layer(X))
    np.testing.assert_array_equal(together, layer(X, X))
    for i in range(3):
        np.testing.assert_allclose(layer(X[i : i + 1]), together[i : i + 1], atol=1e-6)


@pytest.mark.parametrize("make", [HyperDense, MixtureOfKernels, DecomposedDense], ids=lambda v: v.__name__)
@pytest.mark.parametrize("stop", [False, True])
def test_gradient_of_the_condition_flows_unless_stopped(make: Any, stop: bool) -> None:
    layer, x, z = make(5, stop_gradient=stop), tf.constant(X), tf.constant(Z)
    with tf.GradientTape() as tape:
        tape.watch([x, z])
        total = tf.reduce_sum(tf.square(layer(x, z)))
    to_x, to_z = tape.gradient(total, [x, z])
    assert np.abs(to_x).max() > 0
    assert (to_z is None or not np.abs(to_z).max()) if stop else np.abs(to_z).max() > 0


def test_kernels_start_like_dense_layers_and_differ() -> None:
    layer = MixtureOfKernels(200, 4, kernel_initializer=tf.keras.initializers.GlorotUniform(seed=3))
    layer(np.ones((1, 100), np.float32))
    kernels = np.array(layer.bank.kernels)[0]
    for kernel in kernels:
        assert abs(np.abs(kernel).max() - np.sqrt(6 / 300)) < 1e-3
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelBank(0), "units"),
        (lambda: KernelBank(5, num_heads=2), "num_heads"),
        (lambda: KernelBank(6, num_heads=3, head_kind="block"), "block_diagonal"),
        (lambda: MixtureOfKernels(5, bias_kind="dynamical"), "'dynamic'"),
        (lambda: DecomposedDense(5, rank=0), "rank"),
        (lambda: KernelBank(4, num_heads=4)(X, Z), "divide"),
        (lambda: KernelBank(4)(X), "weights"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
