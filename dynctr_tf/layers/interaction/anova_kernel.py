"""The higher-order term of a higher-order factorization machine."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class AnovaKernel(stack.Layer):
    """Sums the products of all sets of a given number of fields: the ANOVA kernel of one order.

    Use one per order for HOFM, each on embeddings of its own. Order 2 is `FactorizationMachine`.

    `sum_d sum_(i_1 < ... < i_m) x[i_1, d] * ... * x[i_m, d]` for order m, by the dynamic programme
    `a_t[j] = a_t[j-1] + x[j] * a_(t-1)[j-1]` with `a_0 = 1`: a running sum over the fields for each t, which
    only adds products, where the formula by powers subtracts large sums from each other. In float32.

    Args:
        order: Number m of fields in a product. Default 3.
        dtype: The policy. A part of the logit stays float32, also where the global policy is mixed.
            Default `"float32"`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, 1)`, float32.

    Raises:
        ValueError: An order below 2, fewer fields than the order, or another rank.

    Cost: no parameters; `2 * (order - 1) * fields * dim` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> AnovaKernel(3)(tf.constant([[[1.0], [2.0], [3.0], [4.0]]])).numpy().tolist()
    [[50.0]]

    Reference:
        Blondel et al., Higher-Order Factorization Machines, NIPS 2016, arXiv 1607.07195, equations 4 and 6.
    """

    def __init__(self, order: int = 3, dtype: Any = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if order < 2:
            raise ValueError(f"order must be at least 2, got {order}; the first order is FieldEmbedding(linear=True).")
        self.order = int(order)

    def build(self, input_shape: Any) -> None:
        field_map_sizes(self.name, input_shape, least_fields=self.order)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = stack.widened(inputs)
        products = x  # products[j]: all products of t fields of which the last is j
        for _ in range(self.order - 1):
            products = x * tf.cumsum(products, axis=1, exclusive=True)
        return tf.reduce_sum(products, axis=[1, 2])[:, tf.newaxis]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "order": self.order}
