"""The second-order term of a factorization machine."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class FactorizationMachine(stack.Layer):
    """Sums the inner products of all pairs of fields.

    Use it beside first-order weights (`FieldEmbedding(linear=True)`) for FM, and a deep part for DeepFM.

    `sum_(i<j) <x_i, x_j> = 1/2 * sum_d ((sum_i x_id) ** 2 - sum_i x_id ** 2)`, in float32.

    Args:
        dtype: The policy. A part of the logit stays float32, also where the global policy is mixed.
            Default `"float32"`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, 1)`, float32.

    Raises:
        ValueError: Another rank.

    Cost: no parameters; `2 * fields * dim` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> FactorizationMachine()(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[11.0]]

    Reference:
        Rendle, Factorization Machines, ICDM 2010, equation 1 and lemma 3.1.
    """

    def __init__(self, dtype: Any = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 3:
            raise ValueError(f"{self.name} takes shape (batch, fields, dim), got {tuple(input_shape)}.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = stack.widened(inputs)
        square_of_sum = tf.square(tf.reduce_sum(x, axis=1))  # (batch, dim)
        total = tf.reduce_sum(square_of_sum, axis=1) - tf.reduce_sum(tf.square(x), axis=[1, 2])
        return 0.5 * total[:, tf.newaxis]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], 1)
