"""DynInt-DA: an interaction layer whose outputs are gated per instance."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.dynamic_crossing import DynamicCrossing
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.interaction.field_crossing import mix_fields
from dynctr_tf.nearest import unknown_name_message

_GRANULARITIES = ("field", "element")


@stack.serializable
class DynamicActivation(DynamicCrossing):
    """A PIN layer whose interaction term is scaled by a gate that the instance generates.

    Use it in place of `PolynomialInteraction` to let each instance choose how much of each interaction it
    takes: the cheapest of the three DynInt layers to add, and the closest to the static one.

    `X_l = (X_(l-1) * (W X_0)) * G + X_(l-1)`, `G = 2 * sigmoid(DNN(sg(z)))`, z the condition. The gate acts on
    the interaction term alone, not on the residual, and starts near 1, where the layer is the static one.

    Args:
        granularity: `"field"`, one gate value per (stacked) field, broadcast over the embedding; `"element"`, one per
            entry. The paper says "gating vector", which we read as the former. Default `"field"`.
        residual: Whether X_(l-1) is added. Default `True`.
        dropout: Share of the entries of X_0 dropped in training before W. Default 0.0.
        fields_last: Whether the tensors are `(batch, dim, fields)`. Default `False`.
        reduction_ratio: Condition width over hidden width of the generator. Default 4.0.
        depth: Dense layers of the generator. Default 2.
        stop_gradient: Whether the condition is cut off from the gradient, as in the paper. Default `True`.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: The pair `[X_(l-1), X_0]`, or `X_0` alone in the first layer.
        condition: A float `(batch, n)` tensor. Default: X_0, flattened.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, fields, dim)`, once or twice; `(batch, dim, fields)` with `fields_last`.

    Output shape:
        That of one input.

    Raises:
        ValueError: An unknown granularity, inputs that are not field maps, a condition of another rank.

    Cost: that of the PIN layer and of the generator: `fields ** 2 + (n + fields) * n / reduction_ratio`
    parameters, `fields ** 2 * dim + (n + fields) * n / reduction_ratio` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 3, 4))
    >>> DynamicActivation()([x0, x0], tf.ones((2, 5))).shape
    TensorShape([2, 3, 4])

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equation 4.
    """

    def __init__(
        self,
        granularity: str = "field",
        residual: bool = True,
        dropout: float = 0.0,
        fields_last: bool = False,
        reduction_ratio: float = 4.0,
        depth: int = 2,
        stop_gradient: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            residual=residual,
            dropout=dropout,
            fields_last=fields_last,
            reduction_ratio=reduction_ratio,
            depth=depth,
            stop_gradient=stop_gradient,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            **kwargs,
        )
        if granularity not in _GRANULARITIES:
            raise ValueError(unknown_name_message("granularity", str(granularity), _GRANULARITIES))
        self.granularity = granularity

    def make_generator(self, num_fields: int, dim: int, **options: Any) -> ParameterGenerator:
        size = (1 if self.granularity == "field" else dim, num_fields)
        return ParameterGenerator(size, output_activation="sigmoid", output_scale=2.0, **options)

    def mixture(self, x0: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        gate = self.generate(condition)  # (batch, 1 or dim, fields)
        return gate * mix_fields(x0, tf.cast(self.kernel, x0.dtype))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "granularity": self.granularity,
        }
