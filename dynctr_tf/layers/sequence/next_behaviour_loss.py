"""DIEN's auxiliary loss: each state of the interest must distinguish the next behaviour from another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.mlp import MLP
from dynctr_tf.layers.sequence.masked_reductions import presence


@stack.serializable
class NextBehaviourLoss(stack.MaskedLayer):
    """Passes the states of a recurrence through and adds a loss for how well each predicts the next behaviour.

    Use it after the first GRU of DIEN, to train each of its states and not only the last.

    `L = -mean_t (log sigmoid(f(h_t, e_(t + 1))) + log(1 - sigmoid(f(h_t, e'_(t + 1)))))` over the steps that are there,
    f a small network of both, e' a behaviour that did not follow. Without given negatives, they are the behaviours
    of the next row of the batch.

    Args:
        weight: Factor of the loss. Default 1.0.
        hidden_units: Widths of the network before its one output. Default `(100, 50)`.
        activation: Its Keras activation. Default `"sigmoid"`.

    Call arguments:
        inputs: `[states, behaviours]`, or `[states, behaviours, negatives]`, float.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.

    Input shape:
        `[(batch, t, u), (batch, t, n), (batch, t, n)]`, mask `(batch, t)`.

    Output shape:
        `(batch, t, u)`, the states.

    Raises:
        ValueError: A negative weight, or tensors of other ranks.

    Cost: that of the network, twice per step, in training; nothing when serving, which does not compute the loss.

    Example:

    >>> import tensorflow as tf
    >>> layer = NextBehaviourLoss(hidden_units=(8,))
    >>> layer([tf.ones((2, 5, 3)), tf.ones((2, 5, 4))]).shape, len(layer.losses)
    (TensorShape([2, 5, 3]), 1)

    Reference:
        Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, arXiv 1809.03672, interest
        extractor layer. The network f is that of the authors' code; negatives out of the batch are ours, for data
        without sampled ones.
    """

    def __init__(
        self,
        weight: float = 1.0,
        hidden_units: Sequence[int] = (100, 50),
        activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}.")
        self.weight = weight
        self.hidden_units = tuple(int(units) for units in hidden_units)
        self.activation = keras.activations.get(activation)
        self.network = MLP(self.hidden_units, activation=self.activation, dtype=self.dtype_policy, name="network")
        self.score = keras.layers.Dense(1, dtype=stack.wide_dtype(self), name="score")

    def build(self, input_shape: Any) -> None:
        shapes = [
            tuple(shape) if isinstance(shape, (list, tuple, tf.TensorShape)) else (shape,) for shape in input_shape
        ]
        if [len(shape) for shape in shapes] not in ([3, 3], [3, 3, 3]) or None in [shape[-1] for shape in shapes]:
            raise ValueError(
                f"{self.name} takes [states (batch, t, u), behaviours (batch, t, n)] and perhaps "
                f"negatives (batch, t, n), of known widths; got {shapes}."
            )
        self.network.build((None, shapes[0][-1] + shapes[1][-1]))
        self.score.build((None, self.hidden_units[-1]))
        self.built = True

    def call(self, inputs: Any, mask: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        states, behaviours, *rest = inputs
        there = presence(behaviours, stack.given_mask(mask))
        follows = there[:, :-1] & there[:, 1:]  # (batch, t - 1): a state that a behaviour follows
        before, after = states[:, :-1], behaviours[:, 1:]
        positive = self._logits(before, after)
        loss = tf.where(follows, tf.math.softplus(-positive), tf.zeros_like(positive))
        if rest:
            negative, opposed = self._logits(before, rest[0][:, 1:]), follows
        else:
            other_row = tf.range(tf.shape(states)[0]) - 1  # the row before; -1 is the last one
            other_row = tf.where(other_row < 0, tf.shape(states)[0] - 1, other_row)
            negative = self._logits(before, tf.gather(after, other_row))
            # A batch of one row has no other row, and a row that is padded there has no negative.
            opposed = follows & tf.gather(there[:, 1:], other_row) & (tf.shape(states)[0] > 1)
        loss += tf.where(opposed, tf.math.softplus(negative), tf.zeros_like(negative))
        steps = tf.reduce_sum(tf.cast(follows, loss.dtype))
        self.add_loss(self.weight * tf.math.divide_no_nan(tf.reduce_sum(loss), steps))
        return states

    def _logits(self, states: tf.Tensor, behaviours: tf.Tensor) -> tf.Tensor:
        pairs = tf.concat([states, tf.cast(behaviours, states.dtype)], axis=-1)
        logits = self.score(self.network(tf.reshape(pairs, [-1, pairs.shape[-1]])))
        return tf.reshape(stack.widened(logits), tf.shape(pairs)[:2])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(list(input_shape)[0])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight": self.weight,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
        }
