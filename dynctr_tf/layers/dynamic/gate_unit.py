"""The gate of PEPNet, POSO and LHUC: a vector scaled, number by number, by what a condition generates."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.nearest import unknown_name_message

_GRANULARITIES = ("element", "position")


@stack.serializable
class GateUnit(stack.ConditionedLayer):
    """Scales its inputs by generated gates between 0 and 2, which start at 1.

    Use it to personalise a finished network: on embeddings it is EPNet, on hidden layers PPNet or, with features of
    cold-start users as the condition, POSO; on the experts of MMoE, one number each, POSO's form of that.

    `y = delta * x`, `delta = gate_scale * sigmoid(W_2 relu(W_1 c + b_1) + b_2)`, `c = [z; sg(x)]` or z alone, z the
    condition. W_2 starts at 0, so that with a `gate_scale` of 2 the layer starts as the identity.

    Args:
        include_inputs: Whether the gates see the inputs beside the condition. Default `False`.
        granularity: `"element"`, a gate for each number; `"position"`, one for each of the t vectors of inputs
            `(batch, t, n)`. Default `"element"`.
        gate_scale: Upper end of a gate. Default 2.0.
        hidden_dim: Width of the middle. Default `None`: that of c over the reduction ratio.
        reduction_ratio: Width of c over that of the middle. Default 4.0.
        stop_gradient: Whether the condition too is cut off from the gradient; the inputs always are. Default `False`.
        output_initializer: Start of W_2, a Keras initializer. Default `"zeros"`.

    Call arguments:
        inputs: x, float.
        condition: z, float.

    Input shape:
        `(batch, n)` or `(batch, t, n)`; condition `(batch, m)`.

    Output shape:
        That of the inputs.

    Raises:
        ValueError: An unknown granularity, numbers out of range, no condition, or tensors of another rank.

    Cost: with c of width w and G gates, `(w + G) * w / reduction_ratio` parameters and multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> GateUnit()(tf.constant([[3.0, 4.0]]), tf.ones((1, 5))).numpy().tolist()
    [[3.0, 4.0]]

    Reference:
        Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
        Information, KDD 2023, equations 1 to 6 (Gate NU, EPNet, PPNet); Dai et al., POSO: Personalized Cold Start
        Modules for Large-scale Recommender Systems, arXiv 2108.04690, section 3; Swietojanski et al., Learning Hidden
        Unit Contributions, arXiv 1601.02828, with generated contributions. The start at 1 is our choice.
    """

    def __init__(
        self,
        include_inputs: bool = False,
        granularity: str = "element",
        gate_scale: float = 2.0,
        hidden_dim: int | None = None,
        reduction_ratio: float = 4.0,
        stop_gradient: bool = False,
        output_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if granularity not in _GRANULARITIES:
            raise ValueError(unknown_name_message("granularity", str(granularity), _GRANULARITIES))
        self.include_inputs = include_inputs
        self.granularity = granularity
        self.gate_scale = gate_scale
        self.hidden_dim = hidden_dim
        self.reduction_ratio = reduction_ratio
        self.stop_gradient = stop_gradient
        self.output_initializer = keras.initializers.get(output_initializer)
        self.generator: ParameterGenerator | None = None

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        known = condition_shape is not None and len(condition_shape) == 2 and condition_shape[-1] is not None
        if len(inputs_shape) not in (2, 3) or None in inputs_shape[1:] or not known or condition_shape is None:
            raise ValueError(
                f"{self.name} takes inputs (batch, n) or (batch, t, n) and a condition (batch, m) of known widths, got "
                f"{inputs_shape} and {condition_shape}."
            )
        if self.granularity == "position" and len(inputs_shape) != 3:
            raise ValueError(f"A gate per position takes inputs (batch, t, n), got {inputs_shape}.")
        size = inputs_shape[1:] if self.granularity == "element" else (inputs_shape[1], 1)
        self.generator = ParameterGenerator(
            tuple(int(width) for width in size),
            reduction_ratio=self.reduction_ratio,
            hidden_dim=self.hidden_dim,
            output_activation="sigmoid",
            output_scale=self.gate_scale,
            stop_gradient=False,
            output_initializer=self.output_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        width = int(condition_shape[-1])
        width += math.prod(inputs_shape[1:]) if self.include_inputs else 0
        self.generator.build((None, width))

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        if self.generator is None or condition is None:
            raise ValueError(f"{self.name} takes inputs and a condition; got no condition.")
        z = tf.cast(condition, inputs.dtype)
        z = tf.stop_gradient(z) if self.stop_gradient else z
        if self.include_inputs:
            flat = tf.reshape(inputs, [-1, math.prod(inputs.shape[1:])])
            z = tf.concat([z, tf.stop_gradient(flat)], axis=-1)
        return inputs * self.generator(z)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "include_inputs": self.include_inputs,
            "granularity": self.granularity,
            "gate_scale": self.gate_scale,
            "hidden_dim": self.hidden_dim,
            "reduction_ratio": self.reduction_ratio,
            "stop_gradient": self.stop_gradient,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }
