"""A number between two ends, drawn on a logarithmic scale."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A hyper-parameter that is drawn uniformly on a logarithmic scale; a whole number if both ends are whole numbers.

    Args:
        low: Smallest value, above 0.
        high: Largest value.
    """

    low: float
    high: float
