"""What several interaction layers do with a field map: check its shape, split it into pairs of fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def field_map_sizes(layer_name: str, shape: Any, least_fields: int = 1) -> tuple[int, int]:
    """Returns the numbers of fields and of dimensions of a field map.

    Args:
        layer_name: The name of the layer, for the error.
        shape: The shape that a layer is built for.
        least_fields: How many fields there must be. Default 1.

    Raises:
        ValueError: Another rank, unknown sizes or too few fields.
    """
    sizes = tuple(shape)
    if len(sizes) != 3 or None in sizes[1:] or sizes[1] < least_fields:
        raise ValueError(
            f"{layer_name} takes a field map (batch, fields, dim) with known sizes and at least {least_fields} "
            f"field(s), got {sizes}; embeddings of that shape come from FieldEmbedding."
        )
    return int(sizes[1]), int(sizes[2])


def number_of_pairs(num_fields: int) -> int:
    """Returns the number of pairs i < j of fields."""
    return num_fields * (num_fields - 1) // 2


def later_fields(flat_map: tf.Tensor, num_fields: int, dim: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Walks over the fields i and those after them, which are the pairs i < j in their order.

    Each rest is split from the one before, so that the backward pass adds up gradients from rest to rest, joined by a
    plain copy: a slice of the whole for each field would end in as many sums of full width, and the gradient of a
    slice takes TensorFlow several times as long as that of a split.

    Args:
        flat_map: `(batch, fields * dim)`.
        num_fields: Number of fields.
        dim: Size of an embedding.

    Yields:
        Embedding i `(batch, dim)`, for i from 0 to fields - 2, and the embeddings i + 1, i + 2, ...
        `(batch, (fields - 1 - i) * dim)`.
    """
    rest = flat_map
    for behind in range(num_fields - 1, 0, -1):
        field, rest = tf.split(rest, [dim, behind * dim], axis=1)
        yield field, rest
