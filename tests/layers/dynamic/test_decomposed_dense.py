"""The decomposed kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynctr_tf.layers.dynamic import DecomposedDense

RANDOM = np.random.default_rng(7)
X, Z = RANDOM.normal(size=(3, 6)).astype(np.float32), RANDOM.normal(size=(3, 4)).astype(np.float32)


def randomise(layer: Any) -> dict[str, np.ndarray]:
    """Gives every weight, biases too, a random value; returns them by name."""
    layer.set_weights([RANDOM.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])
    return {weight.name.split("/")[-1].split(":")[0]: np.array(weight) for weight in layer.weights}


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


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
