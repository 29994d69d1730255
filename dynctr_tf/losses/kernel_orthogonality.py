"""The orthogonal penalty as a Keras regularizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.losses.orthogonality import check_orthogonal_kind, orthogonality
from dynctr_tf.nearest import unknown_name_message

_MODES = ("columns", "rows")


@stack.serializable
class KernelOrthogonality(keras.regularizers.Regularizer):  # type: ignore[misc]
    """A Keras regularizer that pushes the columns or the rows of a kernel towards right angles.

    Use it as `kernel_regularizer` of any layer, dense, convolutional or of this library: the units of a layer then
    look in different directions. `keras.regularizers.OrthogonalRegularizer` has the mean over the pairs where this has
    the sum, as DynInt's equation 11, and takes matrices alone.

    `factor * orthogonality(vectors, kind)`, the vectors being the kernel's slices along its last axis (`"columns"`) or
    its first (`"rows"`), flattened.

    Args:
        factor: Strength of the penalty. Default 0.01.
        mode: As in Keras, `"columns"`, one vector for each output of a kernel `(..., outputs)`, or `"rows"`.
            Default `"columns"`.
        kind: As `orthogonality`. Default `"cosine"`.

    Raises:
        ValueError: A negative factor, an unknown mode or kind, or, when it is applied, a weight with one axis.

    Cost: `count ** 2 * size` multiply-adds per step for count vectors of this size.

    Example:

    >>> import tensorflow as tf
    >>> regularizer = KernelOrthogonality(0.5)
    >>> float(regularizer(tf.constant([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])))
    0.5

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equation 11: U and V, whose columns are the directions.
    """

    def __init__(self, factor: float = 0.01, mode: str = "columns", kind: str = "cosine") -> None:
        if factor < 0:
            raise ValueError(f"factor must not be negative, got {factor}.")
        if mode not in _MODES:
            raise ValueError(unknown_name_message("mode of KernelOrthogonality", str(mode), _MODES))
        check_orthogonal_kind(kind)
        self.factor = float(factor)
        self.mode = mode
        self.kind = kind

    def __call__(self, x: Any) -> tf.Tensor:
        """Returns the penalty of a kernel."""
        kernel = tf.convert_to_tensor(x)
        if len(kernel.shape) < 2:
            raise ValueError(f"KernelOrthogonality takes kernels of two or more axes, got {tuple(kernel.shape)}.")
        if self.mode == "rows":
            vectors = tf.reshape(kernel, [kernel.shape[0], -1])
        else:
            vectors = tf.transpose(tf.reshape(kernel, [-1, kernel.shape[-1]]))
        return self.factor * orthogonality(vectors, self.kind)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {"factor": self.factor, "mode": self.mode, "kind": self.kind}
