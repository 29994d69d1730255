"""The dense layers of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.layers import MLP, BatchNormalization
from dynctr_tf.models.parts.logits import flat, logit, unbiased_logit
from dynctr_tf.models.parts.part import Part


class _DenseLayers(Part):
    """What all kinds of dense layers have in common: activation, dropout and a penalty of kernels."""

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


@dataclasses.dataclass(frozen=True, repr=False)
class Hidden(_DenseLayers):
    """What the dense layers of a model have in common, where it has several stacks of them.

    Use it as the option `deep` of models of experts, encoders and towers; the widths are options of their own.

    Args:
        activation: Name of a Keras activation. Default `"relu"`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of kernels. Default 0.0.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> Hidden(dropout=0.1)
    Hidden(dropout=0.1)
    """

    activation: str = "relu"
    dropout: float = 0.0
    kernel_regularizer_l2: float = 0.0


@dataclasses.dataclass(frozen=True, repr=False)
class Tower(_DenseLayers):
    """Dense layers without batch normalisation.

    Use it as the option `deep` of models whose layers are generated or gated.

    Args:
        units: Widths of the layers, possibly none.
        activation: Name of a Keras activation. Default `"relu"`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of kernels. Default 0.0.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> Tower((64, 32), dropout=0.1)
    Tower((64, 32), dropout=0.1)
    """

    units: Sequence[int]
    activation: str = "relu"
    dropout: float = 0.0
    kernel_regularizer_l2: float = 0.0


@dataclasses.dataclass(frozen=True, repr=False)
class Deep(_DenseLayers):
    """The dense layers of a model, a multi-layer perceptron.

    Use it as the option `deep` of a model, or in a model of your own. Each layer is `activation(norm(W x + b))`, then
    dropout.

    Args:
        units: Widths of the layers; with none the part before it goes to the output as it is.
        activation: Name of a Keras activation. Default `"relu"`.
        batch_norm: Whether outputs are normalised over the batch before the activation. Default `False`.
        dropout: Share of the outputs of each layer dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of kernels, also of those of interactions beside the layers. Default 0.0.

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
            name: Name of the layers, with `{}` for what each of them does.
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


def kernel_regularizer(l2: float) -> Any:
    """Returns the L2 regularizer of kernels, or `None` where the penalty is 0."""
    return keras.regularizers.L2(l2) if l2 else None
