"""A perceptron of its own for each scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.scenario.scenario_rows import gather_rows, with_mean_row
from dynctr_tf.layers.scenario.scenario_towers import RepeatedStart, ScenarioTowers


@stack.serializable
class SeparateTowers(ScenarioTowers):
    """A perceptron with free parameters for each scenario, of which a row meets its own scenario's alone.

    Use it after a shared bottom, as the gates of MMoE (no hidden layer), and to serve the towers of the other kinds,
    whose parameters were computed before.

    `x <- activation(W_s x + b_s)` for each hidden layer, then `y = W_s x + b_s` in float32, s the row's scenario. With
    a rank K, a layer in which that saves parameters is `U (S_s (V x) + b_s) + b`, U and V shared by all scenarios. All
    scenarios start alike, so that their mean means something.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included, as
            `EncodedFeatures.num_scenarios`.
        hidden_units: Widths of the hidden layers. Default `(128, 64)`.
        units: Width of the linear output; `None` ends with the last hidden layer. Default 1.
        rank: Rank K of the wide layers. Default `None`: whole kernels.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        unknown: What rows of scenario 0 and 1 get: `"mean"`, the tower whose parameters are the mean of those of all
            real scenarios; `"error"`, an `InvalidArgumentError` while running. Default `"mean"`.
        stored_mean: Whether the mean is a row of the tables, which then are finished and no longer trained: the form
            that `export.with_scenario_tables` makes. Default `False`.
        kernel_initializer: Start of the kernels, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of all kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        scenario: The index of each row's scenario, int.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)`, or `(batch, t, m)` with t vectors of one scenario; scenario `(batch,)`.

    Output shape:
        `(batch, units)` or `(batch, t, units)`, float32; with `units=None` the last hidden layer, in the compute dtype.

    Raises:
        ValueError: Fewer than three scenarios, widths or a rank below 1, no layer at all, an unknown choice, or inputs
            of another rank. A scenario that does not exist is an `InvalidArgumentError` while running, except where XLA
            or TFLite runs the layer.

    Cost: with S real scenarios, `S * sum(m * c + c)` parameters, over the layers. Rows are put into blocks of one
    scenario, so that a row costs at most twice the multiply-adds of one tower, and a layer holds at most
    `2 * S * m * c` numbers beside its parameters, however many rows there are.

    Example:

    >>> import tensorflow as tf
    >>> SeparateTowers(num_scenarios=5, hidden_units=(8,))(tf.ones((2, 3)), tf.constant([2, 4])).shape
    TensorShape([2, 1])

    Reference:
        The towers of the shared bottom of Caruana, Multitask Learning, Machine Learning 28, 1997, one per scenario in
        place of one per task. Blocks, the common start and the mean tower are this library's.
    """

    def __init__(
        self,
        num_scenarios: int,
        hidden_units: Sequence[int] = (128, 64),
        units: int | None = 1,
        rank: int | None = None,
        activation: Any = "relu",
        dropout: float = 0.0,
        unknown: str = "mean",
        stored_mean: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_scenarios,
            hidden_units,
            units,
            rank,
            activation,
            dropout,
            unknown,
            kernel_initializer,
            kernel_regularizer,
            **kwargs,
        )
        self.stored_mean = stored_mean

    def build_parameters(self, sizes: list[tuple[int, int]]) -> None:
        count = self.num_real + self.stored_mean
        self.tables = []
        for index, (width, units) in enumerate(sizes):
            kernels = self.add_weight(
                name=f"kernels_{index + 1}",
                shape=(count, width, units),
                initializer=RepeatedStart(distinct_initializer(self.kernel_initializer, index)),
                regularizer=self.kernel_regularizer,
                trainable=not self.stored_mean,
                **stack.uncast_weight_options(),
            )
            biases = self.add_weight(
                name=f"biases_{index + 1}",
                shape=(count, units),
                initializer="zeros",
                trainable=not self.stored_mean,
                **stack.uncast_weight_options(),
            )
            self.tables.append((kernels, biases))

    def dense_parameters(self, index: int, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kernels, biases = (
            tf.convert_to_tensor(table) if self.stored_mean else with_mean_row(table) for table in self.tables[index]
        )
        return gather_rows(kernels, rows), gather_rows(biases, rows)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stored_mean": self.stored_mean}
