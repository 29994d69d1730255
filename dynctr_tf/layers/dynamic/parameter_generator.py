"""The generator: turns the condition of an instance into the small tensor that its layer applies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import add_bias
from dynctr_tf.layers.dense.initializers import distinct_initializer


@stack.serializable
class ParameterGenerator(stack.Layer):
    """A small network from a condition to generated parameters, with a start that is chosen on purpose.

    Use it to write a dynamic layer; the layers of this room all generate with it. What it gives at the start
    is decided by `output_offset`, `output_scale` and the output activation, since the network itself starts near 0 for
    the small embeddings that it is given: `2 * sigmoid` and `linear + 1` start near 1, softmax near 1 / l.

    `output = output_scale * a_out(W_d a(... a(W_1 z + b_1) ...) + b_d) + output_offset`, with z the condition, its
    gradient stopped where asked. With depth 2 the hidden width is that of the condition divided by the reduction ratio.

    Args:
        output_size: Shape of what is generated per instance: a number or a tuple of numbers.
        depth: Number of dense layers. Default 2.
        reduction_ratio: Hidden layers have `ceil(n / reduction_ratio)` units, for a condition of width n.
            Default 4.0.
        hidden_dim: Width of the hidden layers, in place of the reduction ratio. Default `None`.
        activation: Keras activation of the hidden layers. Default `"relu"`.
        output_activation: Keras activation of the output; sigmoid and softmax are computed in float32, softmax
            over the last axis. Default `"linear"`.
        output_scale: Factor of the output. Default 1.0.
        output_offset: Added to the output. Default 0.0.
        stop_gradient: Whether the condition is cut off from the gradient, so that the generator trains itself
            and nothing before it. Default `True`.
        kernel_initializer: Start of the kernels, a Keras initializer; each has one of its own.
            Default `"glorot_uniform"`.
        output_initializer: Start of the last kernel, a Keras initializer. With `"zeros"` the generator gives, at the
            start, exactly `output_scale * a_out(0) + output_offset` for every instance. Default `None`: as the others.

    Call arguments:
        inputs: The condition, float.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, *output_size)`.

    Raises:
        ValueError: Sizes below 1, or a condition of another rank.

    Cost: for depth 2, with m values generated, `(n + m) * n / reduction_ratio` parameters and as many
    multiply-adds per row, plus the biases.

    Example:

    >>> import tensorflow as tf
    >>> ParameterGenerator((2, 3), output_offset=1.0, kernel_initializer="zeros")(tf.ones((1, 8))).numpy().tolist()
    [[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, section 3: two layers, a reduction ratio, the gradient of the
        embeddings blocked. ReLU and the flattened condition are our reading.
    """

    def __init__(
        self,
        output_size: int | Sequence[int],
        depth: int = 2,
        reduction_ratio: float = 4.0,
        hidden_dim: int | None = None,
        activation: Any = "relu",
        output_activation: Any = "linear",
        output_scale: float = 1.0,
        output_offset: float = 0.0,
        stop_gradient: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        output_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_size = (output_size,) if isinstance(output_size, int) else tuple(output_size)
        if not self.output_size or any(size < 1 for size in self.output_size):
            raise ValueError(f"output_size must be one or more numbers of at least 1, got {output_size!r}.")
        if depth < 1:
            raise ValueError(f"depth must be at least 1 dense layer, got {depth}.")
        if reduction_ratio <= 0:
            raise ValueError(f"reduction_ratio must be above 0, got {reduction_ratio}.")
        if hidden_dim is not None and hidden_dim < 1:
            raise ValueError(f"hidden_dim must be at least 1, or None for the ratio; got {hidden_dim}.")
        self.depth = depth
        self.reduction_ratio = reduction_ratio
        self.hidden_dim = hidden_dim
        self.activation = keras.activations.get(activation)
        self.output_activation = keras.activations.get(output_activation)
        self.output_scale = output_scale
        self.output_offset = output_offset
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = None if output_initializer is None else keras.initializers.get(output_initializer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes a condition of shape (batch, n) with n known, got {tuple(input_shape)}; "
                "flatten a field map first with keras.layers.Flatten()."
            )
        width = input_shape[-1]
        hidden = self.hidden_dim or math.ceil(width / self.reduction_ratio)
        widths = [width, *[hidden] * (self.depth - 1), math.prod(self.output_size)]
        self.kernels, self.biases = [], []
        for index, shape in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            initializer = distinct_initializer(self.kernel_initializer, index)
            if index == self.depth - 1 and self.output_initializer is not None:
                initializer = self.output_initializer
            self.kernels.append(
                self.add_weight(
                    name=f"kernel_{index + 1}",
                    shape=shape,
                    initializer=initializer,
                    trainable=True,
                )
            )
            self.biases.append(
                self.add_weight(name=f"bias_{index + 1}", shape=(shape[1],), initializer="zeros", trainable=True)
            )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.stop_gradient(inputs) if self.stop_gradient else inputs
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            if index:
                x = self.activation(x)
            x = add_bias(tf.matmul(x, tf.cast(kernel, x.dtype)), bias)
        x = stack.widened(tf.reshape(x, [-1, *self.output_size]))
        x = self.output_activation(x)
        x = x if self.output_scale == 1.0 else self.output_scale * x
        x = x if self.output_offset == 0.0 else x + self.output_offset
        return tf.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], *self.output_size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "depth": self.depth,
            "reduction_ratio": self.reduction_ratio,
            "hidden_dim": self.hidden_dim,
            "activation": keras.activations.serialize(self.activation),
            "output_activation": keras.activations.serialize(self.output_activation),
            "output_scale": self.output_scale,
            "output_offset": self.output_offset,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": None
            if self.output_initializer is None
            else keras.initializers.serialize(self.output_initializer),
        }
