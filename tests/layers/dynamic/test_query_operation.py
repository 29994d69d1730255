"""DPN's heterogeneous operation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers.dynamic import MixtureOfKernels, QueryOperation

DRAWN = Drawn(9)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 3)
Q = DRAWN.floats(4, 6)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


def test_query_operation_pools_then_generates() -> None:
    layer = QueryOperation(4)
    layer(Q, X, mask=MASK)
    randomise(layer)
    plain = MixtureOfKernels(4, static_kernel=True)
    mean = np.stack([X[b, : LENGTHS[b]].mean(axis=0) if LENGTHS[b] else np.zeros(3) for b in range(4)])
    plain(Q, mean.astype(np.float32))
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(Q, X, mask=MASK), plain(Q, mean.astype(np.float32)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("context", ["none", "convolution"])
def test_stopped_behaviours_get_no_gradient_but_the_generator_learns(context: str) -> None:
    layer, x = QueryOperation(4, context_kind=context, stop_gradient=True), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(tf.square(layer(tf.constant(Q), x)))
    to_x, *to_weights = tape.gradient(total, [x, *layer.trainable_weights])
    assert to_x is None or not np.abs(to_x).max()
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in to_weights)
