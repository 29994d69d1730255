"""The cross layer of DCN-V2 with a mixture of low-rank experts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.interaction.pair_crossing import PairCrossing
from dynctr_tf.nearest import unknown_name_message

_GATE_ACTIVATIONS = ("softmax", "sigmoid")


@stack.serializable
class CrossMixtureLayer(PairCrossing):
    """One cross layer of DCN-V2 whose matrix is a gated mixture of low-rank experts with a non-linear middle.

    Use it in a chain on flattened embeddings like `CrossLayer`, where a full matrix is too expensive: it is the
    layer of DCN-Mix, which other papers call CrossMix.

    `x_l = sum_k G_k(x_(l-1)) * E_k(x_(l-1)) + x_(l-1)`,
    `E_k(x) = x_0 * (U_k g(C_k g(V_k^T x)) + b)`. The experts stand side by side in U and V, so that each is
    one matrix product, with the gate between; the biases add up to `b * sum_k G_k`, which is b for softmax.

    Args:
        rank: Width r of an expert. Default 32.
        num_experts: Number K of experts. Default 4.
        activation: The function g, a Keras activation. Default `"tanh"`.
        gate_activation: `"softmax"` or `"sigmoid"`. Default `"softmax"`.
        kernel_initializer: Start of U, C and V, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of U, C and V. Default `None`.

    Call arguments:
        inputs: The pair `[x_(l-1), x_0]`, or `x_0` alone in the first layer.

    Input shape:
        `(batch, n)`, once or twice.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: Sizes below 1, an unknown gate_activation, inputs of another rank or of different widths.

    Cost: `2 * K * n * r + K * r ** 2 + K * n + n` parameters; about as many multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 6))
    >>> x1 = CrossMixtureLayer(rank=2, num_experts=3)(x0)
    >>> CrossMixtureLayer(rank=2, num_experts=3)([x1, x0]).shape
    TensorShape([2, 6])

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 3 and 4. The gate has a matrix of its own in each
        layer, as the equations have it; FuxiCTR and DeepCTR share one among all layers. No gate bias.
    """

    def __init__(
        self,
        rank: int = 32,
        num_experts: int = 4,
        activation: Any = "tanh",
        gate_activation: str = "softmax",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_initializer, kernel_regularizer, **kwargs)
        if rank < 1 or num_experts < 1:
            raise ValueError(f"rank and num_experts must be at least 1, got {rank} and {num_experts}.")
        if gate_activation not in _GATE_ACTIVATIONS:
            raise ValueError(unknown_name_message("gate_activation", str(gate_activation), _GATE_ACTIVATIONS))
        self.rank = int(rank)
        self.num_experts = int(num_experts)
        self.activation = keras.activations.get(activation)
        self.gate_activation = gate_activation

    def build_kernels(self, width: int) -> None:
        n, r, experts = width, self.rank, self.num_experts
        # One weight per expert, so that each starts with the fans of its own matrix; the rows of a product.
        self.down = [self.add_kernel(f"down_{k + 1}", (n, r), k) for k in range(experts)]
        self.middle = [self.add_kernel(f"middle_{k + 1}", (r, r), experts + k) for k in range(experts)]
        self.up = [self.add_kernel(f"up_{k + 1}", (r, n), 2 * experts + k) for k in range(experts)]
        self.bias = self.add_weight(name="bias", shape=(n,), initializer="zeros", trainable=True)
        if experts > 1 or self.gate_activation == "sigmoid":  # softmax over one expert is 1
            self.gate_kernel = self.add_weight(
                name="gate_kernel",
                shape=(n, experts),
                initializer=distinct_initializer(self.kernel_initializer, 3 * experts),
                trainable=True,
            )
        else:
            self.gate_kernel = None

    def cross(self, x: tf.Tensor, x0: tf.Tensor) -> tf.Tensor:
        dtype = x.dtype
        hidden = self.activation(tf.matmul(x, _joined(self.down, 1, dtype)))  # (batch, K * r)
        parts = tf.split(hidden, self.num_experts, axis=1)
        parts = [
            self.activation(tf.matmul(part, tf.cast(middle, dtype)))
            for part, middle in zip(parts, self.middle, strict=True)
        ]
        bias = tf.cast(self.bias, dtype)
        if self.gate_kernel is not None:
            scores = stack.widened(tf.matmul(x, tf.cast(self.gate_kernel, dtype)))
            gates = tf.nn.softmax(scores) if self.gate_activation == "softmax" else tf.sigmoid(scores)
            if self.gate_activation == "sigmoid":
                bias = tf.cast(tf.reduce_sum(gates, axis=1, keepdims=True), dtype) * bias
            columns = tf.split(tf.cast(gates, dtype), self.num_experts, axis=1)
            parts = [part * column for part, column in zip(parts, columns, strict=True)]
        mixture = tf.matmul(tf.concat(parts, axis=1), _joined(self.up, 0, dtype))  # (batch, n)
        return x0 * (mixture + bias) + x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rank": self.rank,
            "num_experts": self.num_experts,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": self.gate_activation,
        }


def _joined(kernels: list[Any], axis: int, dtype: Any) -> tf.Tensor:
    return tf.concat([tf.cast(kernel, dtype) for kernel in kernels], axis=axis)
