"""DPN's low-rank generator: a dense layer whose kernel is a generated mixture of static kernels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.nearest import unknown_name_message


@stack.serializable
class MixtureOfKernels(stack.ConditionedLayer):
    """A dense layer whose kernel and bias are a mixture of static ones, with weights that the condition generates.

    Use it in place of `keras.layers.Dense` in any network: it is the operation with which DPN has its best
    results, and a good first choice.

    `y = sum_e g_e (K_e^T x + beta_e)`, `g = gate(W^T z + b)`, z the condition. This is the two-layer generator of
    equation 5, whose second layer holds the kernels; with `static_kernel` there is `+ K_0^T x + beta_0`, that
    layer's bias.

    Args:
        units: Width c of the output.
        num_kernels: Number l of kernels, the hidden width of the generator. Default 4.
        gate_activation: Keras activation of the weights; the paper tries `"softmax"` and `"sigmoid"`. Softmax starts
            near 1 / l. Default `"softmax"`.
        static_kernel: Whether the generator's second layer has its bias. The paper's formula has it; its counts do not.
            Default `False`.
        bias_kind: Which bias there is: `"dynamic"`, one per kernel, mixed with them; `"static"`; or `"none"`.
            Default `"dynamic"`.
        num_heads: Number h of pieces that x and y are cut into, a divisor of both widths. Default 1.
        head_kind: `"block_diagonal"`, each head has kernels of its own; `"shared"`, all use the same. The gate is one.
            Default `"block_diagonal"`.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        kernel_initializer: Start of each kernel on its own, a Keras initializer. Default `"glorot_uniform"`.
        gate_initializer: Start of W; `"zeros"` begins with equal weights. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: x, float.
        condition: z, float. Default: x.

    Input shape:
        `(batch, m)` and `(batch, n)`, or `(batch, t, m)` with `(batch, n)` or `(batch, t, n)`.

    Output shape:
        `(batch, units)`, or `(batch, t, units)`.

    Raises:
        ValueError: Numbers below 1, heads that do not divide a width, an unknown option, or tensors of another
            rank.

    Cost: `l * (m / h + 1) * c + (n + 1) * l` parameters and as many multiply-adds per row, l / h times a dense
    layer's; `l * min(m, c)` numbers held per row. No kernel is made per instance.

    Example:

    >>> import tensorflow as tf
    >>> layer = MixtureOfKernels(units=300)
    >>> layer(tf.ones((2, 30))).shape
    TensorShape([2, 300])
    >>> layer.count_params()
    37324

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equation 5 and table 2a.
        Absent bias of the second layer and both kinds of heads are read out of the printed parameter counts.
    """

    def __init__(
        self,
        units: int,
        num_kernels: int = 4,
        gate_activation: Any = "softmax",
        static_kernel: bool = False,
        bias_kind: str = "dynamic",
        num_heads: int = 1,
        head_kind: str = "block_diagonal",
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        gate_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = int(units)
        self.num_kernels = int(num_kernels)
        self.gate_activation = keras.activations.get(gate_activation)
        self.static_kernel = static_kernel
        self.bias_kind = bias_kind
        self.num_heads = int(num_heads)
        self.head_kind = head_kind
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.gate_initializer = keras.initializers.get(gate_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.generator = ParameterGenerator(
            self.num_kernels,
            depth=1,
            output_activation=self.gate_activation,
            stop_gradient=stop_gradient,
            kernel_initializer=self.gate_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        self.bank = KernelBank(
            units,
            static_kernel=static_kernel,
            **bias_options(bias_kind, static_kernel),
            num_heads=num_heads,
            head_kind=head_kind,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="bank",
        )

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        condition_shape = condition_shape or inputs_shape
        # First, since it is the bank that explains which ranks go together.
        self.bank.build(inputs_shape, (*condition_shape[:-1], self.num_kernels))
        self.generator.build((None, condition_shape[-1]))

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        return self.bank(inputs, generate_each(self.generator, inputs if condition is None else condition))

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (*tuple(inputs_shape)[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_kernels": self.num_kernels,
            "gate_activation": keras.activations.serialize(self.gate_activation),
            "static_kernel": self.static_kernel,
            "bias_kind": self.bias_kind,
            "num_heads": self.num_heads,
            "head_kind": self.head_kind,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "gate_initializer": keras.initializers.serialize(self.gate_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def bias_options(bias: str, static_kernel: bool) -> dict[str, bool]:
    """Translates the kind of bias of an operation into the biases of its bank.

    Args:
        bias: `"dynamic"`, `"static"` or `"none"`.
        static_kernel: Whether there is a kernel that no weight scales; a dynamic bias then has such a part too.

    Raises:
        ValueError: Another kind.
    """
    kinds = {
        "dynamic": {"dynamic_bias": True, "use_bias": static_kernel},
        "static": {"dynamic_bias": False, "use_bias": True},
        "none": {"dynamic_bias": False, "use_bias": False},
    }
    if bias not in kinds:
        raise ValueError(unknown_name_message("bias", str(bias), kinds))
    return kinds[bias]


def generate_each(generator: ParameterGenerator, condition: tf.Tensor) -> tf.Tensor:
    """Generates for each row of a condition `(batch, n)`, or for each position of one `(batch, t, n)`.

    Args:
        generator: A generator of a vector.
        condition: A float tensor of rank 2 or 3.
    """
    if condition.shape.rank == 2:
        return generator(condition)
    generated = generator(tf.reshape(condition, [-1, condition.shape[-1]]))  # (batch * t, l)
    return tf.reshape(generated, tf.concat([tf.shape(condition)[:-1], [generated.shape[-1]]], axis=0))
