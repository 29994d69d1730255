"""Adagrad for embedding tables."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, finite_number


@stack.serializable
class SparseAdagrad(SparseOptimizer):
    """Adagrad that is right with repeated ids on every stack.

    Use it where you want half the state of Adam. Adagrad does not change a weight without gradient, so the sparse and
    the dense form are the same. Keras 3's own Adagrad squares the slices of a repeated id one by one.

        n' = n + g^2
        w' = w - learning_rate g / sqrt(n' + epsilon)

    Args:
        learning_rate: A positive float or a `LearningRateSchedule`. Default 0.01.
        initial_accumulator_value: Float >= 0. What n starts with. Default 0.1.
        epsilon: Positive float. Default 1e-7.
        clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        clipvalue: Float. As in `SparseOptimizer`. Default `None`.
        global_clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        weight_decay: Float. As in `SparseOptimizer`: of touched rows. Default `None`.
        name: String. Default `"sparse_adagrad"`.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: A negative accumulator, an epsilon that is not positive, or what `SparseOptimizer` raises.

    Cost: one slot per weight; two gathers and two scatters of the touched rows.

    Example:

    >>> table = tf.Variable([[1.0], [1.0]])
    >>> slices = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), tf.constant([2, 1]))
    >>> _ = SparseAdagrad(0.1, initial_accumulator_value=16.0).apply_gradients([(slices, table)])
    >>> [round(float(x), 3) for x in table.numpy()[:, 0]]
    [1.0, 0.94]

    Reference: Duchi, Hazan and Singer, JMLR 12 (2011), with the constants of `keras.optimizers.Adagrad`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        weight_decay: float | None = None,
        name: str = "sparse_adagrad",
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
        self.epsilon = finite_number(self, "epsilon", epsilon, positive=True)

    def slot_values(self) -> dict[str, float]:
        """Returns the slot: the sum of squared gradients."""
        return {"accumulator": self.initial_accumulator_value}

    def step(
        self, gradient: tf.Tensor, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the weights and slots after one step."""
        accumulator = slots["accumulator"] + tf.square(gradient)
        return weight - rate * gradient * tf.math.rsqrt(accumulator + self.epsilon), {"accumulator": accumulator}

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
