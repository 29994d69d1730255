"""A stack of adaptive dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.batch_normalization import BatchNormalization
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.adaptive_dense import AdaptiveDense


@stack.serializable
class AdaptiveMLP(stack.ConditionedLayer):
    """A multi-layer perceptron whose kernels are adapted to each instance, as `AdaptiveDense`.

    Use it in place of `MLP`; `make_adaptive` does so in a finished model.

    `x <- dropout(activation(batch_norm(U_l S_l(z) V_l x + b_l)))` for each l; z is the condition, the same for all,
    or self-wise the x of each layer.

    Args:
        units: Widths of the layers. Default `(400, 400, 400)`.
        activation: A Keras activation. Default `"relu"`.
        batch_norm: Whether to normalise over the batch before the activation; there is no bias then, which the
            normalisation would take away again. Default `False`.
        dropout: Share of the outputs of each layer that is dropped in training. Default 0.0.
        kernel_initializer: As `AdaptiveDense`; each layer has one of its own. Default `"glorot_uniform"`.
        kernel_regularizer: As `AdaptiveDense`. Default `None`.
        adaptive: Other arguments of `AdaptiveDense`, the same for each layer, such as `{"rank": 8}`. For `rank` and
            `over_parameterisation` a list gives each layer its own. Default `None`.

    Call arguments:
        inputs: A float tensor.
        condition: z, float. Default: self-wise.
        training: Whether dropout drops and the normalisation uses the batch. Default `None`: Keras decides.

    Input shape:
        `(batch, m)`, and `(batch, n)` or `(batch, c, n)` for the condition.

    Output shape:
        `(batch, units[-1])`.

    Raises:
        ValueError: No layer, a width below 1, lists of another length, or what `AdaptiveDense` refuses.

    Cost: the sum of those of its layers.

    Example:

    >>> import tensorflow as tf
    >>> AdaptiveMLP(units=(8, 4), adaptive={"rank": [3, 2]})(tf.ones((2, 3))).shape
    TensorShape([2, 4])

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3. Batch normalisation between product and activation is our
        reading; then there is no bias, also where the arguments ask for one.
    """

    float_arguments = ("inputs",)  # a condition is cast by the layers that know whether it numbers groups

    def __init__(
        self,
        units: Sequence[int] = (400, 400, 400),
        activation: Any = "relu",
        batch_norm: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        adaptive: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(width < 1 for width in units):
            raise ValueError(f"units must be one or more widths of at least 1, got {units!r}.")
        self.units = tuple(int(width) for width in units)
        self.activation = keras.activations.get(activation)
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.adaptive = dict(adaptive or {})
        self._steps: list[Any] = []
        for index, width in enumerate(self.units):
            options = {key: self._option_of(key, value, index) for key, value in self.adaptive.items()}
            if batch_norm:
                options["bias_kind"] = "none"
            self._steps.append(
                AdaptiveDense(
                    width,
                    activation=None if batch_norm else self.activation,
                    kernel_initializer=distinct_initializer(self.kernel_initializer, 10_000 * index),
                    kernel_regularizer=self.kernel_regularizer,
                    dtype=self.dtype_policy,
                    name=f"dense_{index + 1}",
                    **options,
                )
            )
            if batch_norm:
                self._steps.append(BatchNormalization(dtype=self.dtype_policy, name=f"batch_norm_{index + 1}"))
                self._steps.append(
                    keras.layers.Activation(self.activation, dtype=self.dtype_policy, name=f"activation_{index + 1}")
                )
            if dropout:
                self._steps.append(keras.layers.Dropout(dropout, dtype=self.dtype_policy, name=f"dropout_{index + 1}"))

    def _option_of(self, key: str, value: Any, index: int) -> Any:
        if key not in ("rank", "over_parameterisation") or not isinstance(value, (list, tuple)):
            return value
        if len(value) != len(self.units):
            raise ValueError(
                f"{key} of {self.name!r} must have one value for each of its {len(self.units)} layers, got "
                f"{len(value)}: {list(value)}."
            )
        return value[index]

    @property
    def dense_layers(self) -> list[Any]:
        """The `AdaptiveDense` layers, in order."""
        return [step for step in self._steps if isinstance(step, AdaptiveDense)]

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 2 or inputs_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes shape (batch, n) with n known, got {inputs_shape}; "
                "flatten a field map first with keras.layers.Flatten()."
            )
        shape = inputs_shape
        for step in self._steps:
            if isinstance(step, AdaptiveDense):
                step.build(shape, condition_shape)
                shape = (shape[0], step.units)
            elif not step.built:
                step.build(shape)

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        x = inputs
        for step in self._steps:
            if isinstance(step, AdaptiveDense):
                x = step(x) if condition is None else step(x, condition)
            elif isinstance(step, (BatchNormalization, keras.layers.Dropout)):
                x = step(x, training=training)
            else:
                x = step(x)
        return x

    def folded_config(self, num_groups: int | None = None) -> dict[str, Any]:
        """Returns the configuration of the same layer without over-parameterisation.

        Args:
            num_groups: As `AdaptiveDense.folded_config`. Default `None`.
        """
        adaptive = {**self.adaptive, "over_parameterisation": None}
        if num_groups is not None:
            adaptive["num_groups"] = num_groups
        return {**self.get_config(), "adaptive": adaptive}

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "adaptive": {
                key: list(value) if isinstance(value, (list, tuple)) else value for key, value in self.adaptive.items()
            },
        }
