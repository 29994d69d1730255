"""A table of embeddings of its own for each scenario."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, PADDING_ID
from dynctr_tf.layers.embedding.field_embedding import FieldEmbedding
from dynctr_tf.layers.embedding.scenario_indices import check_scenarios, checked_scenario


@stack.serializable
class ScenarioFieldEmbedding(keras.layers.Layer):
    """`FieldEmbedding` with a table for each scenario, so that scenarios share no embedding at all.

    Use it to build one model per scenario that train side by side; anywhere else scenarios gain by one common table.

    `output[k] = E_s[i_k]`, s the row's scenario, and 0 for the padding id 0. In a row whose scenario is missing or
    unknown it is the mean of `E_s[i_k]` over all real s.

    Args:
        num_ids: Size of the id space of one table, the padding id 0 included.
        output_dim: Size D of an embedding.
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        unknown: What rows of scenario 0 and 1 get: `"mean"`; `"error"`, an `InvalidArgumentError` while running.
            Default `"mean"`.
        initial_scale: As `FieldEmbedding`. Default 0.05.
        row_regularizer_l2: As `FieldEmbedding`. Default 0.0.
        seed: As `FieldEmbedding`. Default `None`.

    Call arguments:
        inputs: The list of scenario indices and one or more tensors of ids, int, which are joined along axis 1.
        training: As `FieldEmbedding`. Default `None`: as `False`.

    Input shape:
        A list of `(batch,)` and of `(batch, n_j)` with n = sum of n_j.

    Output shape:
        `(batch, n, output_dim)` in the compute dtype.

    Raises:
        ValueError: Fewer than three scenarios, an unknown choice, inputs of other shapes, or what `FieldEmbedding`
            refuses. A scenario that does not exist is an `InvalidArgumentError` while running, except where XLA or
            TFLite runs the layer.

    Cost: with S real scenarios `S * num_ids * D` parameters; a row of a real scenario costs what it costs in
    `FieldEmbedding`, one of an unknown scenario S times that.

    Example:

    >>> import tensorflow as tf
    >>> layer = ScenarioFieldEmbedding(num_ids=10, output_dim=4, num_scenarios=5)
    >>> layer([tf.constant([2, 0]), tf.constant([[1, 5, 0], [1, 7, 9]])]).shape
    TensorShape([2, 3, 4])
    """

    def __init__(
        self,
        num_ids: int,
        output_dim: int,
        num_scenarios: int,
        unknown: str = "mean",
        initial_scale: float = 0.05,
        row_regularizer_l2: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_real = check_scenarios(self.name, num_scenarios, unknown)
        self.num_ids = int(num_ids)
        self.output_dim = int(output_dim)
        self.num_scenarios = int(num_scenarios)
        self.unknown = unknown
        self.initial_scale = initial_scale
        self.row_regularizer_l2 = row_regularizer_l2
        self.seed = seed
        self.tables = FieldEmbedding(
            self.num_ids * self.num_real,
            output_dim,
            initial_scale=initial_scale,
            row_regularizer_l2=row_regularizer_l2,
            seed=seed,
            dtype=self.dtype_policy,
            name="tables",
        )
        self.supports_jit = False

    def build(self, input_shape: Any) -> None:
        shapes = [tuple(shape) if hasattr(shape, "__len__") else () for shape in input_shape]
        if len(shapes) < 2 or len(shapes[0]) != 1 or any(len(shape) != 2 for shape in shapes[1:]):
            raise ValueError(
                f"{self.name} takes a list of scenario indices (batch,) and of ids (batch, n), got {shapes}."
            )
        self.tables.build((None, sum(shape[1] for shape in shapes[1:])))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        scenario = checked_scenario(self.name, inputs[0], self.num_scenarios, self.unknown)
        ids = tf.concat([tf.cast(part, tf.int32) for part in inputs[1:]], axis=1)
        known = scenario >= FIRST_VALUE_OFFSET
        # A row of an unknown scenario is looked up in all tables, as if it were one row of each scenario.
        copies = tf.where(known, 1, self.num_real)
        row = tf.repeat(tf.range(tf.shape(scenario)[0]), copies)
        copy = tf.range(tf.shape(row)[0]) - tf.gather(tf.cumsum(copies, exclusive=True), row)
        table = tf.where(tf.gather(known, row), tf.gather(scenario, row) - FIRST_VALUE_OFFSET, copy)
        copied = tf.gather(ids, row)
        shifted = tf.where(copied == PADDING_ID, PADDING_ID, copied + table[:, tf.newaxis] * self.num_ids)
        rows = tf.cast(self.tables(shifted, training=training), tf.float32)
        # A sum divided by counts, which TFLite has built in, where a mean by segments is an operation of its own.
        total = tf.math.unsorted_segment_sum(rows, row, tf.shape(scenario)[0])
        return tf.cast(total / tf.cast(copies, tf.float32)[:, tf.newaxis, tf.newaxis], self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shapes = [tuple(shape) for shape in input_shape]
        return (shapes[0][0], sum(shape[1] for shape in shapes[1:]), self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_ids": self.num_ids,
            "output_dim": self.output_dim,
            "num_scenarios": self.num_scenarios,
            "unknown": self.unknown,
            "initial_scale": self.initial_scale,
            "row_regularizer_l2": self.row_regularizer_l2,
            "seed": self.seed,
        }
