"""The residual unit of Deep Crossing."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


def test_residual_unit_is_its_equation() -> None:
    x = floats(3, 4)
    layer = layers.ResidualUnit(6)
    weights = with_random_weights(layer, x)
    hidden = np.maximum(x @ weights["kernel_1"] + weights["bias_1"], 0)
    close(layer(tf.constant(x)), np.maximum(x + hidden @ weights["kernel_2"] + weights["bias_2"], 0))


def test_residual_unit_by_hand() -> None:
    layer = layers.ResidualUnit(1, kernel_initializer="ones")
    # The middle is 6: each entry gets it added.
    assert layer(tf.constant([[1.0, 2.0, 3.0]])).numpy().tolist() == [[7.0, 8.0, 9.0]]
