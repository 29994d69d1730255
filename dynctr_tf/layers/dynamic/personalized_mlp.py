"""A perceptron whose hidden layers are scaled by generated gates: POSO's, and PEPNet's PPNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.gate_unit import GateUnit


@stack.serializable
class PersonalizedMLP(stack.ConditionedLayer):
    """A perceptron whose hidden layers are each scaled by a `GateUnit`.

    Use it in place of `MLP` to personalise a deep part by few features: those that distinguish new users from old ones
    (POSO), or the ids of user and item (PPNet).

    `x <- dropout(gate_l(z) * activation(W_l x + b_l))` for each l, z the condition. All gates start at 1, where it is
    the plain perceptron.

    Args:
        units: Widths of the layers. Default `(400, 400, 400)`.
        activation: A Keras activation. Default `"relu"`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        gate_scale: As `GateUnit`. Default 2.0.
        reduction_ratio: As `GateUnit`. Default 4.0.
        stop_gradient: As `GateUnit`. Default `False`.
        output_initializer: As `GateUnit`. Default `"zeros"`.
        kernel_initializer: Start of the W_l, a Keras initializer; each has one of its own. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the W_l. Default `None`.

    Call arguments:
        inputs: x, float.
        condition: z, float.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)` and `(batch, n)`.

    Output shape:
        `(batch, units[-1])`.

    Raises:
        ValueError: No layer, widths below 1, no condition, or tensors of another rank.

    Cost: that of `MLP`, and of a gate for each layer.

    Example:

    >>> import tensorflow as tf
    >>> PersonalizedMLP(units=(8, 4))(tf.ones((2, 3)), tf.ones((2, 5))).shape
    TensorShape([2, 4])

    Reference:
        Dai et al., POSO, arXiv 2108.04690, section 3.3; Chang et al., PEPNet, KDD 2023, section 3.4. The gates act on
        the outputs of the layers.
    """

    def __init__(
        self,
        units: Sequence[int] = (400, 400, 400),
        activation: Any = "relu",
        dropout: float = 0.0,
        gate_scale: float = 2.0,
        reduction_ratio: float = 4.0,
        stop_gradient: bool = False,
        output_initializer: Any = "zeros",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(width < 1 for width in units):
            raise ValueError(f"units must be one or more widths of at least 1, got {units!r}.")
        self.units = tuple(int(width) for width in units)
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.gate_scale = gate_scale
        self.reduction_ratio = reduction_ratio
        self.stop_gradient = stop_gradient
        self.output_initializer = keras.initializers.get(output_initializer)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.dense_layers = [
            Dense(
                units,
                activation=self.activation,
                kernel_initializer=distinct_initializer(self.kernel_initializer, index),
                kernel_regularizer=self.kernel_regularizer,
                dtype=self.dtype_policy,
                name=f"dense_{index + 1}",
            )
            for index, units in enumerate(self.units)
        ]
        self.gates = [
            GateUnit(
                gate_scale=gate_scale,
                reduction_ratio=reduction_ratio,
                stop_gradient=stop_gradient,
                output_initializer=self.output_initializer,
                dtype=self.dtype_policy,
                name=f"gate_{index + 1}",
            )
            for index in range(len(self.units))
        ]

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shapes = (inputs_shape, condition_shape or ())
        if any(len(shape) != 2 or shape[-1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes inputs (batch, m) and a condition (batch, n) of known widths, got {inputs_shape} "
                f"and {condition_shape}; flatten a field map first with keras.layers.Flatten()."
            )
        width = inputs_shape[-1]
        for dense, gate in zip(self.dense_layers, self.gates, strict=True):
            dense.build((None, width))
            width = dense.units
            gate.build((None, width), shapes[1])

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        x = inputs
        for dense, gate in zip(self.dense_layers, self.gates, strict=True):
            x = gate(dense(x), condition)
            x = x if self._drop is None else self._drop(x, training=training)
        return x

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "gate_scale": self.gate_scale,
            "reduction_ratio": self.reduction_ratio,
            "stop_gradient": self.stop_gradient,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
