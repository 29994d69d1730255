"""Keras' Adam, right with ids that repeat."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.optimizers.sparse_optimizer import sum_repeated_ids


@stack.serializable
class Adam(stack.ReplicaSum, keras.optimizers.Adam):  # type: ignore[misc]
    """`keras.optimizers.Adam` that gives the dense result also where a sparse gradient names a row twice.

    Use it where you want Adam itself: the moments of all rows decay, and all rows move in each step. `LazyAdam` costs
    what the touched rows cost. Keras 3 squares the slices of a row before it sums them. In one replica the embedding
    layer's gradient has each row once; two replicas that met the same id bring it back twice. Keras 2 sums first by
    itself.

    Args:
        learning_rate: A float or a `LearningRateSchedule`. Default 0.001.
        **kwargs: As `keras.optimizers.Adam`.

    Cost: that of `keras.optimizers.Adam`, which reads and writes the whole table and its two slots each step.

    Example:

    >>> table = tf.Variable([[1.0], [1.0]])
    >>> slices = tf.IndexedSlices(tf.constant([[3.0], [-1.0]]), tf.constant([1, 1]), tf.constant([2, 1]))
    >>> optimizer = Adam(0.1, epsilon=1.0)
    >>> _ = optimizer.apply_gradients([(slices, table)])
    >>> [round(float(x), 4) for x in table.numpy()[:, 0]]
    [1.0, 0.9941]

    Reference: Kingma and Ba, arXiv 1412.6980.
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)

    def update_step(self, gradient: Any, variable: Any, *learning_rate: Any) -> None:
        """Updates one variable: what Keras calls."""
        if isinstance(gradient, tf.IndexedSlices):
            gradient = sum_repeated_ids(gradient)
        super().update_step(gradient, variable, *learning_rate)
