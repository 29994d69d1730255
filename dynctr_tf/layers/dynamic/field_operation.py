"""DPN's field-based operation: each field transformed by a kernel that the fields of a context generate."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.mixture_of_kernels import bias_options, generate_each
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.sequence.masked_reductions import masked_mean, masked_softmax
from dynctr_tf.nearest import unknown_name_message

_AGGREGATORS = ("summation", "self", "attention", "concatenate")


@stack.serializable
class FieldOperation(stack.ConditionedLayer):
    """A dense layer over each field whose kernel is a mixture that a whole field map generates.

    Use it in place of a field-wise `keras.layers.Dense`: it keeps the fields apart and far fewer parameters than
    a dense layer over all of them.

    `y_i = sum_e g_ie (K_e^T x_i + beta_e)`, plus `A^T x_i + a` with the implicit part. With
    `g(v) = gate(W^T v + b)` and context fields z_1 ... z_t2 the weights are, by aggregator,

    * `"summation"`: `g_i = mean_j g(z_j)`, alike for all fields;
    * `"self"`: `g_i = g(x_i)`;
    * `"attention"`: `g_i = sum_j h_j g(z_j)`, `h = softmax_j(w_j^T z_j + c_j)`;
    * `"concatenate"`: `g_i = g([z_1; ...; z_t2])`.

    With linear gates, `K_e` the e-th unit vector, W = 1 and `exclude_self`, summation is the factorization machine.

    Args:
        units: Width c of each output field.
        aggregator: As above. Default `"concatenate"`, the paper's best.
        num_kernels: Number l of kernels, shared by all fields. Default 4.
        gate_activation: Keras activation of the weights. Default `"softmax"`.
        implicit: Whether there is the parallel static part A, shared by all fields. Default `True`.
        project_contexts: Whether the concatenation is first projected to the width of one field, without
            bias, which fits the paper's count. Default `False`.
        exclude_self: For summation: whether field i is left out of its own context, which then needs as many
            fields as the inputs. Default `False`.
        bias_kind: `"dynamic"`, `"static"` or `"none"`, as in `MixtureOfKernels`. Default `"dynamic"`.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        kernel_initializer: Start of each kernel on its own, a Keras initializer. Default `"glorot_uniform"`.
        gate_initializer: Start of W. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the kernels. Default `None`.

    Call arguments:
        inputs: A field map X.
        condition: A field map Z. Default: X. Not taken by `"self"`.
        mask: bool, `True` where a context field is there; missing ones count neither in sums nor in the number
            they are divided by. Default `None`: all are there.

    Input shape:
        `(batch, t1, m)`, `(batch, t2, n)`, mask `(batch, t2)`.

    Output shape:
        `(batch, t1, units)`.

    Raises:
        ValueError: An unknown option, `exclude_self` where it has no meaning, a condition for `"self"`, or tensors
            of another rank.

    Cost: `l * (m + 1) * c + (n + 1) * l` parameters, `(m + 1) * c` more with the implicit part, t2 * (n + 1) more for
    attention and `t2 * n * l` for concat; `(l + t1) * m * c` multiply-adds per row, `t1 * l * m * c` where fields have
    kernels of their own (`"self"`, `exclude_self`).

    Example:

    >>> import tensorflow as tf
    >>> FieldOperation(units=5)(tf.ones((2, 3, 4))).shape
    TensorShape([2, 3, 5])

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on field-based
        operations and table 2c. Kernels shared by the fields are read out of the printed counts; that C(z) is
        the number of fields, and the softmax of the attention, are our reading.
    """

    def __init__(
        self,
        units: int,
        aggregator: str = "concatenate",
        num_kernels: int = 4,
        gate_activation: Any = "softmax",
        implicit: bool = True,
        project_contexts: bool = False,
        exclude_self: bool = False,
        bias_kind: str = "dynamic",
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        gate_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if aggregator not in _AGGREGATORS:
            raise ValueError(unknown_name_message("aggregator", str(aggregator), _AGGREGATORS))
        if exclude_self and aggregator != "summation":
            raise ValueError(f"exclude_self belongs to the aggregator 'summation', got it with {aggregator!r}.")
        if project_contexts and aggregator != "concatenate":
            raise ValueError(f"project_contexts belongs to the aggregator 'concatenate', got it with {aggregator!r}.")
        self.units = int(units)
        self.aggregator = aggregator
        self.num_kernels = int(num_kernels)
        self.gate_activation = keras.activations.get(gate_activation)
        self.implicit = implicit
        self.project_contexts = project_contexts
        self.exclude_self = exclude_self
        self.bias_kind = bias_kind
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.gate_initializer = keras.initializers.get(gate_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.generator = ParameterGenerator(
            self.num_kernels,
            depth=1,
            output_activation=self.gate_activation,
            stop_gradient=False,  # stopped before, so that attention and projection are cut off too
            kernel_initializer=self.gate_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        biases = bias_options(bias_kind, static_kernel=False)
        self.bank = KernelBank(
            units,
            dynamic_bias=biases["dynamic_bias"],
            use_bias=biases["use_bias"],
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="bank",
        )
        self.static: Any = None
        if implicit:
            self.static = Dense(
                self.units,
                kernel_initializer=distinct_initializer(self.kernel_initializer, 2_000_003),
                kernel_regularizer=self.kernel_regularizer,
                dtype=self.dtype_policy,
                name="implicit",
            )

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if self.aggregator == "self" and condition_shape is not None:
            raise ValueError(
                f"{self.name} takes no condition: with the aggregator 'self' each field is its own; got one."
            )
        condition_shape = condition_shape or inputs_shape
        bad_rank = len(inputs_shape) != 3 or len(condition_shape) != 3
        if bad_rank or inputs_shape[-1] is None or None in condition_shape[1:]:
            raise ValueError(
                f"{self.name} takes field maps (batch, fields, dim) of known sizes, got inputs {inputs_shape} and "
                f"condition {condition_shape}."
            )
        fields, width = condition_shape[1:]
        if self.exclude_self and (fields < 2 or inputs_shape[1] != fields):
            raise ValueError(
                f"exclude_self needs as many context fields as fields, and two at least; got {inputs_shape[1]} fields "
                f"and {fields} context fields."
            )
        if self.aggregator == "attention":
            self.score_kernel = self.add_weight(
                name="score_kernel", shape=(fields, width), initializer="glorot_uniform", trainable=True
            )
            self.score_bias = self.add_weight(name="score_bias", shape=(fields,), initializer="zeros", trainable=True)
        generator_width = width
        if self.aggregator == "concatenate" and self.project_contexts:
            self.projection = self.add_weight(
                name="projection",
                shape=(fields * width, width),
                initializer=distinct_initializer(self.gate_initializer, 1),
                trainable=True,
            )
        elif self.aggregator == "concatenate":
            generator_width = fields * width
        self.generator.build((None, generator_width))
        gates = (None, inputs_shape[1], self.num_kernels) if self.gates_each_field else (None, self.num_kernels)
        self.bank.build(inputs_shape, gates)
        if self.static is not None:
            self.static.build(inputs_shape)

    @property
    def gates_each_field(self) -> bool:
        """Whether the fields get weights of their own, or all the same."""
        return self.aggregator == "self" or self.exclude_self

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        z = inputs if condition is None else tf.cast(condition, inputs.dtype)
        if self.stop_gradient:
            z = tf.stop_gradient(z)
        mask = None if mask is None else tf.cast(mask, tf.bool)
        y = self.bank(inputs, self.gates(z, mask))
        return y if self.static is None else y + self.static(inputs)

    def gates(self, z: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """Gives the weights of the kernels, `(batch, l)`, or `(batch, t1, l)` where fields have their own."""
        if self.aggregator == "concatenate":
            if mask is not None:
                z = tf.where(mask[:, :, tf.newaxis], z, tf.zeros_like(z))
            z = tf.reshape(z, [-1, z.shape[1] * z.shape[2]])
            if self.project_contexts:
                z = tf.matmul(z, tf.cast(self.projection, z.dtype))
            return self.generator(z)
        # The weights are averaged, not the fields: equation 3 sums what is generated.
        gates = generate_each(self.generator, z)  # (batch, t2, l)
        if self.aggregator == "self":
            return gates
        if self.aggregator == "attention":
            scores = tf.reduce_sum(z * tf.cast(self.score_kernel, z.dtype), axis=-1) + tf.cast(self.score_bias, z.dtype)
            attention = tf.cast(masked_softmax(scores, mask), z.dtype)  # (batch, t2)
            return tf.reduce_sum(attention[:, :, tf.newaxis] * gates, axis=1)
        if not self.exclude_self:
            return masked_mean(gates, mask)
        present = tf.ones_like(gates[..., :1]) if mask is None else tf.cast(mask, gates.dtype)[:, :, tf.newaxis]
        gates = tf.where(present > 0, gates, tf.zeros_like(gates))
        others = tf.reduce_sum(gates, axis=1, keepdims=True) - gates  # (batch, t, l)
        return tf.math.divide_no_nan(others, tf.reduce_sum(present, axis=1, keepdims=True) - present)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (*tuple(inputs_shape)[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "aggregator": self.aggregator,
            "num_kernels": self.num_kernels,
            "gate_activation": keras.activations.serialize(self.gate_activation),
            "implicit": self.implicit,
            "project_contexts": self.project_contexts,
            "exclude_self": self.exclude_self,
            "bias_kind": self.bias_kind,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "gate_initializer": keras.initializers.serialize(self.gate_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
