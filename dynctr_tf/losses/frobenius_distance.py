"""The squared Frobenius distance of the cosines from the identity."""

from __future__ import annotations

import tensorflow as tf

from dynctr_tf import stack


def frobenius_distance(vectors: tf.Tensor) -> tf.Tensor:
    """Returns how far the matrix of all cosines is from the identity: 0 where the vectors stand at right angles.

    Use it in place of `sum_of_cosines` where the gradient should fade as vectors come near to right angles. A vector
    that is 0 adds 1: its own cosine is 0 in place of 1.

    `||G G^T - I||_F^2`, G with the vectors at length 1 as rows; each pair counts twice, with its squared cosine.

    Args:
        vectors: float `(..., count, size)`: sets of vectors, one vector in each row.

    Returns:
        One number for each set, `(...)`, float32 at least.

    Cost: `count ** 2 * size` multiply-adds per set.

    Example:

    >>> import tensorflow as tf
    >>> round(float(frobenius_distance(tf.constant([[1.0, 0.0], [3.0, 4.0]]))), 4)
    0.72

    Reference:
        OptMSM, arXiv 2306.13382: that there is such a constraint is in its abstract, the form is our reconstruction.
    """
    unit = tf.math.l2_normalize(stack.widened(vectors), axis=-1)
    gram = tf.matmul(unit, unit, transpose_b=True)
    distance = tf.square(gram - tf.eye(tf.shape(gram)[-1], dtype=gram.dtype))
    return tf.reduce_sum(distance, axis=[-2, -1])
