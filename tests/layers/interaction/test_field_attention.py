"""AutoInt's attention."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close, set_weights, softmax

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


@pytest.mark.parametrize(("residual", "scaled"), [(True, False), (False, True)])
def test_field_attention_is_its_equations(residual: bool, scaled: bool) -> None:
    x = floats(2, 4, 3)
    layer = layers.FieldAttention(2, 5, residual=residual, scaled=scaled)
    weights = with_random_weights(layer, x)
    expected = np.zeros((2, 4, 10))
    for n in range(2):
        for head in range(2):
            columns = slice(5 * head, 5 * head + 5)
            q, k, v = (x[n] @ weights[name][:, columns] for name in ("query", "key", "value"))
            for f in range(4):
                scores = np.array([q[f] @ k[g] for g in range(4)]) / (5**0.5 if scaled else 1)
                expected[n, f, columns] = sum(a * v[g] for g, a in enumerate(softmax(scores)))
        if residual:
            expected[n] += x[n] @ weights["residual_kernel"]
    close(layer(tf.constant(x)), np.maximum(expected, 0))


def test_field_attention_by_hand() -> None:
    layer = layers.FieldAttention(1, 1)
    layer(tf.ones((1, 2, 1)))
    set_weights(layer, [[1.0]], [[0.0]], [[2.0]], [[10.0]])
    # All scores are 0, so each field gets the mean of the values 2 and 6, and ten times itself.
    assert layer(tf.constant([[[1.0], [3.0]]])).numpy().tolist() == [[[14.0], [34.0]]]
