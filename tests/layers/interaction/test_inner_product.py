"""Inner products."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from equations import Drawn, close, pairs_of

from dynctr_tf import layers

floats = Drawn(11).floats


def test_inner_product_and_its_gradient_are_those_of_loops() -> None:
    x, upstream = floats(2, 5, 3), floats(2, 10)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        output = layers.InnerProduct()(variable)
    gradient = np.zeros_like(x)
    for p, (i, j) in enumerate(pairs_of(5)):
        close(output[:, p], (x[:, i] * x[:, j]).sum(axis=1))
        gradient[:, i] += upstream[:, p : p + 1] * x[:, j]
        gradient[:, j] += upstream[:, p : p + 1] * x[:, i]
    close(tape.gradient(output, variable, tf.constant(upstream)), gradient)


def test_inner_products_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert layers.InnerProduct()(x).numpy().tolist() == [[11.0, 17.0, 39.0]]
