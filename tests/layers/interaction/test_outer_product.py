"""Outer products."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from equations import Drawn, close, pairs_of, set_weights

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


def test_outer_products_are_their_equations() -> None:
    x = floats(2, 4, 3)
    total = x.sum(axis=1)
    flat = layers.OuterProduct()(tf.constant(x)).numpy()
    for n, a, b in np.ndindex(2, 3, 3):
        close(flat[n, 3 * a + b], total[n, a] * total[n, b])
    layer = layers.OuterProduct("kernel")
    kernel = with_random_weights(layer, x)["kernel"]
    for p, (i, j) in enumerate(pairs_of(4)):
        matrix = kernel[:, 3 * p : 3 * p + 3]
        expected = [sum(r[i, a] * matrix[a, b] * r[j, b] for a in range(3) for b in range(3)) for r in x]
        close(layer(tf.constant(x))[:, p], expected)


def test_outer_product_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    assert layers.OuterProduct()(x).numpy().tolist() == [[16.0, 24.0, 24.0, 36.0]]
    layer = layers.OuterProduct("kernel")
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]])  # 1*3 + 10*1*4 + 100*2*3 + 1000*2*4
    assert layer(x).numpy().tolist() == [[8643.0]]
