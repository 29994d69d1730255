"""The decomposed kernel."""

from __future__ import annotations

import numpy as np
import pytest
from equations import Drawn, softmax

from dynctr_tf.layers.dynamic import DecomposedDense

DRAWN = Drawn(7)
randomise = DRAWN.randomise
X, Z = DRAWN.floats(3, 6), DRAWN.floats(3, 4)


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
