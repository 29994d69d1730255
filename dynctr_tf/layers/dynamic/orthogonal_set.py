"""OptMSM's constraint: the shared embeddings of an instance are pushed towards right angles."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dynamic.dynamic_crossing import sum_of_cosines
from dynctr_tf.nearest import unknown_name_message

FORMS = ("cosine", "frobenius")


def orthogonality(vectors: tf.Tensor, form: str = "cosine") -> tf.Tensor:
    """Measures how far the vectors of each instance are from right angles, averaged over the batch.

    Args:
        vectors: float `(batch, count, size)`.
        form: `"cosine"`, the sum of the absolute cosines of all pairs; `"frobenius"`, the squared Frobenius distance of
            the matrix of all cosines from the identity. Default `"cosine"`.

    Raises:
        ValueError: An unknown form.

    Example:

    >>> import tensorflow as tf
    >>> vectors = tf.constant([[[1.0, 0.0], [3.0, 4.0]]])
    >>> [round(float(orthogonality(vectors, form)), 4) for form in ("cosine", "frobenius")]
    [0.6, 0.72]
    """
    if form not in FORMS:
        raise ValueError(unknown_name_message("form of the orthogonality constraint", str(form), FORMS))
    if form == "cosine":
        return tf.reduce_mean(sum_of_cosines(vectors))
    unit = tf.math.l2_normalize(stack.widened(vectors), axis=-1)
    gram = tf.matmul(unit, unit, transpose_b=True)
    distance = tf.square(gram - tf.eye(tf.shape(gram)[-1], dtype=gram.dtype))
    return tf.reduce_mean(tf.reduce_sum(distance, axis=[-2, -1]))


@keras.saving.register_keras_serializable(package="dynctr_tf")
class OrthogonalSet(stack.Layer):
    """Passes a set of vectors on and adds to the loss how far they are from right angles.

    Use it after `ParallelMLP` to disentangle what its perceptrons learn; with weight 0 it does nothing.

    With `g_k` the vectors of an instance at length 1, the loss grows by weight times the mean over the instances of
    `"cosine"`: `sum over k < k' of |g_k^T g_k'|`, or `"frobenius"`: `||G G^T - I||_F^2`, G with the rows g_k.

    Args:
        weight: Weight of the penalty. Default 0.001.
        form: `"cosine"` or `"frobenius"`. Default `"cosine"`.

    Call arguments:
        inputs: The vectors, float.

    Input shape:
        `(batch, count, size)`.

    Output shape:
        `(batch, count, size)`: the inputs.

    Raises:
        ValueError: A negative weight, an unknown form, or inputs of another rank.

    Cost: no parameters; `count ** 2 * size` multiply-adds per row in training and inference alike, none at weight 0.

    Example:

    >>> import tensorflow as tf
    >>> layer = OrthogonalSet(weight=1.0)
    >>> _ = layer(tf.constant([[[1.0, 0.0], [3.0, 4.0]]]))
    >>> round(float(layer.losses[0]), 4)
    0.6

    Reference:
        OptMSM, arXiv 2306.13382: that there is such a constraint is in its abstract, the two forms are our
        reconstruction. A vector that is 0 counts as orthogonal to all.
    """

    def __init__(self, weight: float = 0.001, form: str = "cosine", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}.")
        if form not in FORMS:
            raise ValueError(unknown_name_message("form of the orthogonality constraint", str(form), FORMS))
        self.weight = weight
        self.form = form

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 3:
            raise ValueError(f"{self.name} takes vectors of shape (batch, count, size), got {tuple(input_shape)}.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.weight:
            self.add_loss(self.weight * orthogonality(inputs, self.form))
        return inputs

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight, "form": self.form}
