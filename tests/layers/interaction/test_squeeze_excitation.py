"""SENET."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


def test_squeeze_excitation_is_its_equations() -> None:
    x = floats(3, 6, 4)
    layer = layers.SqueezeExcitation(3, activation="sigmoid")
    weights = with_random_weights(layer, x)
    assert weights["squeeze"].shape == (6, 2)
    for n in range(3):
        q = np.array([x[n, f].mean() for f in range(6)])
        a = 1 / (1 + np.exp(-(np.maximum(q @ weights["squeeze"], 0) @ weights["excite"])))
        for f in range(6):
            close(layer(tf.constant(x))[n, f], a[f] * x[n, f])


def test_squeeze_excitation_by_hand() -> None:
    layer = layers.SqueezeExcitation(2, kernel_initializer="ones")
    # Means 2 and 3, middle 5, weights 5 and 5.
    assert layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist() == [[[5.0, 15.0], [10.0, 20.0]]]
