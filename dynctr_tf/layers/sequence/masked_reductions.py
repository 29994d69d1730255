"""Means and softmax weights over the positions that are not padding."""

from __future__ import annotations

import tensorflow as tf

from dynctr_tf import stack


def masked_mean(values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Averages over axis 1; where the mask leaves nothing, the mean is 0.

    Args:
        values: float `(batch, t, n)`.
        mask: bool `(batch, t)`, or `None` where every position counts.

    Example:

    >>> import tensorflow as tf
    >>> masked_mean(tf.constant([[[1.0], [3.0], [50.0]]]), tf.constant([[True, True, False]])).numpy().tolist()
    [[2.0]]
    """
    if mask is None:
        return tf.reduce_mean(values, axis=1)
    present = tf.cast(mask, values.dtype)[:, :, tf.newaxis]
    # Selected, not multiplied by 0, which would keep a NaN.
    kept = tf.where(present > 0, values, tf.zeros_like(values))
    return tf.math.divide_no_nan(tf.reduce_sum(kept, axis=1), tf.reduce_sum(present, axis=1))


def masked_softmax(logits: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Takes the softmax over the last axis in float32; where the mask leaves nothing, the weights are all 0.

    Args:
        logits: float `(..., t)`.
        mask: bool, broadcast against the logits, or `None`.

    Example:

    >>> import tensorflow as tf
    >>> masked_softmax(tf.constant([[0.0, 0.0, 9.0]]), tf.constant([[True, True, False]])).numpy().tolist()
    [[0.5, 0.5, 0.0]]
    """
    logits = stack.widened(logits)
    if mask is None:
        return tf.nn.softmax(logits, axis=-1)
    mask = tf.broadcast_to(mask, tf.shape(logits))
    weights = tf.nn.softmax(
        tf.where(mask, logits, tf.fill(tf.shape(logits), tf.constant(-1e30, logits.dtype))), axis=-1
    )
    return tf.where(mask, weights, tf.zeros_like(weights))


def presence(sequence: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Returns the mask of a sequence, all `True` where none was given.

    Args:
        sequence: `(batch, t, n)`.
        mask: bool `(batch, t)`, or `None`.
    """
    return tf.ones(tf.shape(sequence)[:2], tf.bool) if mask is None else mask
