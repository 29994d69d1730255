"""What all polynomial interaction layers share: X_l = X_{l-1} * mix(X_0) + X_{l-1}, and its two layouts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer


class FieldCrossing(stack.Layer):
    """Base of the layers that multiply field maps by mixtures of the fields of the first one.

    Use it to write a further such layer: override `mixture`, `call` and `get_config`, and `build_mixture` where it
    takes other weights than one matrix. These layers differ in what mixes the fields (a static matrix, one that is
    generated per instance). The product of X_{l-1} and the mixture of X_0, the residual, the dropout and the two
    layouts are the same and are in this class. The defaults are in the layers: one that forgets an option here fails.

    `X_l = X_{l-1} * M(X_0) + X_{l-1}`, computed as `X_{l-1} * (M(X_0) + 1)`; without the residual
    `X_{l-1} * M(X_0)`.

    Args:
        residual: Whether X_{l-1} is added.
        dropout: Share of the entries of X_0 that is dropped in training before the fields are mixed.
        fields_last: The layout of the tensors: `False`, field maps `(batch, fields, dim)`; `True`, transposed
            ones `(batch, dim, fields)`, in which mixing the fields is one plain matrix product. A network
            that works on the second transposes once in place of twice a layer.
        kernel_initializer: Start of the matrices that mix the fields, a Keras initializer.
        kernel_regularizer: A Keras regularizer of these matrices, or `None`.
    """

    def __init__(
        self,
        *,
        residual: bool,
        dropout: float,
        fields_last: bool,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share from 0 up to, not including, 1; got {dropout}.")
        self.residual = residual
        self.dropout = dropout
        self.fields_last = fields_last
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build_mixture(self, num_fields: int, dim: int) -> None:
        """Makes the weights that do not depend on the condition: one matrix, if a subclass does not make others."""
        self.kernel = self.add_kernel("kernel", (num_fields, num_fields))

    def add_kernel(self, name: str, shape: tuple[int, int], index: int | None = None) -> Any:
        """Makes a matrix; those with an index of their own start with other draws of the initializer."""
        start = self.kernel_initializer if index is None else distinct_initializer(self.kernel_initializer, index)
        return self.add_weight(
            name=name, shape=shape, initializer=start, regularizer=self.kernel_regularizer, trainable=True
        )

    def mixture(self, x0: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Mixes the fields: `(batch, dim, fields)` to `(batch, dim, fields)`."""
        raise NotImplementedError

    def build(self, inputs_shape: Any) -> None:
        num_fields, dim = self.map_sizes(inputs_shape)
        self.build_mixture(num_fields, dim)
        self.built = True

    def cross(self, inputs: Any, condition: tf.Tensor | None, training: bool | None) -> tf.Tensor:
        """Applies the formula of the class."""
        x, x0 = inputs if isinstance(inputs, (list, tuple)) else (inputs, inputs)
        if self.dropout:
            x0 = self._dropout(x0, training=training)
        if not self.fields_last:
            x0 = tf.transpose(x0, [0, 2, 1])
        factor = self.mixture(x0, condition)  # (batch, dim, fields)
        if self.residual:
            factor = factor + tf.ones([], factor.dtype)
        return x * (factor if self.fields_last else tf.transpose(factor, [0, 2, 1]))

    def map_sizes(self, inputs_shape: Any) -> tuple[int, int]:
        """Returns (fields, dim) of the inputs.

        Raises:
            ValueError: Not one field map, nor a pair of field maps of one shape, with known sizes.
        """
        nested = any(isinstance(entry, (list, tuple, tf.TensorShape)) for entry in inputs_shape)
        shapes = [tuple(shape) for shape in inputs_shape] if nested else [tuple(inputs_shape)]
        layout = "(batch, dim, fields)" if self.fields_last else "(batch, fields, dim)"
        alike = len({shape[1:] for shape in shapes}) == 1
        if (
            len(shapes) != (2 if nested else 1)
            or not alike
            or any(len(shape) != 3 or None in shape[1:] for shape in shapes)
        ):
            raise ValueError(
                f"{self.name} takes one field map {layout}, or the pair [X_(l-1), X_0] of two of one shape, "
                f"with known sizes; got {shapes}."
            )
        _, first, second = shapes[0]
        return (second, first) if self.fields_last else (first, second)

    def compute_output_shape(self, inputs_shape: Any) -> tuple[Any, ...]:
        self.map_sizes(inputs_shape)
        first = inputs_shape[0]
        return tuple(first if isinstance(first, (list, tuple, tf.TensorShape)) else inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "residual": self.residual,
            "dropout": self.dropout,
            "fields_last": self.fields_last,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def mix_fields(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Multiplies the last axis by a matrix, as one plain matrix product over all rows and columns.

    A product of rank 3 by rank 2 would be a batched one, which a CPU runs several times slower.

    Args:
        x: `(batch, dim, n)`.
        kernel: `(n, m)`.
    """
    dim, width = x.shape[1], kernel.shape[1]
    product = tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), kernel)  # (batch * dim, m)
    return tf.reshape(product, [-1, dim, width])
