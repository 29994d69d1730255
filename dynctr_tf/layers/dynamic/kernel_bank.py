"""Static kernels that generated weights combine: the one product that all of DPN's operations share.

HyperDense, the mixture of kernels, the decomposed kernel and the field-based operations of DPN are all the same
bilinear form in the generated weights and the inputs. This file has that form, with the two orders that compute it
without a kernel per instance.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.nearest import unknown_name_message

_HEADS = ("block_diagonal", "shared")


def bilinear(weights: tf.Tensor, x: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Applies a weighted sum of kernels to vectors without ever summing the kernels of an instance.

    `y_c = sum_(e, b) weights_e kernels[e, b, c] x_b`. The same `l * m * c` multiply-adds are spent on one plain
    matrix product either way: of the outer product of weights and x with all kernels, or of x with all kernels
    side by side, weighted after. The first holds `l * m` numbers per row, the second `l * c`, and the smaller
    one is taken; a kernel per instance would hold `m * c`.

    Args:
        weights: `(..., l)`, leading axes broadcast against those of `x`.
        x: `(..., m)`.
        kernels: `(l, m, c)`.

    Returns:
        `(..., c)`, the leading axes being those of `x`.

    Example:

    >>> import tensorflow as tf
    >>> kernels = tf.constant([[[1.0]], [[10.0]]])
    >>> bilinear(tf.constant([[2.0, 0.5]]), tf.constant([[3.0]]), kernels).numpy().tolist()
    [[21.0]]
    """
    count, width, units = kernels.shape
    if width <= units:
        outer = weights[..., :, tf.newaxis] * x[..., tf.newaxis, :]  # (..., l, m)
        y = tf.matmul(tf.reshape(outer, [-1, count * width]), tf.reshape(kernels, [count * width, units]))
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [units]], axis=0))
    side_by_side = tf.reshape(tf.transpose(kernels, [1, 0, 2]), [width, count * units])
    parts = tf.matmul(tf.reshape(x, [-1, width]), side_by_side)  # (rows, l * c)
    parts = tf.reshape(parts, tf.concat([tf.shape(x)[:-1], [count, units]], axis=0))
    return tf.reduce_sum(weights[..., :, tf.newaxis] * parts, axis=-2)


def mixed_kernel(weights: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Sums kernels `(l, m, c)` under the weights `(batch, l)` of each row: `(batch, m, c)`."""
    count, width, units = kernels.shape
    kernel = tf.matmul(weights, tf.reshape(kernels, [count, width * units]))
    return tf.reshape(kernel, [-1, width, units])


@stack.serializable
class KernelBank(stack.ConditionedLayer):
    """A bank of dense kernels and biases, mixed per instance by weights that come from elsewhere.

    Use it to write an operation whose generator is your own: `MixtureOfKernels`, `HyperDense`, `DecomposedDense`
    and `FieldOperation` are generators in front of it.

    `y = sum_e g_e (K_e^T x + beta_e) + K_0^T x + beta_0`, with g the weights; the last two terms are optional.
    Several heads cut x and y into pieces: piece i of y is made of piece i of x.

    Args:
        units: Width c of the output.
        static_kernel: Whether there is the kernel K_0 that no weight scales. Default `False`.
        dynamic_bias: Whether the biases beta_e are mixed with the kernels. Default `True`.
        use_bias: Whether there is the bias beta_0. Default `False`.
        num_heads: Number h of pieces, a divisor of both widths. Default 1.
        head_kind: `"block_diagonal"`, each head has kernels of its own; `"shared"`, all use the same.
            Default `"block_diagonal"`.
        kernel_initializer: Start of each kernel on its own, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        weights: g, float, one weight per kernel.

    Input shape:
        `(batch, m)` with weights `(batch, l)`; or `(batch, t, m)` with `(batch, l)`, one mixture for all
        positions, or `(batch, t, l)`, one for each.

    Output shape:
        `(batch, units)`, or `(batch, t, units)`.

    Raises:
        ValueError: A width below 1, heads that do not divide it, an unknown kind of heads, no weights, or tensors
            of another rank.

    Cost: `l * m * c / h` multiply-adds per row and position, as many parameters (1 / h of them with shared
    heads) and `l * c` of the biases; K_0 counts as one more kernel. Per row it holds `l * min(m, c)` numbers,
    not the `m * c` of a kernel per instance. Where t positions share one mixture, and `max(m, c) <= t * l`, the
    kernel of the row is the smaller: it is mixed once, `l * m * c + t * m * c` multiply-adds in place of
    `t * l * m * c`.

    Example:

    >>> import tensorflow as tf
    >>> KernelBank(units=5)(tf.ones((2, 3)), tf.ones((2, 4))).shape
    TensorShape([2, 5])

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 4 and 5. The two
        readings of heads both fit the count that the paper prints.
    """

    float_arguments = ("inputs", "weights")
    condition_argument = "weights"

    def __init__(
        self,
        units: int,
        static_kernel: bool = False,
        dynamic_bias: bool = True,
        use_bias: bool = False,
        num_heads: int = 1,
        head_kind: str = "block_diagonal",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1 or num_heads < 1 or units % num_heads:
            raise ValueError(
                f"units must be at least 1 and a multiple of num_heads, got units={units}, num_heads={num_heads}."
            )
        if head_kind not in _HEADS:
            raise ValueError(unknown_name_message("kind of heads", str(head_kind), _HEADS))
        self.units = int(units)
        self.static_kernel = static_kernel
        self.dynamic_bias = dynamic_bias
        self.use_bias = use_bias
        self.num_heads = int(num_heads)
        self.head_kind = head_kind
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        # A layer whose weights do not sum to 1 or so, but grow with their number, sets a smaller one.
        self.start_scale = 1.0

    def build(self, inputs_shape: Any, weights_shape: Any = None) -> None:
        super().build(inputs_shape, weights_shape)

    def build_weights(self, inputs_shape: tuple[Any, ...], weights_shape: tuple[Any, ...] | None) -> None:
        ranks = (len(inputs_shape), len(weights_shape or ()))
        widths = (inputs_shape[-1], (weights_shape or (None,))[-1])
        if ranks not in ((2, 2), (3, 2), (3, 3)) or None in widths:
            raise ValueError(
                f"{self.name} takes inputs (batch, m) or (batch, t, m) and weights (batch, l), or (batch, t, l) "
                f"beside the latter, with m and l known; got {inputs_shape} and {weights_shape}."
            )
        width, count = widths
        if width % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide the width of the inputs, got {width}.")
        sets = self.num_heads if self.head_kind == "block_diagonal" else 1
        size = (width // self.num_heads, self.units // self.num_heads)
        self.kernels = self.add_weight(
            name="kernels",
            shape=(sets, count, *size),
            initializer=self._initial_kernels,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        self.unmixed_kernel = self.biases = self.unmixed_bias = None
        if self.static_kernel:
            self.unmixed_kernel = self.add_weight(
                name="static_kernel",
                shape=(sets, 1, *size),
                initializer=self._initial_kernels,
                regularizer=self.kernel_regularizer,
                trainable=True,
            )
        if self.dynamic_bias:
            self.biases = self.add_weight(name="biases", shape=(count, self.units), initializer="zeros", trainable=True)
        if self.use_bias:
            self.unmixed_bias = self.add_weight(
                name="static_bias", shape=(self.units,), initializer="zeros", trainable=True
            )

    def _initial_kernels(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        """Starts each kernel as if it were a dense layer's; over the whole bank Glorot's rule would be too small."""
        sets, count, width, units = shape
        starts = []
        for index in range(sets * count):
            # K_0 is one more kernel, with a start of its own.
            own = distinct_initializer(self.kernel_initializer, index if count > 1 else 1_000_003 + index)
            starts.append(tf.convert_to_tensor(own((width, units), dtype=dtype)))
        scale = self.start_scale if count > 1 else 1.0
        return scale * tf.reshape(tf.stack(starts), shape)

    def call(self, inputs: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
        if weights is None:
            raise ValueError(f"{self.name} takes inputs and the weights of its kernels; got no weights.")
        x, gates = inputs, tf.cast(weights, inputs.dtype)
        if x.shape.rank == 3 and gates.shape.rank == 2:
            gates = gates[:, tf.newaxis, :]  # (batch, 1, l): one mixture for all positions
        kernels = tf.cast(self.kernels, x.dtype)
        weights = gates
        if self.unmixed_kernel is not None:
            # A kernel that no weight scales is one more, whose weight is 1.
            weights = tf.concat([gates, tf.ones_like(gates[..., :1])], axis=-1)
            kernels = tf.concat([kernels, tf.cast(self.unmixed_kernel, x.dtype)], axis=1)
        if self._mixes_once(x, weights):
            y = tf.matmul(x, mixed_kernel(weights[:, 0], kernels[0]))
        elif self.num_heads == 1:
            y = bilinear(weights, x, kernels[0])
        elif self.head_kind == "block_diagonal":
            pieces = tf.split(x, self.num_heads, axis=-1)
            y = tf.concat([bilinear(weights, piece, kernels[i]) for i, piece in enumerate(pieces)], axis=-1)
        else:
            shape = tf.shape(x)[:-1]
            pieces = tf.reshape(x, tf.concat([shape, [self.num_heads, kernels.shape[2]]], axis=0))  # (..., h, m / h)
            y = bilinear(weights[..., tf.newaxis, :], pieces, kernels[0])  # (..., h, c / h)
            y = tf.reshape(y, tf.concat([shape, [self.units]], axis=0))
        if self.biases is not None:
            biases = tf.cast(self.biases, x.dtype)
            y += tf.reshape(
                tf.matmul(tf.reshape(gates, [-1, biases.shape[0]]), biases),
                tf.concat([tf.shape(gates)[:-1], [self.units]], axis=0),
            )
        if self.unmixed_bias is not None:
            y += tf.cast(self.unmixed_bias, x.dtype)
        return y

    def _mixes_once(self, x: tf.Tensor, weights: tf.Tensor) -> bool:
        """Whether all positions of a row take one mixture, and its kernel holds no more numbers than their products."""
        if self.num_heads > 1 or x.shape.rank != 3 or weights.shape[1] != 1 or x.shape[1] is None:
            return False
        return bool(x.shape[1] > 1 and max(x.shape[2], self.units) <= x.shape[1] * weights.shape[2])

    def compute_output_shape(self, inputs_shape: Any, weights_shape: Any = None) -> tuple[Any, ...]:
        return (*tuple(inputs_shape)[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "static_kernel": self.static_kernel,
            "dynamic_bias": self.dynamic_bias,
            "use_bias": self.use_bias,
            "num_heads": self.num_heads,
            "head_kind": self.head_kind,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
