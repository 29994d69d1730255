"""What the bilinear layers share: a matrix between the two fields of a pair, and the products it gives."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.interaction.field_map import later_fields, number_of_pairs

BILINEAR_KINDS = ("all", "each", "interaction")


def number_of_matrices(kind: str, num_fields: int) -> int:
    """Returns how many matrices a kind has: one, one for each left field, or one for each pair."""
    return {"all": 1, "each": num_fields - 1, "interaction": number_of_pairs(num_fields)}[kind]


def initial_matrices(initializer: Any, dim: int, count: int) -> tf.Tensor:
    """Draws `(dim, count * dim)`: square matrices side by side, each with the fans of its own."""
    return tf.concat([distinct_initializer(initializer, index)((dim, dim)) for index in range(count)], axis=1)


def add_matrices(layer: Any, kind: str, num_fields: int, dim: int, name: str = "kernel") -> Any:
    """Makes the weight `(dim, number_of_matrices * dim)` of a layer with a kernel initializer and a regularizer.

    Args:
        layer: The layer.
        kind: `"all"`, `"each"` or `"interaction"`.
        num_fields: Number of fields.
        dim: Size of an embedding.
        name: The weight's name.
    """
    count = number_of_matrices(kind, num_fields)
    return layer.add_weight(
        name=name,
        shape=(dim, count * dim),
        initializer=lambda shape, dtype=None, **_: initial_matrices(layer.kernel_initializer, dim, count),
        regularizer=layer.kernel_regularizer,
        trainable=True,
    )


def matrices_of_left_fields(kernel: tf.Tensor, kind: str, num_fields: int, dim: int) -> list[tf.Tensor]:
    """Returns for each left field i the matrices of its pairs side by side, `(dim, (fields - 1 - i) * dim)`.

    Args:
        kernel: All matrices of the kind side by side, `(dim, number_of_matrices * dim)`.
        kind: `"all"`, `"each"` or `"interaction"`.
        num_fields: Number of fields.
        dim: Size of an embedding.
    """
    counts = range(num_fields - 1, 0, -1)
    if kind == "interaction":
        return list(tf.split(kernel, [count * dim for count in counts], axis=1))
    single = [kernel] * (num_fields - 1) if kind == "all" else tf.split(kernel, num_fields - 1, axis=1)
    return [tf.tile(matrix, [1, count]) for matrix, count in zip(single, counts, strict=True)]


def bilinear_blocks(field_map: tf.Tensor, matrices: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns `(x_i W_ij) * x_j` for all j > i, one tensor `(batch, (fields - 1 - i) * dim)` per i.

    Args:
        field_map: `(batch, fields, dim)`.
        matrices: What `matrices_of_left_fields` gave, or its beginning for the first left fields alone.
    """
    _, fields, dim = field_map.shape
    flat = tf.reshape(field_map, [-1, fields * dim])
    # The matrices may end before the fields do.
    pairs = zip(matrices, later_fields(flat, fields, dim), strict=False)
    return [tf.matmul(x, matrix) * rest for matrix, (x, rest) in pairs]
