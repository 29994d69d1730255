"""Adagrad with one number of state per row of an embedding table."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, finite_number


@stack.serializable
class RowWiseAdagrad(SparseOptimizer):
    """Adagrad with one accumulator per row, for embedding tables.

    Use it for tables, with Adam on the dense weights (`row_wise_optimizer` is the two together): a table of 16
    columns has 1 number of state a row, where Adam has 32. Every row has its own step size, which falls as the row is
    moved, so that rare ids move as far as frequent ones.

    With gradient g and weights w of a row of d elements, and its accumulator n:

        n' = n + (g_1^2 + ... + g_d^2) / d
        w' = w - learning_rate g / (sqrt(n') + epsilon)

    A row without gradient stays as it is, so the sparse and the dense form are the same.

    **First-order weights.** A table of `FieldEmbedding(linear=True)` has the first-order weight of each id in the
    last column. It is not part of the embedding: it has an accumulator of its own and steps of
    `first_order_factor` learning rates.

    **Variables of other ranks.** Whatever has rank 2 or more has rows, along the first axis, also the kernel of a
    dense layer. In a variable of rank 0 or 1, such as a bias, each element is a row, which is Adagrad.

    Args:
        learning_rate: A positive float or a `LearningRateSchedule`. Default 0.02.
        initial_accumulator_value: Float >= 0. What n starts with. Default 0.0.
        first_order_factor: Positive float. The factor of the learning rate for first-order weights that share a row
            with an embedding. Default 0.1.
        epsilon: Positive float. Added to sqrt(n'). Default 1e-8.
        clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        clipvalue: Float. As in `SparseOptimizer`. Default `None`.
        global_clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        weight_decay: Float. As in `SparseOptimizer`: of touched rows. Default `None`.
        name: String. Default `"row_wise_adagrad"`.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: A negative accumulator, a factor or an epsilon that is not positive, or what `SparseOptimizer`
            raises.

    Cost: one slot per row, two with first-order weights; two gathers and two scatters of the touched rows.

    Example:

    >>> table = tf.Variable([[1.0, 1.0], [1.0, 1.0]])
    >>> slices = tf.IndexedSlices(tf.constant([[1.0, 3.0], [2.0, 1.0]]), tf.constant([1, 1]), tf.constant([2, 2]))
    >>> _ = RowWiseAdagrad(0.1).apply_gradients([(slices, table)])  # the row's gradient is (3, 4)
    >>> [round(float(x), 4) for x in table.numpy()[1]]
    [0.9151, 0.8869]

    Reference: the rule is that of DLRM (arXiv 1906.00091) and of FBGEMM's `EXACT_ROWWISE_ADAGRAD`, which TorchRec
    uses; see also Gupta et al., ICML 2014 workshop. The separate first-order column is this library's.
    """

    def __init__(
        self,
        learning_rate: Any = 0.02,
        initial_accumulator_value: float = 0.0,
        first_order_factor: float = 0.1,
        epsilon: float = 1e-8,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        weight_decay: float | None = None,
        name: str = "row_wise_adagrad",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            weight_decay=weight_decay,
            name=name,
            **kwargs,
        )
        self.initial_accumulator_value = finite_number(self, "initial_accumulator_value", initial_accumulator_value)
        self.first_order_factor = finite_number(self, "first_order_factor", first_order_factor, positive=True)
        self.epsilon = finite_number(self, "epsilon", epsilon, positive=True)

    def slot_values(self) -> dict[str, float]:
        """Returns the slot: the sum of the mean squares of a row's gradients."""
        return {"accumulator": self.initial_accumulator_value}

    def slot_shape(self, variable: Any) -> tuple[int, ...]:
        """Returns one number per row, and a second one for first-order weights."""
        shape = tuple(variable.shape)
        if len(shape) < 2:
            return shape
        notes = stack.table_notes(variable)
        columns = 2 if notes is not None and notes.first_order and shape[-1] > 1 else 1
        return (shape[0], *(1 for _ in shape[1:-1]), columns)

    def step(
        self, gradient: tf.Tensor, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the weights and slots after one step."""
        accumulator = slots["accumulator"]
        squares = tf.square(gradient)
        if weight.shape.rank < 2:
            accumulator += squares
            return weight - rate * gradient / (tf.sqrt(accumulator) + self.epsilon), {"accumulator": accumulator}
        within = list(range(1, weight.shape.rank))
        if accumulator.shape[-1] == 1:
            accumulator += tf.reduce_mean(squares, axis=within, keepdims=True)  # (rows, 1)
            return weight - rate * gradient / (tf.sqrt(accumulator) + self.epsilon), {"accumulator": accumulator}
        embedding = tf.reduce_mean(squares[..., :-1], axis=within, keepdims=True)  # (rows, 1)
        accumulator += tf.concat([embedding, squares[..., -1:]], axis=-1)  # (rows, 2)
        steps = tf.constant([1.0, self.first_order_factor], rate.dtype) * rate / (tf.sqrt(accumulator) + self.epsilon)
        width = int(weight.shape[-1]) - 1
        steps = tf.repeat(steps, [width, 1], axis=-1)  # (rows, d + 1)
        return weight - steps * gradient, {"accumulator": accumulator}

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "first_order_factor": self.first_order_factor,
            "epsilon": self.epsilon,
        }
