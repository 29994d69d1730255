"""How the dense layers of a model are adapted, APG's options."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message


@dataclasses.dataclass(frozen=True, repr=False)
class Adaptive(Part):
    """How the dense layers of a model are adapted to each instance, see `AdaptiveDense`.

    Use it as the option `adaptive` of `apg`.

    Args:
        rank: Size of the generated core, or a share of the smaller side of a layer, or one for each layer. Default
            `"auto"`: the largest with which a layer costs less than the static one, as the paper promises; 16 for 400
            units. A self-wise generator has as many parameters as the layer's inputs times the square of the rank, so
            that a rank of 25 would be more than the 400 x 400 of the static layer.
        over_parameterisation: Inner width of the factors of U and V, or one for each layer. Default `None`: none.
        dynamic_bias: Whether biases are generated too. Default `False`.
        depth: Number of dense layers of the generators. Default 1.
        hidden_dim: Width of their hidden layers. Default `None`: a quarter of the condition's.
        identity_start: Whether each core starts near the identity. Default `True`.
        stop_gradient: Whether no gradient flows from generators to the condition. Default `False`.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> Adaptive(4, dynamic_bias=True)
    Adaptive(rank=4, dynamic_bias=True)
    """

    rank: int | float | str | Sequence[int] = "auto"
    over_parameterisation: int | float | Sequence[int] | None = None
    dynamic_bias: bool = False
    depth: int = 1
    hidden_dim: int | None = None
    identity_start: bool = True
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.rank, str) and self.rank != "auto":
            raise ValueError(unknown_name_message("rank of Adaptive", self.rank, ("auto",)))

    def options(self) -> dict[str, Any]:
        """Returns the options as `make_adaptive` takes them."""
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**options, "bias_kind": "dynamic"} if options.pop("dynamic_bias") else options
