"""The orthogonal penalty of a batch of sets of vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import tensorflow as tf

from dynctr_tf.losses.frobenius_distance import frobenius_distance
from dynctr_tf.losses.sum_of_cosines import sum_of_cosines
from dynctr_tf.nearest import unknown_name_message

_PENALTIES: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = MappingProxyType(
    {"cosine": sum_of_cosines, "frobenius": frobenius_distance}
)
ORTHOGONAL_KINDS = tuple(_PENALTIES)
"""The kinds of penalty: `"cosine"`, `"frobenius"`."""


def orthogonality(vectors: tf.Tensor, kind: str = "cosine") -> tf.Tensor:
    """Measures how far vectors are from right angles, averaged over the sets.

    Use it as a penalty on what a layer generates or encodes for each row, as OptMSM and equation 12 of DynInt do, or to
    follow in training how entangled it is.

    Args:
        vectors: float `(..., count, size)`: one vector in each row of a set.
        kind: `"cosine"`, `sum_of_cosines`, or `"frobenius"`, `frobenius_distance`. Default `"cosine"`.

    Returns:
        The mean over all sets, a scalar.

    Raises:
        ValueError: An unknown kind, or fewer than two axes.

    Cost: `count ** 2 * size` multiply-adds per set.

    Example:

    >>> import tensorflow as tf
    >>> vectors = tf.constant([[[1.0, 0.0], [3.0, 4.0]]])
    >>> [round(float(orthogonality(vectors, kind)), 4) for kind in ("cosine", "frobenius")]
    [0.6, 0.72]

    Reference:
        OptMSM, arXiv 2306.13382; Yan and Li, DynInt, arXiv 2301.08139, equation 12.
    """
    check_orthogonal_kind(kind)
    if len(vectors.shape) < 2:
        raise ValueError(f"orthogonality takes vectors of shape (..., count, size), got {tuple(vectors.shape)}.")
    return tf.reduce_mean(_PENALTIES[kind](vectors))


def check_orthogonal_kind(kind: str) -> None:
    """Refuses a kind of penalty that does not exist.

    Args:
        kind: Its name.

    Raises:
        ValueError: It is unknown; the message names the nearest.
    """
    if kind not in _PENALTIES:
        raise ValueError(unknown_name_message("kind of orthogonal penalty", str(kind), _PENALTIES))
