"""The options that several stacks of dense layers of a model have in common."""

from __future__ import annotations

import dataclasses

from dynctr_tf.models.parts.dense_layers import DenseLayers


@dataclasses.dataclass(frozen=True, repr=False)
class Hidden(DenseLayers):
    """The options that the dense layers of a model with several stacks have in common.

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
