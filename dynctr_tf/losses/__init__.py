"""Penalties that push vectors towards right angles, as functions and as a regularizer of any kernel."""

from dynctr_tf.losses.frobenius_distance import frobenius_distance
from dynctr_tf.losses.kernel_orthogonality import KernelOrthogonality
from dynctr_tf.losses.orthogonality import ORTHOGONAL_KINDS, orthogonality
from dynctr_tf.losses.sum_of_cosines import sum_of_cosines

__all__ = [
    "KernelOrthogonality",
    "ORTHOGONAL_KINDS",
    "frobenius_distance",
    "orthogonality",
    "sum_of_cosines",
]
