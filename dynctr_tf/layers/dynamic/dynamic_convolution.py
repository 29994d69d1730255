"""DPN's homogeneous behaviour-behaviour operation: a convolution over a sequence, generated from the sequence."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.kernel_bank import bilinear, mixed_kernel
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.sequence.sequence_context import SequenceContext
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("full", "depthwise", "separable")
_MIXES = ("kernels", "outputs")


@stack.serializable
class DynamicConvolution(stack.ConditionedLayer):
    """A 1-D convolution over a sequence whose taps are mixtures of expert kernels, chosen by the whole sequence.

    Use it in place of `keras.layers.Conv1D(padding="same")` or of self-attention between behaviours.

    `y_i = sum_l G_l^T x_(i + l)`, l from -floor(k / 2) to floor(k / 2), beyond the ends x = 0;
    `G_l = sum_e s_le K_le + K_l0`, select operators `s_l = gate(W_l^T z + b_l)`, z the sequence's mean over time. In
    the depthwise form `G_l` is a vector that scales each channel; separable is depthwise, then a static dense
    layer.

    Args:
        filters: Width c of the output. Default `None`: that of the inputs.
        kernel_size: Odd number k of taps. Default 3.
        kind: `"full"`, `"depthwise"` or `"separable"`. Default `"full"`.
        num_kernels: Number d of expert kernels per tap. Default 4.
        gate_activation: Keras activation of the select operators. Default `"softmax"`.
        shared_gate: Whether all taps share one select operator. Default `False`.
        static_kernel: Whether there is `K_l0`, the bias of equation 7. Default `True`.
        context_kind: What z is the mean of: `"none"`, the inputs themselves (globally aware); `"convolution"` or
            `"separable"`, what a static one makes of them (locally aware). Default `"none"`.
        mixed: Order of products of the full form. `"kernels"` mixes a kernel per instance and convolves with it;
            `"outputs"` convolves with all experts and mixes what comes out. Default `"kernels"`.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        kernel_initializer: Start of each expert on its own, a Keras initializer. Default `"glorot_uniform"`.
        gate_initializer: Start of `W_l`. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the experts. Default `None`.

    Call arguments:
        inputs: The sequence, float.
        condition: z, float. Default: made of the inputs, as `context_kind` says.
        mask: bool, `True` where there is a value. Other positions count as 0, and give 0. Default `None`:
            everywhere.

    Input shape:
        `(batch, t, n)` of any length, shorter than the kernel too; condition `(batch, p)`; mask `(batch, t)`.

    Output shape:
        `(batch, t, filters)`.

    Raises:
        ValueError: An unknown option, an even number of taps, filters that a depthwise form cannot have, or
            tensors of another rank.

    Cost: `d * k * n * c` parameters. The full form takes `k * n * c * (d + t)` multiply-adds per row and holds
    `k * n * c` numbers; with `mixed="outputs"` it takes `d * t * k * n * c`, holds `t * d * min(n, c)` and makes no
    kernel per instance: t positions share what mixing costs, so that the first is up to d times cheaper, the
    second smaller for short sequences of wide vectors. Depthwise: `k * n * (d + t)`.

    Example:

    >>> import tensorflow as tf
    >>> DynamicConvolution(filters=5)(tf.ones((2, 7, 4))).shape
    TensorShape([2, 7, 5])

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 6 and 7, with the
        mean inside of the generator, as the introduction says. The separable form is our reading.
    """

    def __init__(
        self,
        filters: int | None = None,
        kernel_size: int = 3,
        kind: str = "full",
        num_kernels: int = 4,
        gate_activation: Any = "softmax",
        shared_gate: bool = False,
        static_kernel: bool = True,
        context_kind: str = "none",
        mixed: str = "kernels",
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        gate_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that a position has a middle tap; got {kernel_size}.")
        if filters is not None and filters < 1:
            raise ValueError(f"filters must be at least 1, or None for the width of the inputs; got {filters}.")
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of convolution", str(kind), _KINDS))
        if mixed not in _MIXES:
            raise ValueError(unknown_name_message("order to mix in", str(mixed), _MIXES))
        self.filters = filters
        self.kernel_size = int(kernel_size)
        self.kind = kind
        self.num_kernels = int(num_kernels)
        self.gate_activation = keras.activations.get(gate_activation)
        self.shared_gate = shared_gate
        self.static_kernel = static_kernel
        self.context_kind = context_kind
        self.mixed = mixed
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.gate_initializer = keras.initializers.get(gate_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.summary = SequenceContext(context_kind, kernel_size, dtype=self.dtype_policy, name="context")
        self.generator = ParameterGenerator(
            (1 if shared_gate else self.kernel_size, self.num_kernels),
            depth=1,
            output_activation=self.gate_activation,
            stop_gradient=False,  # stopped before the context's own convolution, which then still learns
            kernel_initializer=self.gate_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        self.pointwise: Any = None

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 3 or inputs_shape[-1] is None:
            raise ValueError(f"{self.name} takes a sequence (batch, t, n) with n known, got {inputs_shape}.")
        width = inputs_shape[-1]
        filters = self.filters or width
        if self.kind == "depthwise" and filters != width:
            raise ValueError(
                f"A depthwise convolution keeps the width {width} of the inputs, got filters={filters}; "
                "use kind='separable' to change it."
            )
        self.experts = self.add_weight(
            name="experts",
            shape=(
                self.num_kernels + int(self.static_kernel),
                self.kernel_size,
                width,
                filters if self.kind == "full" else 1,
            ),
            initializer=self._initial_experts,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        if condition_shape is None:
            self.summary.build(inputs_shape)
        self.generator.build((None, condition_shape[-1] if condition_shape else width))
        if self.kind == "separable":
            self.pointwise = keras.layers.Dense(filters, use_bias=False, dtype=self.dtype_policy, name="pointwise")
            self.pointwise.build(inputs_shape)

    def _initial_experts(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        starts = [distinct_initializer(self.kernel_initializer, i)(shape[1:], dtype=dtype) for i in range(shape[0])]
        return tf.stack([tf.convert_to_tensor(start) for start in starts])

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        x = inputs
        if mask is not None:
            mask = tf.cast(mask, tf.bool)[:, :, tf.newaxis]
            x = tf.where(mask, x, tf.zeros_like(x))
        source = x if condition is None else condition
        if self.stop_gradient:
            source = tf.stop_gradient(source)
        if condition is None:
            source = self.summary(source, mask=None if mask is None else mask[:, :, 0])
        weights = self.generator(source)  # (batch, k or 1, d)
        if self.static_kernel:
            weights = tf.concat([weights, tf.ones_like(weights[..., :1])], axis=-1)
        experts = tf.cast(self.experts, x.dtype)  # (d, k, n, c), c = 1 for depthwise
        side = self.kernel_size // 2
        length = tf.shape(x)[1]
        padded = tf.pad(x, [[0, 0], [side, side], [0, 0]])
        y: Any = 0.0
        for tap in range(self.kernel_size):
            shifted = padded[:, tap : tap + length]  # (batch, t, n): position i holds x_(i + l)
            gates = weights[:, 0 if self.shared_gate else tap]  # (batch, d)
            bank = experts[:, tap]  # (d, n, c)
            if self.kind == "full" and self.mixed == "outputs":
                y += bilinear(gates[:, tf.newaxis, :], shifted, bank)
                continue
            mixed = mixed_kernel(gates, bank)  # (batch, n, c)
            y += tf.matmul(shifted, mixed) if self.kind == "full" else shifted * mixed[:, tf.newaxis, :, 0]
        if self.pointwise is not None:
            y = self.pointwise(y)
        return y if mask is None else tf.where(mask, y, tf.zeros_like(y))

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (*tuple(inputs_shape)[:-1], self.filters or inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "kind": self.kind,
            "num_kernels": self.num_kernels,
            "gate_activation": keras.activations.serialize(self.gate_activation),
            "shared_gate": self.shared_gate,
            "static_kernel": self.static_kernel,
            "context_kind": self.context_kind,
            "mixed": self.mixed,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "gate_initializer": keras.initializers.serialize(self.gate_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
