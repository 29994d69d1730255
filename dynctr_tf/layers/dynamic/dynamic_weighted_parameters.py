"""DynInt-DWP: an interaction layer whose matrix is weighted per instance, row by row and column by column."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.decomposed_crossing import DecomposedCrossing
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.interaction.field_crossing import mix_fields
from dynctr_tf.losses import sum_of_cosines
from dynctr_tf.nearest import unknown_name_message

_OFFSETS = ("unit", "paper")


@stack.serializable
class DynamicWeightedParameters(DecomposedCrossing):
    """A PIN layer whose matrix is multiplied, entry by entry, with a generated matrix of low rank.

    Use it in place of `PolynomialInteraction`: it keeps the full static matrix, and each instance weighs its
    rows and columns. Ahead of the other DynInt layers on Criteo in the paper, and the most expensive one.

    `X_l = X_(l-1) * ((G_i * W) X_0) + X_(l-1)`, `G_i = sum_p u_p v_p^T` over p = 1 ... K, with all u_p and v_p
    the outputs of `DNN(sg(z))` plus an offset, z the condition. Evaluated as `sum_p u_p * (W (v_p * X_0))`; no
    `(batch, fields, fields)` tensor is ever made.

    Args:
        rank: Number K of pairs; the paper tries 1 to 4. Default 2.
        offset_kind: What is added to the generated vectors: `"unit"`, `1 / sqrt(K)`, by which the entries of G start
            near 1, the paper's stated aim; `"paper"`, its printed `1 / K`, by which they start near 1 / K.
            The two are the same for K = 1. Default `"unit"`.
        orthogonal_weight: Weight lambda of the penalty of equation 12 on the vectors u_p, and on the v_p, of an
            instance, the sum of the absolute cosines of all pairs, averaged over the batch. Default 0.0.
        residual: Whether X_(l-1) is added. Default `True`.
        dropout: Share of the entries of X_0 dropped in training. Default 0.0.
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
        ValueError: A rank below 1, an unknown offset, a negative weight, inputs that are not field maps,
            a condition of another rank.

    Cost: `fields ** 2 + (n + 2 * K * fields) * n / reduction_ratio` parameters; `K * (fields ** 2 + 2 * fields)
    * dim` multiply-adds per row and those of the generator; `2 * K * fields` generated values per row.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 3, 4))
    >>> DynamicWeightedParameters()([x0, x0], tf.ones((2, 5))).shape
    TensorShape([2, 3, 4])

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equations 6, 9, 10 and 12. The offset is ours, see above; where
        the text asks for `u_p` orthogonal to `v_p`, equation 12 has pairs of u and pairs of v, as here.
    """

    def __init__(
        self,
        rank: int = 2,
        offset_kind: str = "unit",
        orthogonal_weight: float = 0.0,
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
        if offset_kind not in _OFFSETS:
            raise ValueError(unknown_name_message("offset", str(offset_kind), _OFFSETS))
        self.offset_kind = offset_kind

    def make_generator(self, num_fields: int, dim: int, **options: Any) -> ParameterGenerator:
        offset = self.rank**-0.5 if self.offset_kind == "unit" else 1.0 / self.rank
        return ParameterGenerator((2, self.rank, 1, num_fields), output_offset=offset, **options)

    def mixture(self, x0: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        generated = self.generate(condition)  # (batch, 2, rank, 1, fields)
        if self.orthogonal_weight:
            cosines = sum_of_cosines(generated[:, :, :, 0])  # (batch, 2)
            self.add_loss(self.orthogonal_weight * tf.reduce_mean(tf.reduce_sum(cosines, axis=1)))
        kernel = tf.cast(self.kernel, x0.dtype)
        # Unstacked in one go: the gradient of slices one by one would be a sum of mostly empty tensors.
        vectors = tf.unstack(tf.reshape(generated, [-1, 2 * self.rank, 1, x0.shape[2]]), axis=1)
        pairs = zip(vectors[: self.rank], vectors[self.rank :], strict=True)
        return tf.add_n([u * mix_fields(v * x0, kernel) for u, v in pairs])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "offset_kind": self.offset_kind,
        }
