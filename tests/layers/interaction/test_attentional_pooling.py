"""AFM's pooling."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close, pairs_of, set_weights, softmax

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


# The second sizes are those that are computed unit by unit.
@pytest.mark.parametrize(("fields", "dim", "units"), [(5, 4, 6), (24, 6, 3)])
def test_attentional_pooling_is_its_equations(fields: int, dim: int, units: int) -> None:
    x = floats(3, fields, dim)
    layer = layers.AttentionalPooling(units)
    weights = with_random_weights(layer, x)
    for n in range(3):
        products = [x[n, i] * x[n, j] for i, j in pairs_of(fields)]
        scores = [np.maximum(p @ weights["kernel"] + weights["bias"], 0) @ weights["score"][:, 0] for p in products]
        expected = sum(a * p for a, p in zip(softmax(np.array(scores)), products, strict=True))
        close(layer(tf.constant(x))[n], expected)


def test_attentional_pooling_by_hand() -> None:
    layer = layers.AttentionalPooling(1)
    x = tf.constant([[[1.0], [2.0], [3.0]]])
    layer(x)
    set_weights(layer, [[1.0]], [-3.0], [[np.log(2.0)]])
    # Products 2, 3, 6; hidden 0, 0, 3; weights 1 : 1 : 8; (2 + 3 + 48) / 10
    close(layer(x), [[5.3]])
