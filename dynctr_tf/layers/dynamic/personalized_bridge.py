"""PTUPCDR's bridge: a matrix generated from a user carries their embedding to another domain."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator


@stack.serializable
class PersonalizedBridge(stack.ConditionedLayer):
    """Transforms an embedding by a matrix that is generated from what characterises its user.

    Use it to give a user who is new in one domain the embedding that their behaviour in another predicts.

    `y = M(p) u`, `M(p) = sum_j c_j K_j + K_0`, `c = relu(W_1 p + b_1)`, p the condition: a two-layer meta-network that
    gives a matrix. The sum is never made per instance, see `KernelBank`.

    Args:
        units: Width of the output. Default `None`: that of the inputs.
        hidden_dim: Width of the middle of the meta-network. Default 8.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        kernel_initializer: Start of all kernels, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: u, the user's embedding in the source domain, float.
        condition: p, what characterises the user, such as a weighted mean of what they clicked there, float.

    Input shape:
        `(batch, m)` and `(batch, n)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: Numbers below 1, no condition, or tensors of another rank.

    Cost: `(n + 1) * h + (h + 1) * m * units` parameters and multiply-adds per row, with h = `hidden_dim`.

    Example:

    >>> import tensorflow as tf
    >>> PersonalizedBridge()(tf.ones((2, 3)), tf.ones((2, 5))).shape
    TensorShape([2, 3])

    Reference:
        Zhu et al., Personalized Transfer of User Preferences for Cross-domain Recommendation, WSDM 2022, arXiv
        2110.11154, equations 3 to 5.
    """

    def __init__(
        self,
        units: int | None = None,
        hidden_dim: int = 8,
        stop_gradient: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (units is not None and units < 1) or hidden_dim < 1:
            raise ValueError(f"units and hidden_dim must be at least 1, got units={units}, hidden_dim={hidden_dim}.")
        self.units = units
        self.hidden_dim = int(hidden_dim)
        self.stop_gradient = stop_gradient
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.generator = ParameterGenerator(
            self.hidden_dim,
            depth=1,
            output_activation="relu",
            stop_gradient=stop_gradient,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shapes = (inputs_shape, condition_shape or ())
        if any(len(shape) != 2 or shape[-1] is None for shape in shapes):
            raise ValueError(
                f"{self.name} takes embeddings (batch, m) and a condition (batch, n) of known widths, got "
                f"{inputs_shape} and {condition_shape}."
            )
        self.bank = KernelBank(
            self.units or int(inputs_shape[-1]),
            static_kernel=True,
            dynamic_bias=False,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="bank",
        )
        self.generator.build(shapes[1])
        self.bank.build(inputs_shape, (None, self.hidden_dim))

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        return self.bank(inputs, self.generator(condition))

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units or inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "hidden_dim": self.hidden_dim,
            "stop_gradient": self.stop_gradient,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
