"""The dense layers of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.layers import BatchNormalization
from dynctr_tf.models.parts.dense_layers import DenseLayers
from dynctr_tf.models.parts.flat import flat
from dynctr_tf.models.parts.logit import logit
from dynctr_tf.models.parts.unbiased_logit import unbiased_logit


@dataclasses.dataclass(frozen=True, repr=False)
class Deep(DenseLayers):
    """The dense layers of a model, a multi-layer perceptron.

    Use it as the option `deep` of a model, or in a model of your own. Each layer is `activation(norm(W x + b))`, then
    dropout.

    Args:
        units: Widths of the layers; without layers the inputs go to the output unchanged.
        activation: Name of a Keras activation. Default `"relu"`.
        batch_norm: Whether outputs are normalised over the batch before the activation. Default `False`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of kernels, also of the model's interaction layers. Default 0.0.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> from tensorflow import keras
    >>> tuple(Deep((8, 4))(keras.Input((3, 2))).shape)
    (None, 4)
    """

    units: Sequence[int]
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0
    kernel_regularizer_l2: float = 0.0

    def activated(self, x: Any, name: str) -> Any:
        """Applies what follows the product of a layer: normalisation, activation and dropout.

        Args:
            x: What the layer computed.
            name: Name of the layers, with `{}` for the operation of each.
        """
        if self.batch_norm:
            x = BatchNormalization(name=name.format("batch_norm"))(x)
        x = keras.layers.Activation(self.activation, name=name.format("activation"))(x)
        return keras.layers.Dropout(self.dropout, name=name.format("dropout"))(x) if self.dropout else x

    def __call__(self, x: Any) -> Any:
        """Applies the layers, as the layer `"mlp"`.

        Args:
            x: `(batch, n)`, or a field map, which is flattened.
        """
        return self.mlp(flat(x), self.units, "mlp")

    def logit(self, x: Any) -> Any:
        """Applies the layers and the output of the whole model, `(batch, 1)`.

        Args:
            x: As `__call__`.
        """
        return logit(self(x))

    def part_of_logit(self, x: Any) -> Any:
        """Applies the layers and weighs their outputs, `(batch, 1)` without bias, for `LogitSum`.

        Args:
            x: As `__call__`.
        """
        return unbiased_logit(self(x), "deep")

    def parts_of_logit(self, x: Any) -> list[Any]:
        """Returns `part_of_logit` in a list, which is empty where there are no layers.

        Args:
            x: As `__call__`.
        """
        return [self.part_of_logit(x)] if self.units else []
