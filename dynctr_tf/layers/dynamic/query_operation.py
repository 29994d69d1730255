"""DPN's heterogeneous query-behaviour operation: the query, transformed by what the behaviours generate."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.mixture_of_kernels import MixtureOfKernels
from dynctr_tf.layers.sequence.sequence_context import SequenceContext


@stack.serializable
class QueryOperation(stack.ConditionedLayer):
    """A dense layer on the query whose kernel is generated from the history of behaviours.

    Use it in place of target attention, or beside it: attention weighs the behaviours by the query, this transforms
    the query by the behaviours.

    `y = W(z)^T q + b(z)`, z the mean over time of the behaviours, W and b as in `MixtureOfKernels`. The mean is taken
    before generating, as the right side of equation 8 has it; both sides agree for a linear generator only.

    Args:
        units: Width c of the output.
        num_kernels: Number l of kernels. Default 4.
        gate_activation: Keras activation of their weights. Default `"softmax"`.
        static_kernel: Whether there is a kernel and bias that no weight scales. Default `True`.
        bias_kind: `"dynamic"`, `"static"` or `"none"`. Default `"dynamic"`.
        context_kind: What z is the mean of, as in `SequenceContext`: `"none"`, `"convolution"` or `"separable"`.
            Default `"none"`.
        kernel_size: Odd number of taps of that convolution. Default 3.
        stop_gradient: Whether the behaviours are cut off from the gradient. Default `False`.
        kernel_initializer: Start of each kernel on its own, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: The query q, float.
        condition: The behaviours, float; needed.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.

    Input shape:
        `(batch, m)`, `(batch, t, n)`, mask `(batch, t)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: An unknown option, no condition, or tensors of another rank.

    Cost: that of `MixtureOfKernels` and of `SequenceContext`: independent of t but for the mean.

    Example:

    >>> import tensorflow as tf
    >>> QueryOperation(units=5)(tf.ones((2, 3)), tf.ones((2, 7, 4))).shape
    TensorShape([2, 5])

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equation 8.
    """

    def __init__(
        self,
        units: int,
        num_kernels: int = 4,
        gate_activation: Any = "softmax",
        static_kernel: bool = True,
        bias_kind: str = "dynamic",
        context_kind: str = "none",
        kernel_size: int = 3,
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = int(units)
        self.num_kernels = int(num_kernels)
        self.gate_activation = keras.activations.get(gate_activation)
        self.static_kernel = static_kernel
        self.bias_kind = bias_kind
        self.context_kind = context_kind
        self.kernel_size = int(kernel_size)
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.summary = SequenceContext(context_kind, kernel_size, dtype=self.dtype_policy, name="context")
        self.mixture = MixtureOfKernels(
            units,
            num_kernels,
            gate_activation=self.gate_activation,
            static_kernel=static_kernel,
            bias_kind=bias_kind,
            stop_gradient=False,  # stopped before the context's own convolution, which then still learns
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="mixture",
        )

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 2 or len(condition_shape or ()) != 3:
            raise ValueError(
                f"{self.name} takes a query (batch, m) and behaviours (batch, t, n), got {inputs_shape} and "
                f"{condition_shape}."
            )
        self.summary.build(condition_shape)
        self.mixture.build(inputs_shape, (None, condition_shape[-1]))  # type: ignore[index]

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        behaviours = tf.stop_gradient(condition) if self.stop_gradient else condition
        return self.mixture(inputs, self.summary(behaviours, mask=mask))

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_kernels": self.num_kernels,
            "gate_activation": keras.activations.serialize(self.gate_activation),
            "static_kernel": self.static_kernel,
            "bias_kind": self.bias_kind,
            "context_kind": self.context_kind,
            "kernel_size": self.kernel_size,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
