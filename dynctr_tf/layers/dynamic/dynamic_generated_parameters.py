"""DynInt-DGP: an interaction layer whose matrix has generated singular values."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.decomposed_crossing import DecomposedCrossing
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.interaction.field_crossing import mix_fields
from dynctr_tf.losses import KernelOrthogonality
from dynctr_tf.nearest import unknown_name_message

_SIGMAS = ("two_sigmoid", "linear")


@stack.serializable
class DynamicGeneratedParameters(DecomposedCrossing):
    """A PIN layer whose matrix is of low rank, with static directions whose weights the instance generates.

    Use it in place of `PolynomialInteraction`: with a rank well below the number of (stacked) fields it is
    cheaper than the static layer and dynamic at once.

    `X_l = X_(l-1) * (W_i X_0) + X_(l-1)`, `W_i = U diag(sigma_i) V^T`, `sigma_i = DNN(sg(z))`, z the condition.
    Evaluated from the right, `U (sigma_i * (V^T X_0))`; no `(batch, fields, fields)` tensor is ever made.

    Args:
        rank: Number K of directions. The paper tries 16 to 128 for up to 624 stacked fields. Default 64.
        sigma_kind: How the output of the generator becomes sigma: `"two_sigmoid"`, `2 * sigmoid(.)`, or `"linear"`,
            `1 + (.)`. The paper does not say; both start near 1, since near 0 neither U nor V would get
            a gradient. Default `"two_sigmoid"`.
        orthogonal_weight: Weight lambda of the penalty of equation 11 on the columns of U and of V, the sum of
            the absolute cosines of all pairs, added to the loss once per step. Default 0.0.
        residual: Whether X_(l-1) is added. Default `True`.
        dropout: Share of the entries of X_0 dropped in training before V. Default 0.0.
        fields_last: Whether the tensors are `(batch, dim, fields)`. Default `False`.
        reduction_ratio: Condition width over hidden width of the generator. Default 4.0.
        depth: Dense layers of the generator. Default 2.
        stop_gradient: Whether the condition is cut off from the gradient, as in the paper. Default `True`.
        kernel_initializer: Start of U and V, a Keras initializer; each has one of its own. The paper does not
            say; orthogonal columns are what its penalty asks for. Default `"orthogonal"`.
        kernel_regularizer: A Keras regularizer of U and V. Default `None`.

    Call arguments:
        inputs: The pair `[X_(l-1), X_0]`, or `X_0` alone in the first layer.
        condition: A float `(batch, n)` tensor. Default: X_0, flattened.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, fields, dim)`, once or twice; `(batch, dim, fields)` with `fields_last`.

    Output shape:
        That of one input.

    Raises:
        ValueError: A rank below 1, an unknown sigma, a negative weight, inputs that are not field maps,
            a condition of another rank.

    Cost: `2 * fields * K + (n + K) * n / reduction_ratio` parameters; `(2 * fields + 1) * K * dim` multiply-adds
    per row and those of the generator; K generated values per row.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 3, 4))
    >>> DynamicGeneratedParameters(rank=2)([x0, x0], tf.ones((2, 5))).shape
    TensorShape([2, 3, 4])

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equations 5, 7, 8 and 11. The penalty does not depend on the
        instance, so that under a mean loss it is added once where the paper sums it over the instances.
    """

    def __init__(
        self,
        rank: int = 64,
        sigma_kind: str = "two_sigmoid",
        orthogonal_weight: float = 0.0,
        residual: bool = True,
        dropout: float = 0.0,
        fields_last: bool = False,
        reduction_ratio: float = 4.0,
        depth: int = 2,
        stop_gradient: bool = True,
        kernel_initializer: Any = "orthogonal",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rank=rank,
            orthogonal_weight=orthogonal_weight,
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
        if sigma_kind not in _SIGMAS:
            raise ValueError(unknown_name_message("sigma", str(sigma_kind), _SIGMAS))
        self.sigma_kind = sigma_kind

    def build_mixture(self, num_fields: int, dim: int) -> None:
        shape = (num_fields, self.rank)
        self.u, self.v = self.add_kernel("u", shape, 0), self.add_kernel("v", shape, 1)

    def make_generator(self, num_fields: int, dim: int, **options: Any) -> ParameterGenerator:
        if self.sigma_kind == "linear":
            return ParameterGenerator((1, self.rank), output_offset=1.0, **options)
        return ParameterGenerator((1, self.rank), output_activation="sigmoid", output_scale=2.0, **options)

    def mixture(self, x0: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        sigma = self.generate(condition)  # (batch, 1, rank)
        u, v = tf.convert_to_tensor(self.u), tf.convert_to_tensor(self.v)
        if self.orthogonal_weight:
            penalty = KernelOrthogonality(self.orthogonal_weight)
            self.add_loss(penalty(u) + penalty(v))
        projected = mix_fields(x0, tf.cast(v, x0.dtype))  # (batch, dim, rank)
        return mix_fields(sigma * projected, tf.transpose(tf.cast(u, x0.dtype)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sigma_kind": self.sigma_kind,
        }
