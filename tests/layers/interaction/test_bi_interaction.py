"""Bi-interaction pooling."""

from __future__ import annotations

import tensorflow as tf
from equations import Drawn, close, pairs_of

from dynctr_tf import layers

floats = Drawn(11).floats


def test_bi_interaction_is_the_sum_over_pairs() -> None:
    x = floats(3, 5, 4)
    output = layers.BiInteraction()(tf.constant(x)).numpy()
    close(output, sum(x[:, i] * x[:, j] for i, j in pairs_of(5)))
    close(output.sum(axis=1, keepdims=True), layers.FactorizationMachine()(tf.constant(x)))


def test_sums_over_pairs_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    # 1 * 3 + 1 * 5 + 3 * 5 and 2 * 4 + 2 * 6 + 4 * 6
    assert layers.BiInteraction()(x).numpy().tolist() == [[23.0, 44.0]]
    assert layers.FactorizationMachine()(x).numpy().tolist() == [[67.0]]
