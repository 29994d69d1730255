"""What the cross layers of DCN-V2 share: the pair of inputs, and kernels that start with draws of their own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer


class PairCrossing(stack.Layer):
    """Base of the layers that cross a vector x_(l-1) with the first one, x_0.

    Use it to write a further cross layer: override `build_kernels`, `cross` and `get_config`.

    Args:
        kernel_initializer: Start of the kernels, a Keras initializer.
        kernel_regularizer: A Keras regularizer of the kernels, or `None`.
    """

    def __init__(self, kernel_initializer: Any, kernel_regularizer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_kernels(self, width: int) -> None:
        """Makes the weights for inputs `(batch, width)`."""
        raise NotImplementedError

    def cross(self, x: tf.Tensor, x0: tf.Tensor) -> tf.Tensor:
        """Computes x_l of x_(l-1) and x_0."""
        raise NotImplementedError

    def add_kernel(self, name: str, shape: tuple[int, int], index: int) -> Any:
        """Makes a kernel; kernels of one layer differ in their index, and so in their start."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=distinct_initializer(self.kernel_initializer, index),
            regularizer=self.kernel_regularizer,
            trainable=True,
        )

    def build(self, input_shape: Any) -> None:
        nested = any(isinstance(entry, (list, tuple, tf.TensorShape)) for entry in input_shape)
        shapes = [tuple(shape) for shape in input_shape] if nested else [tuple(input_shape)]
        widths = {shape[-1] for shape in shapes}
        one_or_pair = len(shapes) == (2 if nested else 1)
        if not one_or_pair or any(len(shape) != 2 for shape in shapes) or len(widths) > 1 or None in widths:
            raise ValueError(
                f"{self.name} takes one tensor (batch, n), or the pair [x_(l-1), x_0] of two of one known "
                f"width; got {shapes}. Flatten a field map first with keras.layers.Flatten()."
            )
        self.build_kernels(shapes[0][-1])
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        return self.cross(*inputs) if isinstance(inputs, (list, tuple)) else self.cross(inputs, inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        first = input_shape[0]
        return tuple(first if isinstance(first, (list, tuple, tf.TensorShape)) else input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
