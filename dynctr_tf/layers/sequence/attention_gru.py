"""DIEN's interest evolution: a GRU whose updates are scaled by attention."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("augru", "agru")


@stack.serializable
class AttentionGRUCell(stack.Layer):
    """One step of a GRU whose update gate is scaled, or replaced, by an attention weight.

    Use it inside `keras.layers.RNN`, as `AttentionGRU` does.

    `u, r = sigmoid(x W + h U + b)`, `c = tanh(x W_c + (r * h) U_c + b_c)`, `u' = a u` (`"augru"`) or `u' = a`
    (`"agru"`), `h <- (1 - u') h + u' c`.

    Args:
        units: Width of the state.
        kind: `"augru"` or `"agru"`. Default `"augru"`.

    Call arguments:
        inputs: x with the attention weight a as its last entry.
        states: A list of the state h.

    Input shape:
        `(batch, n + 1)`, and `[(batch, units)]`.

    Output shape:
        `(batch, units)`, and the states.

    Raises:
        ValueError: An unknown kind, no unit, or inputs of another rank.

    Cost: `3 * (n + units + 1) * units` parameters and as many multiply-adds per step; one third less for
    `"agru"`, which has no update gate of its own.

    Example:

    >>> import tensorflow as tf
    >>> AttentionGRUCell(3)(tf.ones((2, 5)), [tf.zeros((2, 3))])[0].shape
    TensorShape([2, 3])

    Reference:
        Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, arXiv 1809.03672, interest
        evolving layer.
    """

    def __init__(self, units: int, kind: str = "augru", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}.")
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of cell", str(kind), _KINDS))
        self.units = int(units)
        self.kind = kind
        self.state_size = self.units
        self.output_size = self.units

    def build(self, input_shape: Any) -> None:
        # Keras 3 hands over the shape of the states beside that of the inputs where the cell is called alone.
        shape = tuple(input_shape)
        shape = tuple(shape[0]) if shape and isinstance(shape[0], (list, tuple, tf.TensorShape)) else shape
        if len(shape) != 2 or shape[-1] is None or shape[-1] < 2:
            raise ValueError(f"{self.name} takes inputs (batch, n + 1), the attention weight last; got {shape}.")
        gates = 2 if self.kind == "augru" else 1
        width = shape[-1] - 1
        options = {"trainable": True}
        self.kernel = self.add_weight(name="kernel", shape=(width, (gates + 1) * self.units), **options)
        self.gate_kernel = self.add_weight(
            name="recurrent_gate_kernel", shape=(self.units, gates * self.units), initializer="orthogonal", **options
        )
        self.candidate_kernel = self.add_weight(
            name="recurrent_candidate_kernel", shape=(self.units, self.units), initializer="orthogonal", **options
        )
        self.bias = self.add_weight(name="bias", shape=((gates + 1) * self.units,), initializer="zeros", **options)
        self.built = True

    def call(self, inputs: tf.Tensor, states: Any, training: bool | None = None) -> Any:
        h = states[0] if isinstance(states, (list, tuple)) else states
        x, a = inputs[:, :-1], inputs[:, -1:]
        kernel, bias = tf.cast(self.kernel, x.dtype), tf.cast(self.bias, x.dtype)
        gate_kernel, candidate_kernel = (tf.cast(w, x.dtype) for w in (self.gate_kernel, self.candidate_kernel))
        h = tf.cast(h, x.dtype)
        from_x = tf.matmul(x, kernel) + bias
        gates = tf.sigmoid(from_x[:, : -self.units] + tf.matmul(h, gate_kernel))
        r = gates[:, -self.units :]
        candidate = tf.tanh(from_x[:, -self.units :] + tf.matmul(r * h, candidate_kernel))
        update = a * gates[:, : self.units] if self.kind == "augru" else a
        h = (1.0 - update) * h + update * candidate
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "kind": self.kind}


@stack.serializable
class AttentionGRU(stack.MaskedLayer):
    """Runs a GRU over a history with attention weights, and gives its last state.

    Use it on the states of a first GRU, with the weights that `TargetAttention(return_weights=True)` gives: the
    state moves where a behaviour has to do with the target and stays elsewhere.

    The formula is that of `AttentionGRUCell`, step by step; positions of padding leave the state as it is.

    Args:
        units: Width of the state. Default `None`: that of the sequence.
        kind: `"augru"` or `"agru"`. Default `"augru"`.

    Call arguments:
        inputs: The pair `[sequence, weights]`, float.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.

    Input shape:
        `[(batch, t, n), (batch, t)]`, mask `(batch, t)`.

    Output shape:
        `(batch, units)`; 0 for an empty history.

    Raises:
        ValueError: An unknown kind, or tensors of other ranks.

    Cost: t times that of the cell, one step after the other.

    Example:

    >>> import tensorflow as tf
    >>> AttentionGRU(3)([tf.ones((2, 5, 4)), tf.ones((2, 5))]).shape
    TensorShape([2, 3])

    Reference:
        Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, arXiv 1809.03672, equations of
        AGRU and AUGRU.
    """

    def __init__(self, units: int | None = None, kind: str = "augru", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of cell", str(kind), _KINDS))
        self.units = units
        self.kind = kind
        self.recurrence: Any = None

    def build(self, input_shape: Any) -> None:
        shapes = [
            tuple(shape) if isinstance(shape, (list, tuple, tf.TensorShape)) else (shape,) for shape in input_shape
        ]
        if [len(shape) for shape in shapes] != [3, 2] or shapes[0][-1] is None:
            raise ValueError(f"{self.name} takes [sequence (batch, t, n), weights (batch, t)], got {shapes}.")
        cell = AttentionGRUCell(self.units or shapes[0][-1], self.kind, dtype=self.dtype_policy, name="cell")
        self.recurrence = keras.layers.RNN(cell, dtype=self.dtype_policy, name="recurrence")
        self.recurrence.build((*shapes[0][:2], shapes[0][2] + 1))
        self.built = True

    def call(self, inputs: Any, mask: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        sequence, weights = inputs
        mask = stack.given_mask(mask)
        if mask is not None:
            sequence = tf.where(mask[:, :, tf.newaxis], sequence, tf.zeros_like(sequence))
            weights = tf.where(mask, weights, tf.zeros_like(weights))
        # (batch, t, n + 1). A weight of 0 leaves the state as it is, which is what padding has to do.
        return self.recurrence(tf.concat([sequence, tf.cast(weights, sequence.dtype)[:, :, tf.newaxis]], axis=-1))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        sequence = tuple(list(input_shape)[0])
        return (sequence[0], self.units or sequence[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "kind": self.kind}
