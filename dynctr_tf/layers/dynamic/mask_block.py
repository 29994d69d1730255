"""MaskNet's block: a dense layer whose inputs are masked by what the instance generates."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator


@stack.serializable
class MaskBlock(stack.ConditionedLayer):
    """Multiplies its inputs by an instance-guided mask, then a dense layer, layer normalisation and ReLU.

    Use it one after the other (serial MaskNet) or side by side on normalised embeddings (parallel MaskNet); the
    condition is always the embeddings themselves.

    `mask = W_2 relu(W_1 z + b_1) + b_2`, z the condition; `y = relu(LN(W (mask * x)))`. Nothing squashes the mask; the
    norm is in float32.

    Args:
        units: Width of the output.
        expansion_ratio: Width of the middle of the mask's network over the width of x: above 1, it expands.
            Default 2.0.
        dropout: Share of the outputs dropped in training. Default 0.0.
        kernel_initializer: Start of all kernels, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: x, float.
        condition: z, float.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, m)` and `(batch, n)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: Numbers out of range, no condition, or tensors of another rank.

    Cost: `(n + m) * m * expansion_ratio + m * units` parameters and multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> MaskBlock(units=4)(tf.ones((2, 3)), tf.ones((2, 6))).shape
    TensorShape([2, 4])

    Reference:
        Wang et al., MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask,
        arXiv 2102.07619, equations 3 and 9. W has no bias, that of the norm takes its place.
    """

    def __init__(
        self,
        units: int,
        expansion_ratio: float = 2.0,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1 or expansion_ratio <= 0:
            raise ValueError(
                f"units must be at least 1 and expansion_ratio above 0, got {units} and {expansion_ratio}."
            )
        self.units = int(units)
        self.expansion_ratio = expansion_ratio
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=stack.wide_dtype(self), name="norm")
        self._drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shapes = (inputs_shape, condition_shape or ())
        if any(len(shape) != 2 or shape[-1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes inputs (batch, m) and a condition (batch, n) of known widths, got {inputs_shape} "
                f"and {condition_shape}; flatten a field map first with keras.layers.Flatten()."
            )
        width = int(inputs_shape[-1])
        self.generator = ParameterGenerator(
            width,
            hidden_dim=max(1, int(width * self.expansion_ratio)),
            stop_gradient=False,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        self.generator.build(shapes[1])
        self.dense = Dense(
            self.units,
            use_bias=False,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build((None, width))
        self.norm.build((None, self.units))

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        y = self.norm(stack.widened(self.dense(self.generator(condition) * inputs)))
        y = tf.nn.relu(tf.cast(y, inputs.dtype))
        return y if self._drop is None else self._drop(y, training=training)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "expansion_ratio": self.expansion_ratio,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
