"""The sum that makes the logit."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import LogitSum


def test_logit_sum_adds_everything_and_the_bias() -> None:
    layer = LogitSum()
    parts = [tf.reshape(tf.range(12.0), (2, 3, 2)), tf.constant([[100.0], [200.0]])]
    layer(parts)
    layer.set_weights([np.array([0.5])])
    assert layer(parts).numpy().tolist() == [[15 + 100.5], [51 + 200.5]]


def test_logit_sum_is_exact_in_mixed_precision() -> None:
    layer = LogitSum(use_bias=False)
    total = layer(tf.ones((1, 1000), tf.bfloat16))
    assert total.dtype == tf.float32
    assert total.numpy().tolist() == [[1000.0]]  # a sum in bfloat16 stops at 256
