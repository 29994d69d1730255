"""DIN's activation unit: a history weighed by its relation to the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.sequence.dice import Dice
from dynctr_tf.layers.sequence.masked_reductions import masked_softmax, presence


@stack.serializable
class TargetAttention(stack.MaskedLayer):
    """Weighs the behaviours of a history by a small network of target and behaviour, and sums them.

    Use it to turn a history into one interest vector for one target; with `return_weights` to get the weights
    alone, as DIEN does.

    `a_t = MLP([q; k_t; q - k_t; q * k_t])`, `output = sum_t a_t k_t`. The network runs over the behaviours that are
    there, not over padding, which costs less and keeps padding out of the mean that Dice takes.

    Args:
        hidden_units: Widths of the network before its one output. Default `(80, 40)`.
        activation: `"dice"`, or a Keras activation. Default `"dice"`.
        softmax: Whether the weights of a history are made to sum to 1. Default `False`, as in DIN.
        return_weights: Whether to return the weights in place of the sum. Default `False`.

    Call arguments:
        inputs: The pair `[query, behaviours]`, float.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.
        training: As for Dice. Default `None`: Keras decides.

    Input shape:
        `[(batch, n), (batch, t, n)]`, mask `(batch, t)`.

    Output shape:
        `(batch, n)`, 0 for an empty history; weights `(batch, t)`, 0 at padding.

    Raises:
        ValueError: No hidden layer, or tensors of other ranks or of different widths.

    Cost: with widths u_1, u_2, ... `4 * n * u_1 + u_1 * u_2 + ...` parameters and as many multiply-adds per
    behaviour.

    Example:

    >>> import tensorflow as tf
    >>> TargetAttention((8,))([tf.ones((2, 3)), tf.ones((2, 5, 3))]).shape
    TensorShape([2, 3])

    Reference:
        Zhou et al., Deep Interest Network for Click-Through Rate Prediction, arXiv 1706.06978, equation 3, the
        local activation unit. The difference and the product beside q and k are those of the authors' code.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (80, 40),
        activation: Any = "dice",
        softmax: bool = False,
        return_weights: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hidden_units or any(units < 1 for units in hidden_units):
            raise ValueError(f"hidden_units must be one or more widths of at least 1, got {hidden_units!r}.")
        self.hidden_units = tuple(int(units) for units in hidden_units)
        self.activation = activation if activation == "dice" else keras.activations.get(activation)
        self.softmax = softmax
        self.return_weights = return_weights
        # How many behaviours a batch has is known only when the batch is, which XLA cannot compile.
        self.supports_jit = False
        self._steps: list[Any] = []
        for index, units in enumerate(self.hidden_units):
            self._steps.append(Dense(units, dtype=self.dtype_policy, name=f"dense_{index + 1}"))
            if activation == "dice":
                self._steps.append(Dice(dtype=self.dtype_policy, name=f"dice_{index + 1}"))
            else:
                self._steps.append(
                    keras.layers.Activation(self.activation, dtype=self.dtype_policy, name=f"activation_{index + 1}")
                )
        # A softmax removes a term that is the same for all weights.
        self._steps.append(Dense(1, use_bias=not softmax, dtype=self.dtype_policy, name="weight"))

    def build(self, input_shape: Any) -> None:
        shapes = [
            tuple(shape) if isinstance(shape, (list, tuple, tf.TensorShape)) else (shape,) for shape in input_shape
        ]
        ranks = [len(shape) for shape in shapes]
        if ranks != [2, 3] or shapes[0][-1] is None or shapes[0][-1] != shapes[1][-1]:
            raise ValueError(
                f"{self.name} takes [query (batch, n), behaviours (batch, t, n)] of one known width, got {shapes}."
            )
        width = 4 * shapes[0][-1]
        for step in self._steps:
            step.build((None, width))
            width = step.units if isinstance(step, keras.layers.Dense) else width
        self.built = True

    def call(self, inputs: Any, mask: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        query, behaviours = inputs
        there = presence(behaviours, stack.given_mask(mask))
        behaviours = tf.where(there[:, :, tf.newaxis], behaviours, tf.zeros_like(behaviours))
        places = tf.where(there)  # (present, 2)
        # Rows without any behaviour would have no mean; one padded place fills in, and its weight is not used.
        lacking = tf.logical_and(tf.equal(tf.size(places), 0), tf.size(there) > 0)
        places = tf.concat([places, tf.zeros([tf.cast(lacking, tf.int32), 2], tf.int64)], axis=0)
        q, k = tf.gather(query, places[:, 0]), tf.gather_nd(behaviours, places)
        x = tf.concat([q, k, q - k, q * k], axis=1)  # (present, 4 n)
        for step in self._steps:
            x = step(x, training=training) if isinstance(step, Dice) else step(x)
        weights = tf.scatter_nd(places, stack.widened(x[:, 0]), tf.shape(there, tf.int64))  # (batch, t)
        weights = masked_softmax(weights, there) if self.softmax else tf.where(there, weights, tf.zeros_like(weights))
        weights = tf.cast(weights, behaviours.dtype)
        return weights if self.return_weights else tf.reduce_sum(weights[:, :, tf.newaxis] * behaviours, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        query, behaviours = (tuple(shape) for shape in input_shape)
        return behaviours[:2] if self.return_weights else query

    def get_config(self) -> dict[str, Any]:
        activation = self.activation if self.activation == "dice" else keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "activation": activation,
            "softmax": self.softmax,
            "return_weights": self.return_weights,
        }
