"""The output layer of xDeepInt and DynInt."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack


@stack.serializable
class FieldSumOutput(stack.Layer):
    """Weighs the fields and sums over everything: the logit of the polynomial interaction networks.

    Use it after interaction layers, in place of flattening and a dense layer. It takes stacked sub-spaces as
    they are (`num_subspaces`), since all pieces of a field have one weight.

    `logit = (W_out X_L + b_out 1^T) 1 = sum_f w_f * sum_d X[f, d] + dim * b_out`, in float32.

    Args:
        num_subspaces: Number h of pieces into which `SplitSubspaces` cut each embedding. Default 1.
        fields_last: Whether the input is `(batch, dim, fields)`. Default `False`.
        kernel_initializer: Start of W_out, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W_out. Default `None`.
        dtype: The policy. A logit stays float32, also where the global policy is mixed.
            Default `"float32"`.

    Call arguments:
        inputs: A field map, or one with stacked sub-spaces, or several joined along the field axis.

    Input shape:
        `(batch, fields * h, dim / h)`, or transposed with `fields_last`.

    Output shape:
        `(batch, 1)`, float32.

    Raises:
        ValueError: Another rank, or h does not divide the number of stacked fields.

    Cost: `fields + 1` parameters; `fields * dim` additions per row.

    Example:

    >>> import tensorflow as tf
    >>> FieldSumOutput(kernel_initializer="ones")(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[10.0]]

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equation 2. The bias is counted dim times, as there.
    """

    def __init__(
        self,
        num_subspaces: int = 1,
        fields_last: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        dtype: Any = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if num_subspaces < 1:
            raise ValueError(f"num_subspaces must be at least 1, got {num_subspaces}.")
        self.num_subspaces = int(num_subspaces)
        self.fields_last = fields_last
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 3 or None in tuple(input_shape)[1:]:
            raise ValueError(
                f"{self.name} takes shape (batch, fields, dim) with known sizes, got {tuple(input_shape)}."
            )
        stacked_fields = input_shape[2 if self.fields_last else 1]
        if stacked_fields % self.num_subspaces:
            raise ValueError(
                f"{self.name} cannot share {stacked_fields} stacked fields among {self.num_subspaces} sub-spaces."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(stacked_fields // self.num_subspaces, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros", trainable=True)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = stack.widened(inputs)
        piece = x.shape[1] if self.fields_last else x.shape[2]
        sums = tf.reduce_sum(x, axis=1 if self.fields_last else 2)  # (batch, fields * h)
        if self.num_subspaces > 1:
            # The pieces of a field lie side by side and share its weight.
            sums = tf.reduce_sum(tf.reshape(sums, [-1, self.kernel.shape[0], self.num_subspaces]), axis=2)
        dim = piece * self.num_subspaces
        return tf.matmul(sums, stack.widened(self.kernel)) + dim * stack.widened(self.bias)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_subspaces": self.num_subspaces,
            "fields_last": self.fields_last,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
