"""What the dynamic interaction layers share: an interaction layer, a generator and the condition."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.interaction.field_crossing import FieldCrossing


class DynamicCrossing(FieldCrossing):
    """Base of the interaction layers that generate a part of their parameters for each instance.

    Use it to write a further such layer: override `build_mixture`, `make_generator`, `mixture` and
    `get_config`. It is `FieldCrossing` with a second call argument.

    Args:
        reduction_ratio: Of the generator.
        depth: Of the generator.
        stop_gradient: Whether the condition is cut off from the gradient.
        **options: As `FieldCrossing`.
    """

    def __init__(self, *, reduction_ratio: float, depth: int, stop_gradient: bool, **options: Any) -> None:
        super().__init__(**options)
        self.reduction_ratio = reduction_ratio
        self.depth = depth
        self.stop_gradient = stop_gradient
        self.generator: ParameterGenerator | None = None

    def make_generator(self, num_fields: int, dim: int, **options: Any) -> ParameterGenerator:
        """Makes the generator; `options` are those that all these layers give it."""
        raise NotImplementedError

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        num_fields, dim = self.map_sizes(inputs_shape)
        self.build_mixture(num_fields, dim)
        self.generator = self.make_generator(
            num_fields,
            dim,
            reduction_ratio=self.reduction_ratio,
            depth=self.depth,
            stop_gradient=self.stop_gradient,
            dtype=self.dtype_policy,
            name="generator",
        )
        if condition_shape is not None:
            self.generator.build(tuple(condition_shape))
        elif stack.KERAS_3:
            self.generator.build((None, num_fields * dim))
        # Keras 2 gives only the shape of the inputs here; the first call then builds the generator.
        self.built = True

    def call(self, inputs: Any, condition: Any = None, training: bool | None = None) -> tf.Tensor:
        if condition is None:
            x0 = inputs[-1] if isinstance(inputs, (list, tuple)) else inputs
            condition = tf.reshape(x0, [-1, x0.shape[1] * x0.shape[2]])
        return self.cross(inputs, condition, training)

    def generate(self, condition: tf.Tensor | None) -> tf.Tensor:
        """Gives the generated parameters of each instance."""
        if self.generator is None or condition is None:
            raise ValueError(f"{self.name} generates its parameters in a call, after it was built.")
        return self.generator(condition)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return super().compute_output_shape(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "depth": self.depth,
            "stop_gradient": self.stop_gradient,
        }
