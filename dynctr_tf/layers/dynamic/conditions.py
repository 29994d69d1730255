"""Conditions of adaptive layers: of a group, and of several sources together. Self-wise needs no layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding.scenario_indices import checked_indices
from dynctr_tf.nearest import unknown_name_message

_MODES = ("concatenate", "mean", "attention", "stack")


@keras.saving.register_keras_serializable(package="dynctr_tf")
class GroupCondition(stack.Layer):
    """The condition of a group: an embedding of its number, the same for all instances of the group.

    Use it where groups of users, items or scenarios are known; all that is generated from it is the same
    within a group, so that it can be computed before serving.

    `z = E[group]`, or `z = E[inputs[:, column] - first_id]`.

    Args:
        num_groups: Number of groups, the missing and the unknown one included.
        dim: Width of the embedding. Default 16.
        column: Column of the inputs that has the groups, where they are the ids of several fields. Default `None`:
            the inputs are the groups' numbers.
        first_id: The id of group 0. Default 0.
        embeddings_initializer: Start of the embeddings, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: Group numbers from 0 to `num_groups - 1`, int32 or int64.

    Input shape:
        `(batch,)` or `(batch, 1)`; with a column, `(batch, columns)`.

    Output shape:
        `(batch, dim)`.

    Raises:
        ValueError: A number below 1, or inputs of another shape. A number that no group has is an
            `InvalidArgumentError` while running, except where XLA or TFLite runs the layer.

    Cost: `num_groups * dim` parameters, one look-up per row.

    Example:

    >>> import tensorflow as tf
    >>> GroupCondition(num_groups=3, dim=4)(tf.constant([0, 2])).shape
    TensorShape([2, 4])

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, group-wise strategy.
    """

    float_arguments = ()  # group numbers

    def __init__(
        self,
        num_groups: int,
        dim: int = 16,
        column: int | None = None,
        first_id: int = 0,
        embeddings_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_groups < 1 or dim < 1:
            raise ValueError(f"num_groups and dim must be at least 1, got num_groups={num_groups}, dim={dim}.")
        self.num_groups = int(num_groups)
        self.dim = int(dim)
        self.column = column
        self.first_id = int(first_id)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if self.column is not None:
            if len(shape) != 2 or shape[1] is None or not 0 <= self.column < shape[1]:
                raise ValueError(f"{self.name} takes ids (batch, columns) that have column {self.column}, got {shape}.")
        elif not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise ValueError(
                f"{self.name} takes group numbers of shape (batch,) or (batch, 1), got {shape}; of the ids of several "
                "fields name the column."
            )
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_groups, self.dim),
            initializer=self.embeddings_initializer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        groups = checked_indices(self.name, self.group_numbers(inputs), self.num_groups)
        return tf.cast(tf.gather(tf.convert_to_tensor(self.embeddings), groups), self.compute_dtype)

    def group_numbers(self, inputs: Any) -> Any:
        """Returns the numbers of the groups, `(batch,)`, of a tensor or of a symbolic one.

        Args:
            inputs: What the layer is called with.
        """
        # Written with slices and a difference alone, which Keras records on symbolic tensors too.
        if self.column is None:
            return inputs if len(inputs.shape) == 1 else inputs[:, 0]
        groups = inputs[:, self.column]
        return groups - self.first_id if self.first_id else groups

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "dim": self.dim,
            "column": self.column,
            "first_id": self.first_id,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@keras.saving.register_keras_serializable(package="dynctr_tf")
class MixCondition(stack.Layer):
    """Several conditions as one.

    Use it to adapt to the user, the item and the context at once. With `"stack"` they stay apart, and an adaptive
    layer generates a core from each and aggregates these.

    `"concatenate"`: `z = [z_1; ...; z_c]`. `"mean"`: `z = sum_i z_i / c`. `"attention"`: `z = sum_i a_i z_i`,
    `a = softmax_i(w^T z_i)`. `"stack"`: `Z = (z_1, ..., z_c)`.

    Args:
        mode: `"concatenate"`, `"mean"`, `"attention"` or `"stack"`. Default `"concatenate"`.
        positions: Rows of a field map that are the conditions, such as those of user and item. Default `None`: all
            that is given.

    Call arguments:
        inputs: A list of conditions, float; all modes but the first want one width.

    Input shape:
        A list of `(batch, n_i)`, or a field map `(batch, fields, n)`.

    Output shape:
        `(batch, n_1 + ... + n_c)`; `(batch, n)`; or, with `"stack"`, `(batch, c, n)`.

    Raises:
        ValueError: An unknown mode, fewer than two conditions, or shapes that do not fit.

    Cost: nothing but the joining; attention: n parameters, `2 * c * n` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> MixCondition("mean")([tf.ones((1, 2)), 3 * tf.ones((1, 2))]).numpy().tolist()
    [[2.0, 2.0]]

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, mix-wise strategy: aggregation of the inputs, and, with `"stack"`,
        of the outputs. The query w of the attention is our reading.
    """

    def __init__(self, mode: str = "concatenate", positions: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in _MODES:
            raise ValueError(unknown_name_message("mode", str(mode), _MODES))
        if positions is not None and (len(positions) < 2 or min(positions) < 0):
            raise ValueError(f"positions must be two or more rows from 0 on, or None for all; got {positions!r}.")
        self.mode = mode
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
        if self.mode != "concatenate" and len({shape[1] for shape in shapes}) > 1:
            raise ValueError(
                f"{self.name} takes conditions of one width with mode={self.mode!r}, got {shapes}; put a dense layer "
                "in front of some, or use mode='concatenate'."
            )
        self.query = None
        if self.mode == "attention":
            self.query = self.add_weight(
                name="query", shape=(shapes[0][1], 1), initializer="glorot_uniform", trainable=True
            )
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        if isinstance(inputs, (list, tuple)):
            chosen = list(inputs) if self.positions is None else [inputs[position] for position in self.positions]
            if self.mode == "concatenate":
                return tf.concat(chosen, axis=-1)
            stacked = tf.stack(chosen, axis=1)  # (batch, c, n)
        else:
            stacked = inputs if self.positions is None else tf.gather(inputs, self.positions, axis=1)
            if self.mode == "concatenate":
                return tf.reshape(stacked, [-1, stacked.shape[1] * stacked.shape[2]])
        if self.mode == "stack":
            return stacked
        if self.query is None:
            return tf.reduce_mean(stacked, axis=1)
        scores = stack.widened(tf.matmul(stacked, tf.cast(self.query, stacked.dtype)))  # (batch, c, 1)
        return tf.reduce_sum(stacked * tf.cast(tf.nn.softmax(scores, axis=1), stacked.dtype), axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shapes = self._shapes(input_shape)
        if self.mode == "concatenate":
            return (shapes[0][0], sum(shape[1] for shape in shapes))
        return (shapes[0][0], len(shapes), shapes[0][1]) if self.mode == "stack" else shapes[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "positions": self.positions}
