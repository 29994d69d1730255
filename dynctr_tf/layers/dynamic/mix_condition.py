"""One condition of several sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("concatenate", "mean", "attention", "stack")


@stack.serializable
class MixCondition(stack.Layer):
    """Several conditions as one.

    Use it to adapt to the user, the item and the context at once. With `"stack"` they stay apart, and an adaptive
    layer generates a core from each and aggregates these.

    `"concatenate"`: `z = [z_1; ...; z_c]`. `"mean"`: `z = sum_i z_i / c`. `"attention"`: `z = sum_i a_i z_i`,
    `a = softmax_i(w^T z_i)`. `"stack"`: `Z = (z_1, ..., z_c)`.

    Args:
        kind: `"concatenate"`, `"mean"`, `"attention"` or `"stack"`. Default `"concatenate"`.
        positions: Rows of a field map that are the conditions, such as those of user and item. Default `None`: all
            that is given.

    Call arguments:
        inputs: A list of conditions, float; all modes but the first want one width.

    Input shape:
        A list of `(batch, n_i)`, or a field map `(batch, fields, n)`.

    Output shape:
        `(batch, n_1 + ... + n_c)`; `(batch, n)`; or, with `"stack"`, `(batch, c, n)`.

    Raises:
        ValueError: An unknown kind, fewer than two conditions, or shapes that do not fit.

    Cost: nothing but the joining; attention: n parameters, `2 * c * n` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> MixCondition("mean")([tf.ones((1, 2)), 3 * tf.ones((1, 2))]).numpy().tolist()
    [[2.0, 2.0]]

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, mix-wise strategy: aggregation of the inputs, and, with `"stack"`,
        of the outputs. The query w of the attention is our reading.
    """

    def __init__(self, kind: str = "concatenate", positions: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of mix", str(kind), _KINDS))
        if positions is not None and (len(positions) < 2 or min(positions) < 0):
            raise ValueError(f"positions must be two or more rows from 0 on, or None for all; got {positions!r}.")
        self.kind = kind
        self.positions = None if positions is None else [int(position) for position in positions]

    def _shapes(self, input_shape: Any) -> list[tuple[Any, ...]]:
        """The shape of each condition; none where the inputs are neither a list nor a field map."""
        if isinstance(input_shape[0], (tuple, list, tf.TensorShape)):
            shapes = [tuple(shape) for shape in input_shape]
        elif len(input_shape) == 3 and input_shape[1] is not None:
            shapes = [(input_shape[0], input_shape[2])] * input_shape[1]
        else:
            return []
        if self.positions is None:
            return shapes
        if max(self.positions) >= len(shapes):
            raise ValueError(f"{self.name} has positions={self.positions}, and there are {len(shapes)} conditions.")
        return [shapes[position] for position in self.positions]

    def build(self, input_shape: Any) -> None:
        shapes = self._shapes(input_shape)
        if len(shapes) < 2 or any(len(shape) != 2 or shape[1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes a list of two or more conditions (batch, n) or a field map (batch, fields, n), of "
                f"known widths; got {input_shape}."
            )
        if self.kind != "concatenate" and len({shape[1] for shape in shapes}) > 1:
            raise ValueError(
                f"{self.name} takes conditions of one width with kind={self.kind!r}, got {shapes}; put a dense layer "
                "in front of some, or use kind='concatenate'."
            )
        self.query = None
        if self.kind == "attention":
            self.query = self.add_weight(
                name="query", shape=(shapes[0][1], 1), initializer="glorot_uniform", trainable=True
            )
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        if isinstance(inputs, (list, tuple)):
            chosen = list(inputs) if self.positions is None else [inputs[position] for position in self.positions]
            if self.kind == "concatenate":
                return tf.concat(chosen, axis=-1)
            stacked = tf.stack(chosen, axis=1)  # (batch, c, n)
        else:
            stacked = inputs if self.positions is None else tf.gather(inputs, self.positions, axis=1)
            if self.kind == "concatenate":
                return tf.reshape(stacked, [-1, stacked.shape[1] * stacked.shape[2]])
        if self.kind == "stack":
            return stacked
        if self.query is None:
            return tf.reduce_mean(stacked, axis=1)
        scores = stack.widened(tf.matmul(stacked, tf.cast(self.query, stacked.dtype)))  # (batch, c, 1)
        return tf.reduce_sum(stacked * tf.cast(tf.nn.softmax(scores, axis=1), stacked.dtype), axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shapes = self._shapes(input_shape)
        if self.kind == "concatenate":
            return (shapes[0][0], sum(shape[1] for shape in shapes))
        return (shapes[0][0], len(shapes), shapes[0][1]) if self.kind == "stack" else shapes[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "positions": self.positions}
