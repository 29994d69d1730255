"""Cuts wide embeddings into several field maps."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class SplitEmbedding(stack.Layer):
    """Cuts the embeddings of a field map into equal parts, each a field map of its own.

    Use it where a model wants several embeddings of one id, as HOFM and AFN+: one wide table then serves all
    parts with one de-duplication, one gather and one update.

    `part_k[f] = x_f[k * dim / n : (k + 1) * dim / n]`.

    Args:
        num_parts: Number n of parts. Default 2.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        A list of num_parts field maps `(batch, fields, dim / num_parts)`.

    Raises:
        ValueError: Fewer than two parts, dim no multiple of their number, another rank or unknown sizes.

    Cost: no parameters and no multiplication.

    Example:

    >>> import tensorflow as tf
    >>> [part.shape[2] for part in SplitEmbedding(3)(tf.ones((2, 4, 6)))]
    [2, 2, 2]
    """

    def __init__(self, num_parts: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_parts < 2:
            raise ValueError(f"num_parts must be at least 2, got {num_parts}.")
        self.num_parts = int(num_parts)

    def build(self, input_shape: Any) -> None:
        _, dim = field_map_sizes(self.name, input_shape)
        if dim % self.num_parts:
            raise ValueError(f"{self.name} cuts embeddings into {self.num_parts} equal parts, got {dim} columns.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        return list(tf.split(inputs, self.num_parts, axis=2))

    def compute_output_shape(self, input_shape: Any) -> list[tuple[Any, ...]]:
        return [(input_shape[0], input_shape[1], input_shape[2] // self.num_parts)] * self.num_parts

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_parts": self.num_parts}
