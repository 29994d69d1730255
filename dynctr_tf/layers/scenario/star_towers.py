"""STAR's topology: each scenario's parameters multiply those that all scenarios share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.scenario.scenario_rows import gather_rows, with_mean_row
from dynctr_tf.layers.scenario.scenario_towers import ScenarioTowers


@stack.serializable
class StarTowers(ScenarioTowers):
    """A perceptron of one shared network and one network per scenario, multiplied kernel by kernel.

    Use it in place of `MLP` for scenarios that have most in common: small ones lean on the shared network.

    `W_s = W * V_s`, entry by entry, `b_s = b + a_s`; `x <- activation(W_s x + b_s)` for each hidden layer, then
    `y = W_s x + b_s` in float32. V_s starts at 1 and a_s at 0, where all scenarios are the shared network.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        hidden_units: Widths of the hidden layers. Default `(128, 64)`.
        units: Width of the linear output; `None` ends with the last hidden layer. Default 1.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        unknown: What rows of scenario 0 and 1 get: `"mean"`, the tower with the mean of the scenarios' parameters;
            `"error"`, an `InvalidArgumentError` while running. Default `"mean"`.
        kernel_initializer: Start of the shared kernels, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the shared kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        scenario: The index of each row's scenario, int.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)`, or `(batch, t, m)` with t vectors of one scenario; scenario `(batch,)`.

    Output shape:
        `(batch, units)` or `(batch, t, units)`, float32; with `units=None` the last hidden layer, in the compute dtype.

    Raises:
        ValueError: As `SeparateTowers`, also while running.

    Cost: with S real scenarios, `(S + 1) * sum(m * c + c)` parameters, over the layers; rows as `SeparateTowers`.

    Example:

    >>> import tensorflow as tf
    >>> StarTowers(num_scenarios=5, hidden_units=(8,))(tf.ones((2, 3)), tf.constant([2, 4])).shape
    TensorShape([2, 1])

    Reference:
        Sheng et al., One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction, CIKM
        2021, arXiv 2101.11427, equations of the star topology FCN. The start at 1 is our choice.
    """

    def __init__(
        self,
        num_scenarios: int,
        hidden_units: Sequence[int] = (128, 64),
        units: int | None = 1,
        activation: Any = "relu",
        dropout: float = 0.0,
        unknown: str = "mean",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_scenarios,
            hidden_units,
            units,
            None,
            activation,
            dropout,
            unknown,
            kernel_initializer,
            kernel_regularizer,
            **kwargs,
        )

    def build_parameters(self, sizes: list[tuple[int, int]]) -> None:
        self.shared, self.tables = [], []
        for index, (width, units) in enumerate(sizes):
            kernel = self.add_weight(
                name=f"kernel_{index + 1}",
                shape=(width, units),
                initializer=distinct_initializer(self.kernel_initializer, index),
                regularizer=self.kernel_regularizer,
                trainable=True,
            )
            bias = self.add_weight(name=f"bias_{index + 1}", shape=(units,), initializer="zeros", trainable=True)
            self.shared.append((kernel, bias))
            shapes = {"kernels": (self.num_real, width, units), "biases": (self.num_real, units)}
            starts = {"kernels": "ones", "biases": "zeros"}
            kernels, biases = (
                self.add_weight(
                    name=f"{name}_{index + 1}",
                    shape=shape,
                    initializer=starts[name],
                    trainable=True,
                    **stack.uncast_weight_options(),
                )
                for name, shape in shapes.items()
            )
            self.tables.append((kernels, biases))

    def dense_parameters(self, index: int, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kernel, bias = (tf.convert_to_tensor(weight) for weight in self.shared[index])
        kernels, biases = (gather_rows(with_mean_row(table), rows) for table in self.tables[index])
        return tf.cast(kernel, kernels.dtype) * kernels, tf.cast(bias, biases.dtype) + biases

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        del config["rank"]
        return config

    def stored_config(self) -> dict[str, Any]:
        names = ("name", "dtype", "num_scenarios", "hidden_units", "units", "activation", "unknown")
        config = self.get_config()
        return {**{name: config[name] for name in names}, "stored_mean": True}
