"""The bi-interaction pooling of NFM."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class BiInteraction(stack.Layer):
    """Sums the entry-wise products of all pairs of fields to one vector.

    Use it in front of a multi-layer perceptron, as in NFM. The sum of its entries is `FactorizationMachine`.

    `sum_(i<j) x_i * x_j = 1/2 * ((sum_i x_i) ** 2 - sum_i x_i ** 2)`, entry by entry, in float32.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, dim)`.

    Raises:
        ValueError: Another rank or unknown sizes.

    Cost: no parameters; `fields * dim` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> BiInteraction()(tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])).numpy().tolist()
    [[23.0, 44.0]]

    Reference:
        He and Chua, Neural Factorization Machines, SIGIR 2017, arXiv 1708.05027, equations 3 and 4.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        field_map_sizes(self.name, input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = stack.widened(inputs)  # a difference of two large sums loses digits in bfloat16
        difference = tf.square(tf.reduce_sum(x, axis=1)) - tf.reduce_sum(tf.square(x), axis=1)
        return tf.cast(0.5 * difference, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], input_shape[2])
