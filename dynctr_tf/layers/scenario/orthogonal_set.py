"""OptMSM's constraint: the shared embeddings of an instance are pushed towards right angles."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.losses import orthogonality
from dynctr_tf.losses.orthogonality import check_orthogonal_kind


@stack.serializable
class OrthogonalSet(stack.Layer):
    """Passes a set of vectors on and adds to the loss how far they are from right angles.

    Use it after `ParallelMLP` to disentangle what its perceptrons learn; with weight 0 it does nothing.

    With `g_k` the vectors of an instance at length 1, the loss grows by weight times the mean over the instances of
    `"cosine"`: `sum over k < k' of |g_k^T g_k'|`, or `"frobenius"`: `||G G^T - I||_F^2`, G with the rows g_k.

    Args:
        weight: Weight of the penalty. Default 0.001.
        kind: `"cosine"` or `"frobenius"`. Default `"cosine"`.

    Call arguments:
        inputs: The vectors, float.

    Input shape:
        `(batch, count, size)`.

    Output shape:
        `(batch, count, size)`: the inputs.

    Raises:
        ValueError: A negative weight, an unknown kind, or inputs of another rank.

    Cost: no parameters; `count ** 2 * size` multiply-adds per row in training and inference alike, none at weight 0.

    Example:

    >>> import tensorflow as tf
    >>> layer = OrthogonalSet(weight=1.0)
    >>> _ = layer(tf.constant([[[1.0, 0.0], [3.0, 4.0]]]))
    >>> round(float(layer.losses[0]), 4)
    0.6

    Reference:
        OptMSM, arXiv 2306.13382: that there is such a constraint is in its abstract, the two kinds are our
        reconstruction. A vector that is 0 counts as orthogonal to all.
    """

    def __init__(self, weight: float = 0.001, kind: str = "cosine", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}.")
        check_orthogonal_kind(kind)
        self.weight = weight
        self.kind = kind

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 3:
            raise ValueError(f"{self.name} takes vectors of shape (batch, count, size), got {tuple(input_shape)}.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.weight:
            self.add_loss(self.weight * orthogonality(inputs, self.kind))
        return inputs

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight, "kind": self.kind}
