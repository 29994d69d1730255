"""A hypernetwork that generates a tower for each instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator


@stack.serializable
class InstanceTower(stack.ConditionedLayer):
    """A perceptron whose parameters a hypernetwork generates for each instance.

    Use it in place of `GeneratedTowers` where more than the scenario decides on the tower; its towers cannot be
    computed before serving.

    `c = relu(W_1 z + b_1)`, z the condition; `x <- activation(sum_j c_j (K_j x + beta_j) + K_0 x + beta_0)` for each
    hidden layer, and the same without activation for the output, in float32. With a rank K, a layer in which that saves
    parameters is `U S(c) V x + b`, its core S(c) a mixture of the same kind, U and V static.

    Args:
        hidden_units: Widths of the hidden layers. Default `(128, 64)`.
        units: Width of the linear output. Default 1.
        rank: Rank K of the wide layers. Default `None`: whole kernels.
        code_dim: Width of c, the number of kernels that are mixed. Default 8.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        kernel_initializer: Start of all kernels, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        condition: z, float.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)` and `(batch, n)`.

    Output shape:
        `(batch, units)`, float32.

    Raises:
        ValueError: Widths or a rank below 1, no condition, or tensors of another rank.

    Cost: `(n + 1) * h + (h + 1) * sum(m * c + c)` parameters with h = `code_dim`, and as many multiply-adds per row;
    a layer of rank K: `(h + 1) * (K^2 + K) + (m + c) * K + c`. No kernel per instance is made.

    Example:

    >>> import tensorflow as tf
    >>> InstanceTower(hidden_units=(8,))(tf.ones((2, 3)), tf.ones((2, 4))).shape
    TensorShape([2, 1])

    Reference:
        The instance-wise alternative to the hypernetwork of OptMSM, arXiv 2306.13382, of which only the abstract is
        public: our reconstruction.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (128, 64),
        units: int = 1,
        rank: int | None = None,
        code_dim: int = 8,
        activation: Any = "relu",
        dropout: float = 0.0,
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1 or any(width < 1 for width in hidden_units) or (rank is not None and rank < 1):
            raise ValueError(
                "Widths must be at least 1, and rank too or None, got "
                f"hidden_units={tuple(hidden_units)}, units={units}, rank={rank}."
            )
        self.hidden_units = tuple(int(width) for width in hidden_units)
        self.units = int(units)
        self.rank = rank
        self.code_dim = int(code_dim)
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.generator = ParameterGenerator(
            self.code_dim,
            depth=1,
            output_activation="relu",
            stop_gradient=stop_gradient,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shapes = (inputs_shape, condition_shape or ())
        if any(len(shape) != 2 or shape[-1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes inputs (batch, m) and a condition (batch, n) of known widths, got {inputs_shape} "
                f"and {condition_shape}; flatten a field map first with keras.layers.Flatten()."
            )
        self.generator.build(shapes[1])
        # Flat lists, since Keras does not look for weights in lists of lists; low-rank layers have all three.
        self.banks: list[Any] = []
        self.downs: dict[str, Any] = {}
        self.ups: dict[str, Any] = {}
        width = int(inputs_shape[-1])
        for index, units in enumerate([*self.hidden_units, self.units]):
            policy = self.dtype_policy if index < len(self.hidden_units) else stack.wide_dtype(self)
            start, core = 10_000 * (index + 1), (width, units)
            if self.rank is not None and self.rank * (width + units) < width * units:
                core = (self.rank, self.rank)
                self.downs[str(index)] = self._factor("down", index, self.rank, policy, width)
                self.ups[str(index)] = self._factor("up", index, units, policy, self.rank)
            bank = KernelBank(
                core[1],
                static_kernel=True,
                use_bias=True,
                kernel_initializer=distinct_initializer(self.kernel_initializer, start),
                kernel_regularizer=self.kernel_regularizer,
                dtype=policy,
                name=f"bank_{index + 1}",
            )
            bank.build((None, core[0]), (None, self.code_dim))
            self.banks.append(bank)
            width = units

    def _factor(self, name: str, index: int, units: int, policy: Any, width: int) -> Any:
        dense = Dense(
            units,
            use_bias=name == "up",
            kernel_initializer=distinct_initializer(self.kernel_initializer, 100 * (index + 1) + (name == "up")),
            kernel_regularizer=self.kernel_regularizer,
            dtype=policy,
            name=f"{name}_{index + 1}",
        )
        dense.build((None, width))
        return dense

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        code, x = self.generator(condition), inputs
        for index, bank in enumerate(self.banks):
            hidden, key = index < len(self.hidden_units), str(index)
            x = x if hidden else stack.widened(x)
            x = self.downs[key](x) if key in self.downs else x
            x = bank(x, tf.cast(code, x.dtype))
            x = self.ups[key](x) if key in self.ups else x
            if hidden:
                x = self.activation(x)
                x = x if self._drop is None else self._drop(x, training=training)
        return x

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "units": self.units,
            "rank": self.rank,
            "code_dim": self.code_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
