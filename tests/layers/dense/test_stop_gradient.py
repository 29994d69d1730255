"""A layer that lets nothing learn before it."""

from __future__ import annotations

import tensorflow as tf

from dynctr_tf.layers import StopGradient


def test_it_passes_values_on_and_no_gradient() -> None:
    x = tf.Variable([[1.0, -2.0]])
    with tf.GradientTape(persistent=True) as tape:
        passed = StopGradient()(tf.convert_to_tensor(x))
        both = tf.reduce_sum(passed * x)
    assert passed.numpy().tolist() == [[1.0, -2.0]]
    assert tape.gradient(passed, x) is None
    assert tape.gradient(both, x).numpy().tolist() == [[1.0, -2.0]]  # of the factor that was not stopped
