"""An embedding of the scenario, whose mean stands for scenarios that are not known."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding.scenario_indices import check_scenarios, checked_scenario
from dynctr_tf.layers.scenario.scenario_rows import (
    gather_rows,
    table_rows,
    with_mean_row,
)


@stack.serializable
class ScenarioEmbedding(stack.Layer):
    """An embedding of each row's scenario.

    Use it as the condition of a layer that depends on the scenario; unlike `GroupCondition` it has no rows of its
    own for the missing and the unknown scenario, which few rows or none ever train.

    `e = E[s]` for a real scenario s, and the mean of E's rows for one that is missing or unknown.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        output_dim: Width of the embedding. Default 16.
        unknown: What scenarios 0 and 1 get: `"mean"`, the mean embedding; `"error"`, an `InvalidArgumentError` while
            running. Default `"mean"`.
        embeddings_initializer: Start of the embeddings, a Keras initializer. Default `"uniform"`.

    Call arguments:
        inputs: The index of each row's scenario, int.

    Input shape:
        `(batch,)` or `(batch, 1)`.

    Output shape:
        `(batch, output_dim)`.

    Raises:
        ValueError: Fewer than three scenarios, a width below 1, an unknown choice or inputs of another shape. A
            scenario that does not exist is an `InvalidArgumentError` while running, except where XLA or TFLite runs the
            layer.

    Cost: `(num_scenarios - 2) * output_dim` parameters, one look-up per row.

    Example:

    >>> import tensorflow as tf
    >>> ScenarioEmbedding(num_scenarios=5, output_dim=4)(tf.constant([0, 2])).shape
    TensorShape([2, 4])
    """

    float_arguments = ()  # scenarios

    def __init__(
        self,
        num_scenarios: int,
        output_dim: int = 16,
        unknown: str = "mean",
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_real = check_scenarios(self.name, num_scenarios, unknown)
        if output_dim < 1:
            raise ValueError(f"output_dim must be at least 1, got {output_dim}.")
        self.num_scenarios = int(num_scenarios)
        self.output_dim = int(output_dim)
        self.unknown = unknown
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise ValueError(f"{self.name} takes scenario indices of shape (batch,) or (batch, 1), got {shape}.")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_real, self.output_dim),
            initializer=self.embeddings_initializer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        rows = table_rows(checked_scenario(self.name, inputs, self.num_scenarios, self.unknown))
        return tf.cast(gather_rows(with_mean_row(self.embeddings), rows), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_scenarios": self.num_scenarios,
            "output_dim": self.output_dim,
            "unknown": self.unknown,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
