"""POSO's multi-head attention."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.gate_unit import GateUnit
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.sequence.masked_reductions import masked_softmax, presence


@stack.serializable
class PersonalizedAttention(stack.ConditionedLayer):
    """Multi-head self-attention whose queries and keys are scaled, and whose values are mixed, by a condition.

    Use it in place of self-attention over behaviours, with features that distinguish new users from old ones as the
    condition.

    With z the condition: `q = gate_q(z) * (W_q x)`, `k = gate_k(z) * (W_k x)` (`GateUnit`, the same gates for all
    positions), `v = sum_e g_e V_e x`, `g = softmax(W z + b)` (`KernelBank`); `y = W_o softmax(q k^T / sqrt(width)) v`,
    head by head. The softmax is in float32.

    Args:
        num_heads: Number of heads, a divisor of the width of the inputs. Default 2.
        num_kernels: Number of value kernels that are mixed. Default 2.
        reduction_ratio: As `GateUnit`. Default 4.0.
        output_initializer: As `GateUnit`. Default `"zeros"`.
        kernel_initializer: Start of all kernels, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: x, the sequence, float.
        condition: z, float.
        mask: bool, `True` where there is a value; other positions are not seen, and give 0. Default `None`: everywhere.

    Input shape:
        `(batch, t, n)`, condition `(batch, m)`, mask `(batch, t)`.

    Output shape:
        `(batch, t, n)`.

    Raises:
        ValueError: Numbers below 1, heads that do not divide the width, no condition, or tensors of another rank.

    Cost: `(3 + num_kernels) * n ** 2` parameters and those of two gates; t times as many multiply-adds per row, and
    `2 * t ** 2 * n`.

    Example:

    >>> import tensorflow as tf
    >>> PersonalizedAttention()(tf.ones((2, 5, 4)), tf.ones((2, 3))).shape
    TensorShape([2, 5, 4])

    Reference:
        Dai et al., POSO, arXiv 2108.04690, section 3.4: queries and keys are masked, values fully personalised. A
        mixture of kernels for the latter is our reading.
    """

    def __init__(
        self,
        num_heads: int = 2,
        num_kernels: int = 2,
        reduction_ratio: float = 4.0,
        output_initializer: Any = "zeros",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or num_kernels < 1:
            raise ValueError(f"num_heads and num_kernels must be at least 1, got {num_heads} and {num_kernels}.")
        self.num_heads = int(num_heads)
        self.num_kernels = int(num_kernels)
        self.reduction_ratio = reduction_ratio
        self.output_initializer = keras.initializers.get(output_initializer)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shape = condition_shape or ()
        if len(inputs_shape) != 3 or inputs_shape[-1] is None or len(shape) != 2 or shape[-1] is None:
            raise ValueError(
                f"{self.name} takes a sequence (batch, t, n) and a condition (batch, m) of known widths, got "
                f"{inputs_shape} and {condition_shape}."
            )
        width = int(inputs_shape[-1])
        if width % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide the width of the inputs, got {width}.")
        self.projections, self.gates = {}, {}
        for index, name in enumerate(("query", "key", "output")):
            dense = Dense(
                width,
                use_bias=name == "output",
                kernel_initializer=distinct_initializer(self.kernel_initializer, index),
                dtype=self.dtype_policy,
                name=name,
            )
            dense.build((None, None, width))
            self.projections[name] = dense
        for name in ("query", "key"):
            gate = GateUnit(
                reduction_ratio=self.reduction_ratio,
                output_initializer=self.output_initializer,
                dtype=self.dtype_policy,
                name=f"{name}_gate",
            )
            gate.build((None, width), shape)
            self.gates[name] = gate
        self.generator = ParameterGenerator(
            self.num_kernels,
            depth=1,
            output_activation="softmax",
            stop_gradient=False,
            kernel_initializer=distinct_initializer(self.kernel_initializer, 10),
            dtype=self.dtype_policy,
            name="generator",
        )
        self.generator.build(shape)
        self.values = KernelBank(
            width,
            dynamic_bias=False,
            kernel_initializer=distinct_initializer(self.kernel_initializer, 100),
            dtype=self.dtype_policy,
            name="values",
        )
        self.values.build((None, None, width), (None, self.num_kernels))

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        """`(batch, t, n)` to `(batch, heads, t, n / heads)`."""
        shape = [tf.shape(x)[0], tf.shape(x)[1], self.num_heads, x.shape[-1] // self.num_heads]
        return tf.transpose(tf.reshape(x, shape), [0, 2, 1, 3])

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, mask: Any = None) -> tf.Tensor:
        width = inputs.shape[-1]
        present = presence(inputs, stack.given_mask(mask))  # (batch, t)
        ones = tf.ones_like(inputs[:, 0, :])
        parts = {
            # One gate per number for all positions: the gate of a vector of ones is the gate itself.
            name: self._heads(self.projections[name](inputs) * self.gates[name](ones, condition)[:, tf.newaxis, :])
            for name in ("query", "key")
        }
        values = self._heads(self.values(inputs, self.generator(condition)))
        scores = tf.matmul(parts["query"], parts["key"], transpose_b=True)
        scores = stack.widened(scores) * (width // self.num_heads) ** -0.5
        weights = tf.cast(masked_softmax(scores, present[:, tf.newaxis, tf.newaxis, :]), values.dtype)
        attended = tf.transpose(tf.matmul(weights, values), [0, 2, 1, 3])  # (batch, t, heads, n / heads)
        y = self.projections["output"](tf.reshape(attended, tf.shape(inputs)))
        return tf.where(present[:, :, tf.newaxis], y, tf.zeros_like(y))

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "num_kernels": self.num_kernels,
            "reduction_ratio": self.reduction_ratio,
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
