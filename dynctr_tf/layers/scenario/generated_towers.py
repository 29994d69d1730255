"""OptMSM's hypernetwork: the tower of each scenario is generated from an embedding of the scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.scenario.scenario_rows import gather_rows, with_mean_row
from dynctr_tf.layers.scenario.scenario_towers import ScenarioTowers


@stack.serializable
class GeneratedTowers(ScenarioTowers):
    """A perceptron whose parameters a hypernetwork generates for each scenario.

    Use it in place of `SeparateTowers` where scenarios are many or small: they share the hypernetwork, and each owns
    an embedding alone. `export.with_scenario_tables` computes the towers once, so that serving generates nothing.

    `c_s = relu(W_1 e_s + b_1)`; `W_s = sum_j c_sj K_j + K_0`, `b_s = sum_j c_sj beta_j + beta_0` for each layer;
    `x <- activation(W_s x + b_s)` for each hidden layer, then `y = W_s x + b_s` in float32, s the row's scenario. With
    a rank K, a layer in which that saves parameters is `U (S_s (V x) + b_s) + b`, the core S_s generated, U and V
    shared. That is the mixture of kernels of `KernelBank`, mixed once per scenario and not once per row. The
    embeddings start small, so that all towers start near the static one, K_0.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        hidden_units: Widths of the hidden layers. Default `(128, 64)`.
        units: Width of the linear output; `None` ends with the last hidden layer. Default 1.
        rank: Rank K of the wide layers. Default `None`: whole kernels.
        scenario_dim: Width of e_s. Default 16.
        code_dim: Width of c_s, the number of kernels that are mixed. Default 8.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        unknown: What rows of scenario 0 and 1 get: `"mean"`, the tower generated from the mean of the codes c_s, which
            is the mean of all towers' parameters; `"error"`, an `InvalidArgumentError` while running. Default `"mean"`.
        kernel_initializer: Start of all kernels, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of K_j and K_0. Default `None`.

    Call arguments:
        inputs: x, float.
        scenario: The index of each row's scenario, int.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)`, or `(batch, t, m)` with t vectors of one scenario; scenario `(batch,)`.

    Output shape:
        `(batch, units)` or `(batch, t, units)`, float32; with `units=None` the last hidden layer, in the compute dtype.

    Raises:
        ValueError: As `SeparateTowers`, also while running, or other numbers below 1.

    Cost: with S real scenarios, d = `scenario_dim` and h = `code_dim`,
    `S * d + (d + 1) * h + (h + 1) * sum(m * c + c)` parameters over the layers, where separate towers have
    `S * sum(m * c + c)`: fewer where h + 1 < S, or so. A layer of rank K has `(h + 1) * (K^2 + K) + (m + c) * K + c`.
    Generating takes h multiply-adds per generated number and block of rows, of which there are at most
    `2 * min(S + 1, batch)`.

    Example:

    >>> import tensorflow as tf
    >>> GeneratedTowers(num_scenarios=5, hidden_units=(8,))(tf.ones((2, 3)), tf.constant([2, 4])).shape
    TensorShape([2, 1])

    Reference:
        OptMSM: Optimizing Multi-Scenario Modeling for Click-Through Rate Prediction, arXiv 2306.13382. Only the
        abstract is public: all equations of the hypernetwork here are our reconstruction.
    """

    def __init__(
        self,
        num_scenarios: int,
        hidden_units: Sequence[int] = (128, 64),
        units: int | None = 1,
        rank: int | None = None,
        scenario_dim: int = 16,
        code_dim: int = 8,
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
            rank,
            activation,
            dropout,
            unknown,
            kernel_initializer,
            kernel_regularizer,
            **kwargs,
        )
        if scenario_dim < 1:
            raise ValueError(f"scenario_dim must be at least 1, got {scenario_dim}.")
        self.scenario_dim = int(scenario_dim)
        self.code_dim = int(code_dim)
        self.generator = ParameterGenerator(
            self.code_dim,
            depth=1,
            output_activation="relu",
            stop_gradient=False,
            kernel_initializer=self.kernel_initializer,
            dtype=stack.wide_dtype(self),
            name="generator",
        )

    def build_parameters(self, sizes: list[tuple[int, int]]) -> None:
        self.scenario_embeddings = self.add_weight(
            name="scenario_embeddings",
            shape=(self.num_real, self.scenario_dim),
            initializer=keras.initializers.RandomUniform(-0.05, 0.05),
            trainable=True,
        )
        self.generator.build((None, self.scenario_dim))
        self.banks = []
        for index, (width, units) in enumerate(sizes):
            bank = KernelBank(
                units,
                static_kernel=True,
                use_bias=True,
                kernel_initializer=distinct_initializer(self.kernel_initializer, 10_000 * (index + 1)),
                kernel_regularizer=self.kernel_regularizer,
                dtype=self.dtype_policy,
                name=f"bank_{index + 1}",
            )
            bank.build((None, width), (None, self.code_dim))
            self.banks.append(bank)

    def dense_parameters(self, index: int, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # What is generated is linear in the codes: the mean code generates the mean tower.
        embeddings = stack.widened(tf.convert_to_tensor(self.scenario_embeddings))
        codes = gather_rows(with_mean_row(self.generator(embeddings)), rows)  # (n, h)
        bank = self.banks[index]
        kernels = stack.widened(bank.kernels)[0]  # (h, a, b)
        width, units = kernels.shape[1:]
        mixed = tf.matmul(codes, tf.reshape(kernels, [self.code_dim, width * units]))
        mixed = tf.reshape(mixed, [-1, width, units]) + stack.widened(bank.unmixed_kernel)[0]
        biases = tf.matmul(codes, stack.widened(bank.biases)) + stack.widened(bank.unmixed_bias)
        return mixed, biases

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scenario_dim": self.scenario_dim, "code_dim": self.code_dim}
