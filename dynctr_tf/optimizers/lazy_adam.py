"""Adam for embedding tables."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, finite_number


@stack.serializable
class LazyAdam(SparseOptimizer):
    """Adam that, for a table, touches only the rows of the batch.

    Use it in place of `keras.optimizers.Adam` in models with embedding tables. For dense gradients it is
    Adam. For `tf.IndexedSlices` the moments of rows that are not in the batch do not decay and their weights do not
    move. Adam would do both, at the cost of the whole table.

        m' = beta_1 m + (1 - beta_1) g
        v' = beta_2 v + (1 - beta_2) g^2
        w' = w - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m' / (sqrt(v') + epsilon)

    t counts the optimizer's steps, not the row's touches. A row first met late therefore starts with a step
    of (1 - beta_1) / sqrt(1 - beta_2) learning rates, 3.2 with the defaults, where Adam's first step is one.

    Args:
        learning_rate: A positive float or a `LearningRateSchedule`. Default 0.001.
        beta_1: Float in [0, 1). Decay of the first moment. Default 0.9.
        beta_2: Float in [0, 1). Decay of the second moment. Default 0.999.
        epsilon: Positive float. Added to sqrt(v'); the "epsilon hat" of the paper. Default 1e-7.
        clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        clipvalue: Float. As in `SparseOptimizer`. Default `None`.
        global_clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        weight_decay: Float. As in `SparseOptimizer`: of touched rows. Default `None`.
        name: String. Default `"lazy_adam"`.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: A decay outside [0, 1), an epsilon that is not positive, or what `SparseOptimizer` raises.

    Cost: two slots per weight; three gathers and three scatters of the touched rows.

    Example:

    >>> table = tf.Variable([[1.0], [1.0]])
    >>> slices = tf.IndexedSlices(tf.constant([[2.0], [2.0]]), tf.constant([1, 1]), tf.constant([2, 1]))
    >>> _ = LazyAdam(0.1).apply_gradients([(slices, table)])
    >>> [round(float(x), 3) for x in table.numpy()[:, 0]]
    [1.0, 0.9]

    Reference: Kingma and Ba, arXiv 1412.6980, the form before section 2.1; the restriction to touched rows,
    with t as above, is that of tensorflow-addons' `LazyAdam`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        weight_decay: float | None = None,
        name: str = "lazy_adam",
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
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= value < 1:
                raise ValueError(f"{argument} of LazyAdam must be in [0, 1), got {value!r}.")
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = finite_number(self, "epsilon", epsilon, positive=True)

    def slot_values(self) -> dict[str, float]:
        """Returns the slots: the two moments."""
        return {"momentum": 0.0, "velocity": 0.0}

    def step(
        self, gradient: tf.Tensor, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the weights and slots after one step."""
        time = tf.cast(stack.raw_variable(self.iterations) + 1, rate.dtype)
        rate *= tf.sqrt(1.0 - tf.pow(tf.cast(self.beta_2, rate.dtype), time))
        rate /= 1.0 - tf.pow(tf.cast(self.beta_1, rate.dtype), time)
        momentum = slots["momentum"] + (1.0 - self.beta_1) * (gradient - slots["momentum"])
        velocity = slots["velocity"] + (1.0 - self.beta_2) * (tf.square(gradient) - slots["velocity"])
        weight -= rate * momentum / (tf.sqrt(velocity) + self.epsilon)
        return weight, {"momentum": momentum, "velocity": velocity}

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
