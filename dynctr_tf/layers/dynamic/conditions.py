"""Conditions of adaptive layers: of a group, and of several sources together. Self-wise needs no layer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

import dynctr_tf.stack  # noqa: F401  (gives `keras.saving`)
from dynctr_tf.nearest import unknown_name_message

_MODES = ("concatenate", "mean", "attention", "stack")


@keras.saving.register_keras_serializable(package="dynctr_tf")
class GroupCondition(keras.layers.Layer):
    """The condition of a group: an embedding of its number, the same for all instances of the group.

    Use it where groups of users, items or scenarios are known; all that is generated from it is the same
    within a group, so that it can be computed before serving.

    `z = E[group]`.

    Args:
        num_groups: Number of groups, the missing and the unknown one included.
        dim: Width of the embedding. Default 16.
        embeddings_initializer: Start of the embeddings, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: Group numbers from 0 to `num_groups - 1`, int32 or int64.

    Input shape:
        `(batch,)` or `(batch, 1)`.

    Output shape:
        `(batch, dim)`.

    Raises:
        ValueError: A number below 1, or inputs of another shape.

    Cost: `num_groups * dim` parameters, one look-up per row.

    Example:

    >>> import tensorflow as tf
    >>> GroupCondition(num_groups=3, dim=4)(tf.constant([0, 2])).shape
    TensorShape([2, 4])

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, group-wise strategy.
    """

    def __init__(
        self, num_groups: int, dim: int = 16, embeddings_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_groups < 1 or dim < 1:
            raise ValueError(f"num_groups and dim must be at least 1, got num_groups={num_groups}, dim={dim}.")
        self.num_groups = int(num_groups)
        self.dim = int(dim)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise ValueError(f"{self.name} takes group numbers of shape (batch,) or (batch, 1), got {shape}.")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_groups, self.dim),
            initializer=self.embeddings_initializer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        groups = tf.reshape(inputs, [-1])
        return tf.cast(tf.gather(tf.convert_to_tensor(self.embeddings), groups), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "dim": self.dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@keras.saving.register_keras_serializable(package="dynctr_tf")
class MixCondition(keras.layers.Layer):
    """Several conditions as one.

    Use it to adapt to the user, the item and the context at once. With `"stack"` they stay apart, and an adaptive
    layer generates a core from each and aggregates these.

    `"concatenate"`: `z = [z_1; ...; z_c]`. `"mean"`: `z = sum_i z_i / c`. `"attention"`: `z = sum_i a_i z_i`,
    `a = softmax_i(w^T z_i)`. `"stack"`: `Z = (z_1, ..., z_c)`.

    Args:
        mode: `"concatenate"`, `"mean"`, `"attention"` or `"stack"`. Default `"concatenate"`.

    Call arguments:
        inputs: A list of conditions, float; all modes but the first want one width.

    Input shape:
        A list of `(batch, n_i)`.

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

    def __init__(self, mode: str = "concatenate", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in _MODES:
            raise ValueError(unknown_name_message("mode", str(mode), _MODES))
        self.mode = mode

    def build(self, input_shape: Any) -> None:
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], (tuple, list)) else []
        if isinstance(input_shape[0], tf.TensorShape):
            shapes = [tuple(shape) for shape in input_shape]
        if len(shapes) < 2 or any(len(shape) != 2 or shape[1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes a list of two or more conditions (batch, n) of known widths, got {input_shape}."
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
        if self.mode == "concatenate":
            return tf.concat(list(inputs), axis=-1)
        stacked = tf.stack(list(inputs), axis=1)  # (batch, c, n)
        if self.mode == "stack":
            return stacked
        if self.query is None:
            return tf.reduce_mean(stacked, axis=1)
        scores = tf.cast(tf.matmul(stacked, tf.cast(self.query, stacked.dtype)), tf.float32)  # (batch, c, 1)
        return tf.reduce_sum(stacked * tf.cast(tf.nn.softmax(scores, axis=1), stacked.dtype), axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shapes = [tuple(shape) for shape in input_shape]
        if self.mode == "concatenate":
            return (shapes[0][0], sum(shape[1] for shape in shapes))
        return (shapes[0][0], len(shapes), shapes[0][1]) if self.mode == "stack" else shapes[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}
