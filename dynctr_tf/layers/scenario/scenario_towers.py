"""What the towers of several scenarios share: a perceptron that meets each row with its scenario's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.embedding.scenario_indices import check_scenarios, checked_scenario
from dynctr_tf.layers.scenario.scenario_rows import scenario_blocks, table_rows


class ScenarioTowers(stack.ScenarioLayer):
    """Base of the perceptrons that have parameters for each scenario.

    Use it to write towers whose parameters come from elsewhere: override `build_parameters`, `dense_parameters` and
    `get_config`. `SeparateTowers`, `StarTowers` and `GeneratedTowers` differ in nothing else.

    `x <- activation(W_s x + b_s)` for each hidden layer, then `y = W_s x + b_s` in float32, s the row's scenario. With
    a rank K, a layer in which that saves parameters is `U (S_s (V x) + b_s) + b`, U and V shared by all scenarios.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        hidden_units: Widths of the hidden layers. Default `(128, 64)`.
        units: Width of the linear output; `None` ends with the last hidden layer. Default 1.
        rank: Rank K of the wide layers. Default `None`: whole kernels.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        unknown: `"mean"` or `"error"`. Default `"mean"`.
        kernel_initializer: A Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer. Default `None`.
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
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_real = check_scenarios(self.name, num_scenarios, unknown)
        widths = [*hidden_units, *([] if units is None else [units])]
        if not widths or any(width < 1 for width in widths):
            raise ValueError(
                "A tower needs at least one layer and widths of at least 1, got "
                f"hidden_units={tuple(hidden_units)}, units={units}."
            )
        if rank is not None and rank < 1:
            raise ValueError(f"rank must be at least 1, or None for whole kernels; got {rank}.")
        self.num_scenarios = int(num_scenarios)
        self.hidden_units = tuple(int(width) for width in hidden_units)
        self.units = units
        self.rank = rank
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.unknown = unknown
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    @property
    def num_layers(self) -> int:
        """Number of layers, the linear output included."""
        return len(self.hidden_units) + (self.units is not None)

    def build_parameters(self, sizes: list[tuple[int, int]]) -> None:
        """Makes what the parameters of the scenarios come from; `sizes` are those of each layer's kernel or core."""
        raise NotImplementedError

    def dense_parameters(self, index: int, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Gives kernels `(n, a, b)` and biases `(n, b)` of a layer; row 0 is the mean scenario."""
        raise NotImplementedError

    def build_weights(self, inputs_shape: tuple[Any, ...], scenario_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) not in (2, 3) or None in inputs_shape[1:]:
            raise ValueError(
                f"{self.name} takes inputs (batch, m), or (batch, t, m) with t vectors of one scenario, of known "
                f"widths, and a scenario index (batch,); got {inputs_shape}. Flatten a field map first."
            )
        widths = [*self.hidden_units, *([] if self.units is None else [self.units])]
        self._sizes = []
        # By the number of the layer; what Keras 2 saves must have names for keys.
        self.factors: dict[str, tuple[Any, Any, Any]] = {}
        width = int(inputs_shape[-1])
        for index, units in enumerate(widths):
            core = (width, units)
            if self.rank is not None and self.rank * (width + units) < width * units:
                core = (self.rank, self.rank)
                start = 1_000 * (index + 1)
                down, up = (
                    self.add_weight(
                        name=f"{name}_{index + 1}",
                        shape=shape,
                        initializer=distinct_initializer(self.kernel_initializer, start + place),
                        regularizer=self.kernel_regularizer,
                        trainable=True,
                    )
                    for place, (name, shape) in enumerate(
                        {"down": (width, self.rank), "up": (self.rank, units)}.items()
                    )
                )
                bias = self.add_weight(
                    name=f"shared_bias_{index + 1}", shape=(units,), initializer="zeros", trainable=True
                )
                self.factors[str(index)] = (down, up, bias)
            self._sizes.append(core)
            width = units
        self.build_parameters(self._sizes)

    def call(self, inputs: tf.Tensor, scenario: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        scenario = checked_scenario(self.name, scenario, self.num_scenarios, self.unknown)
        blocks = scenario_blocks(table_rows(scenario), self.num_real + 1)
        x = blocks.arrange(inputs)  # (blocks, places, m)
        for index in range(self.num_layers):
            hidden = index < len(self.hidden_units)
            x = self._dense(index, x if hidden else stack.widened(x), blocks.rows)
            if hidden:
                x = self.activation(x)
                x = x if self._drop is None else self._drop(x, training=training)
        return blocks.restore(x, inputs.shape[1] if inputs.shape.rank == 3 else None)

    def _dense(self, index: int, x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        kernels, biases = (tf.cast(part, x.dtype) for part in self.dense_parameters(index, rows))
        if str(index) not in self.factors:
            return tf.matmul(x, kernels) + biases[:, tf.newaxis, :]
        down, up, bias = (tf.cast(part, x.dtype) for part in self.factors[str(index)])
        core = tf.matmul(_times(x, down), kernels) + biases[:, tf.newaxis, :]
        return _times(core, up) + bias

    def stored_config(self) -> dict[str, Any]:
        """Returns the configuration of `SeparateTowers` that hold this layer's parameters as finished tables."""
        names = ("name", "dtype", "num_scenarios", "hidden_units", "units", "rank", "activation", "unknown")
        config = self.get_config()
        return {**{name: config[name] for name in names}, "stored_mean": True}

    def stored_weights(self) -> list[Any]:
        """Returns the weights of that layer: what this one has now, the mean of the scenarios included."""
        weights = []
        for index in range(self.num_layers):
            weights += [tf.convert_to_tensor(part) for part in self.factors.get(str(index), ())]
        rows = tf.range(self.num_real + 1)
        for index in range(self.num_layers):
            weights += self.dense_parameters(index, rows)
        return [stack.widened(weight).numpy() for weight in weights]

    def compute_output_shape(self, inputs_shape: Any, scenario_shape: Any = None) -> tuple[Any, ...]:
        return (*tuple(inputs_shape)[:-1], self.hidden_units[-1] if self.units is None else self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_scenarios": self.num_scenarios,
            "hidden_units": self.hidden_units,
            "units": self.units,
            "rank": self.rank,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "unknown": self.unknown,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _times(x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """`(a, b, m)` times `(m, c)` as one plain product."""
    y = tf.matmul(tf.reshape(x, [-1, matrix.shape[0]]), matrix)
    return tf.reshape(y, [tf.shape(x)[0], tf.shape(x)[1], matrix.shape[1]])


class RepeatedStart(keras.initializers.Initializer):  # type: ignore[misc]
    """One start for the kernels of all scenarios, as a dense layer's.

    Towers that start alike can be averaged: the mean of towers with starts of their own would mean nothing.

    Args:
        initializer: The Keras initializer of one kernel.
    """

    def __init__(self, initializer: Any) -> None:
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        one = tf.convert_to_tensor(self.initializer(tuple(shape[1:]), dtype=dtype))
        return tf.tile(one[tf.newaxis], [shape[0], *[1] * (len(shape) - 1)])

    def get_config(self) -> dict[str, Any]:
        return {"initializer": keras.initializers.serialize(self.initializer)}
