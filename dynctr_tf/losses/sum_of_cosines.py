"""The penalty of DynInt's equations 11 and 12."""

from __future__ import annotations

import tensorflow as tf

from dynctr_tf import stack


def sum_of_cosines(vectors: tf.Tensor) -> tf.Tensor:
    """Sums the absolute cosines of all pairs of vectors: 0 where they stand at right angles to each other.

    Use it on vectors that should point in different directions, such as the columns of a kernel or what a layer
    generates for a row. A vector that is 0 counts as orthogonal to all.

    `sum over i < j of |v_i^T v_j| / (||v_i|| * ||v_j||)`, from the Gram matrix of the normalised vectors.

    Args:
        vectors: float `(..., count, size)`: sets of vectors, one vector in each row.

    Returns:
        One sum for each set, `(...)`, float32 at least.

    Cost: `count ** 2 * size` multiply-adds per set.

    Example:

    >>> import tensorflow as tf
    >>> float(sum_of_cosines(tf.constant([[2.0, 0.0], [0.0, 1.0], [0.0, -3.0]])))
    1.0

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equations 11 and 12: 11 is this sum for the columns of U and of V, 12
        for the generated u_p and v_p of each row.
    """
    unit = tf.math.l2_normalize(stack.widened(vectors), axis=-1)
    gram = tf.abs(tf.matmul(unit, unit, transpose_b=True))  # (..., count, count)
    # Symmetric: what stands outside the diagonal counts each pair twice.
    outside = tf.linalg.set_diag(gram, tf.zeros(tf.shape(gram)[:-1], gram.dtype))
    return 0.5 * tf.reduce_sum(outside, axis=[-2, -1])
