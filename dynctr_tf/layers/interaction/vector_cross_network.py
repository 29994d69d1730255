"""The cross network of the first DCN."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import add_bias
from dynctr_tf.layers.dense.initializers import distinct_initializer


@stack.serializable
class VectorCrossNetwork(stack.Layer):
    """All cross layers of the first DCN at once; each has a weight vector in place of a matrix.

    Use it on flattened embeddings, for DCN. `CrossLayer` is that of DCN-V2.

    `x_l = x_0 * (w_l . x_(l-1)) + b_l + x_(l-1)` for l = 1 ... L. All x_l lie on one line,
    `x_l = alpha_l * x_0 + beta_l` with `alpha_0 = 1`, `beta_0 = 0`, `beta_l = beta_(l-1) + b_l` and
    `alpha_l = alpha_(l-1) * (1 + w_l . x_0) + w_l . beta_(l-1)`: so one matrix product of x_0 with all w_l, and
    numbers per row from there on, in float32.

    Args:
        num_layers: Number L of cross layers. Default 3.
        kernel_initializer: Start of the w_l, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the w_l. Default `None`.

    Call arguments:
        inputs: Flattened embeddings x_0.

    Input shape:
        `(batch, n)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: No layer, or another rank.

    Cost: `2 * num_layers * n` parameters; `(num_layers + 1) * n` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> layer = VectorCrossNetwork(num_layers=2, kernel_initializer="ones")
    >>> layer(tf.constant([[1.0, 2.0]])).numpy().tolist()
    [[16.0, 32.0]]

    Reference:
        Wang et al., Deep & Cross Network for Ad Click Predictions, arXiv 1708.05123, equation 3. That the
        output is a multiple of x_0 but for the biases is shown in xDeepFM, arXiv 1803.05170, theorem 2.1.
    """

    def __init__(
        self,
        num_layers: int = 3,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}.")
        self.num_layers = int(num_layers)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes shape (batch, n) with n known, got {tuple(input_shape)}; "
                "flatten a field map first with keras.layers.Flatten()."
            )
        n = input_shape[-1]
        self.kernels = [
            self.add_weight(
                name=f"kernel_{layer + 1}",
                shape=(n, 1),
                initializer=distinct_initializer(self.kernel_initializer, layer),
                regularizer=self.kernel_regularizer,
                trainable=True,
            )
            for layer in range(self.num_layers)
        ]
        self.biases = [
            self.add_weight(name=f"bias_{layer + 1}", shape=(n,), initializer="zeros", trainable=True)
            for layer in range(self.num_layers)
        ]
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernels = [stack.widened(kernel) for kernel in self.kernels]
        products = stack.widened(tf.matmul(inputs, tf.cast(tf.concat(kernels, axis=1), inputs.dtype)))
        alpha = 1.0 + products[:, :1]  # (batch, 1)
        beta = stack.widened(self.biases[0])
        for layer in range(1, self.num_layers):
            shift = tf.reduce_sum(kernels[layer][:, 0] * beta)
            alpha = alpha * (1.0 + products[:, layer : layer + 1]) + shift
            beta = beta + stack.widened(self.biases[layer])
        return add_bias(tf.cast(alpha, inputs.dtype) * inputs, beta)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
