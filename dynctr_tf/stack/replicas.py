"""Gradients and updates over the replicas of a strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dynctr_tf.stack.versions import KERAS_3


def once_for_all_replicas(update: Callable[[], Any]) -> Any:
    """Runs an update of variables once for all replicas, from inside a replica.

    Keras 2 creates its counters and learning rates without an aggregation, so that a replica cannot assign
    them on its own.
    """
    return tf.__internal__.distribute.interim.maybe_merge_call(lambda strategy: update(), tf.distribute.get_strategy())


def sum_over_replicas(pairs: Any) -> list[tuple[Any, Any]]:
    """Returns pairs of gradient and variable with the gradients summed over the replicas; gradients may be `None`.

    On one replica there is nothing to sum. On several it does what `ReplicaContext.all_reduce` does for sparse
    gradients. For dense gradients that method registers a gradient of its own, which keeps the graph of the step, and
    with it the model's tables, until the process ends.
    """
    pairs = list(pairs)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return pairs
    given = [gradient for gradient, _ in pairs if gradient is not None]
    dense_alone = not any(isinstance(gradient, tf.IndexedSlices) for gradient in given)
    if dense_alone and not isinstance(context.strategy, tf.distribute.TPUStrategy):
        given.append(tf.IndexedSlices(tf.zeros((1, 1)), tf.zeros((1,), tf.int32), tf.constant([1, 1])))
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
    return [(None if gradient is None else next(summed), variable) for gradient, variable in pairs]


class ReplicaSum:
    """Base of optimizers, before Keras' own: sums gradients over replicas by `sum_over_replicas`."""

    if KERAS_3:

        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
            return sum_over_replicas(grads_and_vars)

    else:

        def aggregate_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
            """Sums gradients over the replicas: what Keras 2 calls."""
            return sum_over_replicas(grads_and_vars)
