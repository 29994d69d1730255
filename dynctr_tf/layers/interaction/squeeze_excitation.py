"""The squeeze-and-excitation layer of FiBiNET."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.interaction.field_map import field_map_sizes


@stack.serializable
class SqueezeExcitation(stack.Layer):
    """Weighs whole fields by weights that a small network computes from their means (SENet).

    Use it to let a model play down fields row by row, as in FiBiNET.

    `q_f = mean_d e_f[d]`; `a = act(W_2 relu(W_1 q))`; `v_f = a_f * e_f`.

    Args:
        reduction_ratio: The middle is `max(1, fields // reduction_ratio)` wide. Default 3.
        activation: The last activation, a Keras activation: `"relu"` or `"sigmoid"`. Default `"relu"`.
        kernel_initializer: Start of W_1 and W_2, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W_1 and W_2. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields, dim)`.

    Raises:
        ValueError: A ratio below 1, another rank or unknown sizes.

    Cost: `2 * fields ** 2 / reduction_ratio` parameters and multiply-adds per row, and `2 * fields * dim`.

    Example:

    >>> import tensorflow as tf
    >>> layer = SqueezeExcitation(2, kernel_initializer="ones")
    >>> layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist()
    [[[5.0, 15.0], [10.0, 20.0]]]

    Reference:
        Huang et al., FiBiNET, RecSys 2019, arXiv 1905.09433, equations 3 to 5. No biases, as there.
    """

    def __init__(
        self,
        reduction_ratio: float = 3,
        activation: Any = "relu",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if reduction_ratio < 1:
            raise ValueError(f"reduction_ratio must be at least 1, got {reduction_ratio}.")
        self.reduction_ratio = reduction_ratio
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        fields, _ = field_map_sizes(self.name, input_shape)
        middle = max(1, int(fields / self.reduction_ratio))
        self.squeeze, self.excite = (
            self.add_weight(
                name=name,
                shape=shape,
                initializer=distinct_initializer(self.kernel_initializer, index),
                regularizer=self.kernel_regularizer,
                trainable=True,
            )
            for index, (name, shape) in enumerate({"squeeze": (fields, middle), "excite": (middle, fields)}.items())
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        means = tf.reduce_mean(inputs, axis=2)  # (batch, fields)
        hidden = tf.nn.relu(tf.matmul(means, tf.cast(self.squeeze, inputs.dtype)))
        weights = self.activation(tf.matmul(hidden, tf.cast(self.excite, inputs.dtype)))
        return inputs * weights[:, :, tf.newaxis]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
