"""The network that generates the parameters of DynInt's layers."""

from __future__ import annotations

import dataclasses
from typing import Any

from dynctr_tf.models.parts.part import Part


@dataclasses.dataclass(frozen=True, repr=False)
class Generator(Part):
    """The small network that generates parameters from a condition.

    Use it as the option `generator` of DynInt.

    Args:
        reduction_ratio: Width of the condition over hidden width of the generator. Default 4.0.
        depth: Number of its dense layers. Default 2.
        stop_gradient: Whether no gradient flows from it to the condition, as in the paper. Default `True`.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> Generator(depth=1).options()
    {'reduction_ratio': 4.0, 'depth': 1, 'stop_gradient': True}
    """

    reduction_ratio: float = 4.0
    depth: int = 2
    stop_gradient: bool = True

    def options(self) -> dict[str, Any]:
        """Returns the options as dynamic layers take them."""
        return dataclasses.asdict(self)
