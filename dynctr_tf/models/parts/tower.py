"""Dense layers of a model that are generated or gated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from dynctr_tf.models.parts.dense_layers import DenseLayers


@dataclasses.dataclass(frozen=True, repr=False)
class Tower(DenseLayers):
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
