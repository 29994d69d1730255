"""Batches for replicas that train in step: each row of a global batch is on one replica, and all have equally many
rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def check_divisible(batch_size: int, replicas: int) -> None:
    """Refuses a global batch that replicas cannot share evenly.

    Raises:
        ValueError: There is a remainder; the message has the next batch sizes without one.
    """
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        nearest = f"{below} or {below + replicas}" if below else f"{replicas}"
        raise ValueError(
            f"A global batch of {batch_size} rows cannot be shared evenly by {replicas} replicas; take {nearest}."
        )


def even_batches(batches: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Fills the smaller last batch of an epoch up with rows of weight 0, so that all batches have one static shape.

    The filling repeats rows of the batch, so that no other embedding row is touched. The weights of the real rows grow
    by `batch_size / rows`: the mean over the filled batch, which is the mean of the means of equal parts, is then the
    mean over the real rows.

    Args:
        batches: `(inputs, labels)` or `(inputs, labels, weights)`.
        batch_size: The rows of a batch.

    Returns:
        `(inputs, labels, weights)`, the weights float32 `(batch_size,)`.

    Example:

    >>> rows = tf.data.Dataset.from_tensor_slices(({"fields": [[4], [5], [6]]}, [1.0, 0.0, 1.0])).batch(2)
    >>> [(x["fields"][:, 0].numpy().tolist(), w.numpy().tolist()) for x, _, w in even_batches(rows, 2)]
    [([4, 5], [1.0, 1.0]), ([6, 6], [2.0, 0.0])]
    """

    def fill(inputs: Mapping[str, tf.Tensor], labels: tf.Tensor, weights: tf.Tensor | None = None) -> tuple[Any, ...]:
        rows = tf.shape(labels)[0]
        places = tf.range(batch_size) % rows

        def take(values: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.gather(values, places), [batch_size, *values.shape[1:]])

        given = tf.ones_like(labels) if weights is None else weights
        factor = tf.cast(batch_size, given.dtype) / tf.cast(rows, given.dtype)
        own = tf.where(tf.range(batch_size) < rows, take(given) * factor, tf.zeros([], given.dtype))
        return {name: take(values) for name, values in inputs.items()}, take(labels), own

    return batches.map(fill)


def replica_batches(
    strategy: tf.distribute.Strategy, batches: tf.data.Dataset, batch_size: int
) -> tf.distribute.DistributedDataset:
    """Shares every global batch out to the replicas of a strategy, in the order of the rows.

    Each process reads all batches and keeps the parts of its own replicas, so that the workers together read
    each row once, for any number of files. `fit` takes the result as it is.

    Args:
        strategy: A strategy whose replicas train in step.
        batches: Global batches, as `EncodedDataset.batches` gives them; the same on each worker.
        batch_size: The rows of a global batch.

    Raises:
        ValueError: A batch size that the number of replicas does not divide.
    """
    replicas = strategy.num_replicas_in_sync
    check_divisible(batch_size, replicas)
    even = even_batches(batches, batch_size)

    def of_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own = replicas // context.num_input_pipelines
        return replica_parts(
            even, replicas, range(context.input_pipeline_id * own, (context.input_pipeline_id + 1) * own)
        )

    return strategy.distribute_datasets_from_function(of_process)


def replica_parts(batches: tf.data.Dataset, replicas: int, own: range) -> tf.data.Dataset:
    """The parts of some replicas of every batch, one after the other; batches must have static, divisible sizes."""

    def parts(*batch: Any) -> tf.data.Dataset:
        def cut(values: tf.Tensor) -> tf.Tensor:
            # (batch, ...) -> (own replicas, batch / replicas, ...)
            return tf.reshape(values, [replicas, values.shape[0] // replicas, *values.shape[1:]])[own.start : own.stop]

        return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(cut, batch))

    options = tf.data.Options()
    options.deterministic = True
    return batches.flat_map(parts).with_options(options).prefetch(2)
