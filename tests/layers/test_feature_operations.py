"""DPN's feature-based operations against loops over their formulas, hand-computed numbers and their special cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers.dense import MLP
from dynctr_tf.layers.dynamic import DecomposedDense, HyperDense, KernelBank, MixtureOfKernels
from dynctr_tf.layers.interaction import CrossLayer

RANDOM = np.random.default_rng(7)
X, Z = RANDOM.normal(size=(3, 6)).astype(np.float32), RANDOM.normal(size=(3, 4)).astype(np.float32)


def randomise(layer: Any) -> dict[str, np.ndarray]:
    """Gives every weight, biases too, a random value; returns them by name."""
    layer.set_weights([RANDOM.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])
    return {weight.name.split("/")[-1].split(":")[0]: np.array(weight) for weight in layer.weights}


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


@pytest.mark.parametrize("units", [2, 9])  # either order of products
@pytest.mark.parametrize("weight_bias", [True, False])
@pytest.mark.parametrize("dynamic_bias", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_hyper_dense_is_equation_4(units: int, weight_bias: bool, dynamic_bias: bool, use_bias: bool) -> None:
    layer = HyperDense(units, weight_bias, dynamic_bias, use_bias)
    layer(X, Z)
    w = randomise(layer)
    expected = np.zeros((3, units))
    for i in range(3):
        for c in range(units):
            for b in range(6):
                for a in range(4):
                    expected[i, c] += Z[i, a] * w["kernels"][0, a, b, c] * X[i, b]
                if weight_bias:
                    expected[i, c] += w["static_kernel"][0, 0, b, c] * X[i, b]
            for a in range(4):
                if dynamic_bias:
                    expected[i, c] += w["biases"][a, c] * Z[i, a]
            if use_bias:
                expected[i, c] += w["static_bias"][c]
    np.testing.assert_allclose(layer(X, Z), expected, rtol=1e-4, atol=1e-5)


def test_hyper_dense_by_hand() -> None:
    layer = HyperDense(1)
    x, z = np.array([[2.0]], np.float32), np.array([[3.0]], np.float32)
    layer(x, z)
    # In the order of creation: kernels 5, static kernel 7, biases 11, static bias 13.
    values = zip(layer.weights, (5, 7, 11, 13), strict=True)
    layer.set_weights([np.full(weight.shape, value, np.float32) for weight, value in values])
    assert float(layer(x, z)[0, 0]) == 3 * 5 * 2 + 7 * 2 + 11 * 3 + 13


def test_cross_layer_is_a_hyper_dense() -> None:
    # In float64, so that what remains is no rounding.
    n, x = 6, X.astype(np.float64)
    cross = CrossLayer(rank=1, dtype="float64")
    x0 = RANDOM.normal(size=(3, n))
    cross([x, x0])
    w, bias = RANDOM.normal(size=n), RANDOM.normal(size=n)
    # DCN's first version, x_0 (w^T x) + b + x. DCN-V2's layer of rank 1 with U = w and V = 1 has b inside of
    # the product, so that b is added apart.
    cross.set_weights([w[:, None], np.ones((1, n)), np.zeros(n)])
    layer = HyperDense(n, dynamic_bias=False, dtype="float64")
    layer(x, x0)
    kernels = np.zeros((1, n, n, n))
    for a in range(n):
        kernels[0, a, :, a] = w
    layer.set_weights([kernels, np.eye(n)[None, None], bias])
    np.testing.assert_allclose(layer(x, x0), cross([x, x0]) + bias, atol=1e-12)
    np.testing.assert_allclose(layer(x, x0), x0 * (x @ w)[:, None] + bias + x, atol=1e-12)


def test_dense_on_both_is_a_hyper_dense_without_second_order() -> None:
    x, z = X.astype(np.float64), Z.astype(np.float64)
    layer = HyperDense(5, dtype="float64")
    layer(x, z)
    w = randomise(layer)
    layer.bank.kernels.assign(np.zeros_like(w["kernels"]))
    dense = tf.keras.layers.Dense(5, dtype="float64")
    both = np.concatenate([x, z], axis=1)
    dense(both)
    dense.set_weights([np.concatenate([w["static_kernel"][0, 0], w["biases"]]), w["static_bias"]])
    np.testing.assert_allclose(layer(x, z), dense(both), atol=1e-12)


@pytest.mark.parametrize("units", [2, 8])
@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("static_kernel", [False, True])
def test_mixture_of_kernels_is_the_materialised_kernel_of_equation_5(
    units: int, gate: str, static_kernel: bool
) -> None:
    layer = MixtureOfKernels(units, 3, gate=gate, static_kernel=static_kernel)
    layer(X, Z)
    w = randomise(layer)
    for i, y in enumerate(np.array(layer(X, Z))):
        g = {"softmax": softmax, "sigmoid": sigmoid}[gate](w["kernel_1"].T @ Z[i] + w["bias_1"])
        # The second layer of the generator, (l, m c + c), gives the kernel and the bias of the instance.
        second = np.concatenate([w["kernels"][0].reshape(3, -1), w["biases"]], axis=1)
        generated = second.T @ g
        if static_kernel:
            generated = generated + np.concatenate([w["static_kernel"].ravel(), w["static_bias"]])
        kernel, bias = generated[: 6 * units].reshape(6, units), generated[6 * units :]
        np.testing.assert_allclose(y, kernel.T @ X[i] + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads", ["block_diagonal", "shared"])
@pytest.mark.parametrize("rank", [2, 3])
def test_heads_are_a_block_diagonal_kernel(heads: str, rank: int) -> None:
    layer = MixtureOfKernels(4, 3, num_heads=2, heads=heads)
    x = X if rank == 2 else np.stack([X, -X[::-1]], axis=1)
    layer(x, Z)
    w = randomise(layer)
    for i in range(3):
        g = softmax(w["kernel_1"].T @ Z[i] + w["bias_1"])
        kernel = np.zeros((6, 4))
        for head in range(2):
            block = w["kernels"][head if heads == "block_diagonal" else 0]
            kernel[3 * head : 3 * head + 3, 2 * head : 2 * head + 2] = sum(g[e] * block[e] for e in range(3))
        np.testing.assert_allclose(np.array(layer(x, Z))[i], x[i] @ kernel + g @ w["biases"], rtol=1e-4, atol=1e-5)


def test_mixture_by_hand() -> None:
    layer = KernelBank(1)
    x, g = np.array([[2.0, 1.0]], np.float32), np.array([[0.25, 0.75]], np.float32)
    layer(x, g)
    layer.set_weights([np.array([[[[4.0], [8.0]], [[0.0], [4.0]]]], np.float32), np.array([[1.0], [-1.0]], np.float32)])
    # 0.25 * (4 * 2 + 8 * 1 + 1) + 0.75 * (0 * 2 + 4 * 1 - 1)
    assert float(layer(x, g)[0, 0]) == 0.25 * 17 + 0.75 * 3


def test_a_gate_of_one_kernel_chooses_its_dense_layer() -> None:
    layer = KernelBank(5)
    chosen = np.tile(np.array([0, 0, 1, 0], np.float32), (3, 1))
    layer(X, chosen)
    w = randomise(layer)
    np.testing.assert_allclose(layer(X, chosen), X @ w["kernels"][0, 2] + w["biases"][2], atol=1e-5)


@pytest.mark.parametrize(("units", "once"), [(5, True), (30, False)])  # below and above 5 positions x 4 kernels
@pytest.mark.parametrize("static_kernel", [False, True])
def test_positions_that_share_a_mixture(units: int, once: bool, static_kernel: bool) -> None:
    layer = KernelBank(units, static_kernel=static_kernel)
    x = RANDOM.normal(size=(3, 5, 6)).astype(np.float32)
    layer(x, Z)
    w = randomise(layer)
    kinds = {op.type for op in tf.function(layer).get_concrete_function(x, Z).graph.get_operations()}
    assert ("BatchMatMulV2" in kinds) == once  # a kernel of each row, or one product for all
    kernel = np.einsum("be,emc->bmc", Z, w["kernels"][0]) + (w["static_kernel"][0, 0] if static_kernel else 0.0)
    expected = np.einsum("btm,bmc->btc", x, kernel) + (Z @ w["biases"])[:, np.newaxis]
    np.testing.assert_allclose(layer(x, Z), expected, rtol=1e-4, atol=1e-4)


def test_a_constant_condition_gives_a_static_layer() -> None:
    layer = MixtureOfKernels(5)
    z = np.tile(Z[:1], (3, 1))
    layer(X, z)
    w = randomise(layer)
    g = softmax(w["kernel_1"].T @ Z[0] + w["bias_1"])
    kernel, bias = np.einsum("e,emc->mc", g, w["kernels"][0]), g @ w["biases"]
    np.testing.assert_allclose(layer(X, z), X @ kernel + bias, atol=1e-5)


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


@pytest.mark.parametrize("static_kernel", [False, True])
@pytest.mark.parametrize("num_kernels", [3, None])
def test_decomposed_dense_is_p_phi_q(static_kernel: bool, num_kernels: int | None) -> None:
    layer = DecomposedDense(5, rank=2, num_kernels=num_kernels, static_kernel=static_kernel)
    layer(X, Z)
    w = randomise(layer)
    # Two weights are called static_kernel: W_0 of the layer, and the generator's bias inside the core.
    matrices = {name: np.array(matrix) for name, matrix in layer.matrices.items()}
    for i, y in enumerate(np.array(layer(X, Z))):
        if num_kernels:
            g = softmax(w["kernel_1"].T @ Z[i] + w["bias_1"])
            core, bias = np.einsum("e,ers->rs", g, w["kernels"][0]), g @ w["bias"]
        else:
            core = np.einsum("a,ars->rs", Z[i], w["kernels"][0]) + np.array(layer.core.unmixed_kernel)[0, 0]
            bias = w["bias"]
        kernel = matrices["down"] @ core @ matrices["up"]
        if static_kernel:
            kernel = kernel + matrices["static_kernel"]
        np.testing.assert_allclose(y, kernel.T @ X[i] + bias, rtol=1e-3, atol=1e-4)


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
        (lambda: KernelBank(6, num_heads=3, heads="block"), "block_diagonal"),
        (lambda: MixtureOfKernels(5, bias="dynamical"), "'dynamic'"),
        (lambda: DecomposedDense(5, rank=0), "rank"),
        (lambda: KernelBank(4, num_heads=4)(X, Z), "divide"),
        (lambda: KernelBank(4)(X), "condition"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_mlp_becomes_dynamic_by_one_line() -> None:
    assert MLP((5,))(X).shape == MixtureOfKernels(5)(X, Z).shape == HyperDense(5)(X, Z).shape
