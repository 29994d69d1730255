"""The options that all kinds of dense layers of a model have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynctr_tf.layers import MLP
from dynctr_tf.models.parts.kernel_regularizer import kernel_regularizer
from dynctr_tf.models.parts.part import Part


class DenseLayers(Part):
    """Activation, dropout and a penalty of kernels: the base of `Deep`, `Hidden` and `Tower`."""

    activation: str
    batch_norm: bool = False  # an option of `Deep` alone
    dropout: float
    kernel_regularizer_l2: float

    def kernel_regularizer(self) -> Any:
        """Makes the L2 regularizer of a kernel; `None` where the penalty is 0."""
        return kernel_regularizer(self.kernel_regularizer_l2)

    def layer_options(self) -> dict[str, Any]:
        """Makes the options that layers of several dense layers take."""
        return {
            "activation": self.activation,
            "dropout": self.dropout,
            "kernel_regularizer": self.kernel_regularizer(),
        }

    def mlp(self, x: Any, units: Sequence[int], name: str) -> Any:
        """Applies a multi-layer perceptron, or returns the vector as it is where there is no layer.

        Args:
            x: `(batch, n)`.
            units: Widths of its layers, possibly none.
            name: Name of the layer.
        """
        if not units:
            return x
        return MLP(units, batch_norm=self.batch_norm, name=name, **self.layer_options())(x)
