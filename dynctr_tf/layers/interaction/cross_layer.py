"""The cross layer of DCN-V2."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import add_bias
from dynctr_tf.layers.interaction.pair_crossing import PairCrossing


@stack.serializable
class CrossLayer(PairCrossing):
    """One cross layer of DCN-V2, with a full matrix or a low-rank one.

    Use it in a chain on flattened embeddings: layer l gets the pair of the output of layer l - 1 and of the
    first input. It crosses single bits and raises the degree of interaction by one.

    `x_l = x_0 * (W x_(l-1) + b) + x_(l-1)`, with `W = U V^T` where a rank is given.

    Args:
        rank: Columns of U and V. Default `None`: a full matrix.
        use_bias: Whether there is a bias b. Default `True`.
        kernel_initializer: Start of W, or of U and V, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W, or of U and V. Default `None`.

    Call arguments:
        inputs: The pair `[x_(l-1), x_0]`, or `x_0` alone in the first layer.

    Input shape:
        `(batch, n)`, once or twice.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: A rank below 1, inputs of another rank or of different widths.

    Cost: `n ** 2 + n` parameters, or `2 * n * rank + n`; as many multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 3))
    >>> x1 = CrossLayer()(x0)
    >>> CrossLayer(rank=1)([x1, x0]).shape
    TensorShape([2, 3])

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 1 and 2 (without the mixture of experts).
    """

    def __init__(
        self,
        rank: int | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_initializer, kernel_regularizer, **kwargs)
        if rank is not None and rank < 1:
            raise ValueError(f"rank must be at least 1, or None for a full matrix; got {rank}.")
        self.rank = rank
        self.use_bias = use_bias

    def build_kernels(self, width: int) -> None:
        rank = self.rank
        sizes = {"kernel": (width, width)} if rank is None else {"down": (width, rank), "up": (rank, width)}
        self.kernels = [self.add_kernel(name, shape, index) for index, (name, shape) in enumerate(sizes.items())]
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros", trainable=True)

    def cross(self, x: tf.Tensor, x0: tf.Tensor) -> tf.Tensor:
        crossed = x
        for kernel in self.kernels:
            crossed = tf.matmul(crossed, tf.cast(kernel, crossed.dtype))
        if self.use_bias:
            crossed = add_bias(crossed, self.bias)
        return x0 * crossed + x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rank": self.rank,
            "use_bias": self.use_bias,
        }
