"""The mixture of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, sigmoid, softmax
from tensorflow import keras

from dynctr_tf.layers.dense import MLP
from dynctr_tf.layers.dynamic import DecomposedDense, HyperDense, KernelBank, MixtureOfKernels
from dynctr_tf.stack import raw_variable

DRAWN = Drawn(7)
randomise = DRAWN.randomise
X, Z = DRAWN.floats(3, 6), DRAWN.floats(3, 4)


@pytest.mark.parametrize("units", [2, 8])
@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("static_kernel", [False, True])
def test_mixture_of_kernels_is_the_materialised_kernel_of_equation_5(
    units: int, gate: str, static_kernel: bool
) -> None:
    layer = MixtureOfKernels(units, 3, gate_activation=gate, static_kernel=static_kernel)
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
    layer = MixtureOfKernels(4, 3, num_heads=2, head_kind=heads)
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


def test_a_constant_condition_gives_a_static_layer() -> None:
    layer = MixtureOfKernels(5)
    z = np.tile(Z[:1], (3, 1))
    layer(X, z)
    w = randomise(layer)
    g = softmax(w["kernel_1"].T @ Z[0] + w["bias_1"])
    kernel, bias = np.einsum("e,emc->mc", g, w["kernels"][0]), g @ w["biases"]
    np.testing.assert_allclose(layer(X, z), X @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("make", [HyperDense, MixtureOfKernels, DecomposedDense], ids=lambda v: v.__name__)
def test_a_dense_layer_becomes_dynamic_by_one_line(make: Any) -> None:
    """It learns `x` for some rows and `-x` for the others, as the condition says, which one kernel cannot."""
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 1)).astype(np.float32)
    z = random.choice([-1.0, 1.0], size=(64, 1)).astype(np.float32)

    def error_of(layer: Any, *call: np.ndarray) -> float:
        arguments = [tf.constant(array) for array in call]
        layer(*arguments)
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build(layer.trainable_variables)

        @tf.function
        def step() -> tf.Tensor:
            with tf.GradientTape() as tape:
                error = tf.reduce_mean(tf.square(layer(*arguments) - x * z))
            gradients = tape.gradient(error, [raw_variable(weight) for weight in layer.trainable_variables])
            optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
            return error

        return min(float(step()) for _ in range(150))

    assert error_of(MLP((1,), activation=None), x) > 0.5
    assert error_of(make(1), x, z) < 0.05
