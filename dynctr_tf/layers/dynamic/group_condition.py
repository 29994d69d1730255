"""The condition of a group: an embedding of its number."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding.scenario_indices import checked_indices


@stack.serializable
class GroupCondition(stack.Layer):
    """The condition of a group: an embedding of its number, the same for all instances of the group.

    Use it where groups of users, items or scenarios are known; all that is generated from it is the same
    within a group, so that it can be computed before serving.

    `z = E[group]`, or `z = E[inputs[:, column] - first_id]`.

    Args:
        num_groups: Number of groups, the missing and the unknown one included.
        output_dim: Width of the embedding. Default 16.
        column: Column of the inputs that has the groups, where they are the ids of several fields. Default `None`:
            the inputs are the groups' numbers.
        first_id: The id of group 0. Default 0.
        embeddings_initializer: Start of the embeddings, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: Group numbers from 0 to `num_groups - 1`, int32 or int64.

    Input shape:
        `(batch,)` or `(batch, 1)`; with a column, `(batch, columns)`.

    Output shape:
        `(batch, output_dim)`.

    Raises:
        ValueError: A number below 1, or inputs of another shape. A number that no group has is an
            `InvalidArgumentError` while running, except where XLA or TFLite runs the layer.

    Cost: `num_groups * output_dim` parameters, one look-up per row.

    Example:

    >>> import tensorflow as tf
    >>> GroupCondition(num_groups=3, output_dim=4)(tf.constant([0, 2])).shape
    TensorShape([2, 4])

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, group-wise strategy.
    """

    float_arguments = ()  # group numbers

    def __init__(
        self,
        num_groups: int,
        output_dim: int = 16,
        column: int | None = None,
        first_id: int = 0,
        embeddings_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_groups < 1 or output_dim < 1:
            raise ValueError(
                f"num_groups and output_dim must be at least 1, got num_groups={num_groups}, output_dim={output_dim}."
            )
        self.num_groups = int(num_groups)
        self.output_dim = int(output_dim)
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
            shape=(self.num_groups, self.output_dim),
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
        return (input_shape[0], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "output_dim": self.output_dim,
            "column": self.column,
            "first_id": self.first_id,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
