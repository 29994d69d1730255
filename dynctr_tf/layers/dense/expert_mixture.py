"""The weighted sum of experts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class ExpertMixture(stack.Layer):
    """Sums experts by weights that a gate gives to each row.

    Use it between experts and towers: the gate may be a dense layer, or `SeparateTowers` without hidden layers for a
    gate per scenario.

    `y = sum_e softmax(g)_e x_e`, the softmax in float32.

    Call arguments:
        inputs: The pair of experts x and gate logits g, float.

    Input shape:
        `(batch, experts, n)` and `(batch, experts)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: Tensors of another rank, or other numbers of experts and logits.

    Cost: no parameters; `experts * n` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> ExpertMixture()([tf.constant([[[2.0], [4.0]]]), tf.constant([[1.0, 1.0]])]).numpy().tolist()
    [[3.0]]

    Reference:
        Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, KDD 2018,
        equations 6 and 7.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        shapes = [tuple(shape) if hasattr(shape, "__len__") else () for shape in input_shape]
        if [len(shape) for shape in shapes] != [3, 2] or shapes[0][1] != shapes[1][1]:
            raise ValueError(
                f"{self.name} takes the pair of experts (batch, experts, n) and gate logits (batch, experts), got "
                f"{shapes}."
            )
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        experts, logits = inputs
        weights = tf.cast(tf.nn.softmax(stack.widened(logits)), experts.dtype)
        return tf.reduce_sum(experts * weights[:, :, tf.newaxis], axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shape = tuple(input_shape[0])
        return (shape[0], shape[2])
