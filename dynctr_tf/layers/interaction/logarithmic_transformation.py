"""The logarithmic transformation layer of AFN."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.batch_normalization import BatchNormalization
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class LogarithmicTransformation(stack.Layer):
    """Products of powers of fields whose exponents are learned: interactions of any order, fractions included.

    Use it in front of a multi-layer perceptron, as in AFN. Each of its neurons is one product, entry by entry
    along the embedding.

    `output[n] = BN(exp(sum_f W[f, n] * BN(log(max(|e_f|, epsilon)))))`, in float32.

    Args:
        num_neurons: Number of products. Default 64.
        batch_norm: Whether logarithms are normalised per field and products per neuron, over the batch and the
            entries of an embedding. Default `True`.
        epsilon: Smallest absolute value that differs from 0. Default 1e-7.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: A field map.
        training: Whether the normalisation uses the batch. Default `None`: Keras decides.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, num_neurons, dim)`.

    Raises:
        ValueError: Fewer than one neuron, an epsilon that is not above 0, another rank or unknown sizes.

    Cost: `fields * num_neurons` parameters, `fields * num_neurons * dim` multiply-adds,
    `fields * dim` logarithms and `num_neurons * dim` exponentials per row.

    Example:

    >>> import tensorflow as tf
    >>> layer = LogarithmicTransformation(1, batch_norm=False, kernel_initializer="ones")
    >>> layer(tf.constant([[[2.0], [-3.0]]])).numpy().round(4).tolist()
    [[[6.0]]]

    Reference:
        Cheng et al., Adaptive Factorization Network, AAAI 2020, arXiv 1909.03276, equation 6. The paper makes
        embeddings positive and normalises after log and exp without saying along what; per field and per
        neuron is FuxiCTR's reading. The first normalisation has a scale but no shift: that would be a
        constant factor of each product, which the second takes away.
    """

    def __init__(
        self,
        num_neurons: int = 64,
        batch_norm: bool = True,
        epsilon: float = 1e-7,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_neurons < 1:
            raise ValueError(f"num_neurons must be at least 1, got {num_neurons}.")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be above 0, got {epsilon}.")
        self.num_neurons = int(num_neurons)
        self.batch_norm = batch_norm
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        if batch_norm:
            # The constants of torch, and so of FuxiCTR, whose reading this is.
            options: dict[str, Any] = {"epsilon": 1e-5, "momentum": 0.9, "dtype": stack.wide_dtype(self)}
            self.log_norm = BatchNormalization(center=False, name="log_norm", **options)
            self.exp_norm = BatchNormalization(name="exp_norm", **options)

    def build(self, input_shape: Any) -> None:
        fields, dim = field_map_sizes(self.name, input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(fields, self.num_neurons),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        if self.batch_norm:
            self.log_norm.build((None, fields))
            self.exp_norm.build((None, self.num_neurons))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        _, fields, dim = inputs.shape
        x = tf.reshape(tf.transpose(stack.widened(inputs), [0, 2, 1]), [-1, fields])  # (batch * dim, fields)
        x = tf.math.log(tf.maximum(tf.abs(x), self.epsilon))
        if self.batch_norm:
            x = self.log_norm(x, training=training)
        x = tf.exp(tf.matmul(x, stack.widened(self.kernel)))
        if self.batch_norm:
            x = self.exp_norm(x, training=training)
        products = tf.transpose(tf.reshape(x, [-1, dim, self.num_neurons]), [0, 2, 1])
        return tf.cast(products, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.num_neurons, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_neurons": self.num_neurons,
            "batch_norm": self.batch_norm,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
