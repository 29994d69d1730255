"""A number between two ends, drawn uniformly."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A hyper-parameter that is drawn uniformly; a whole number if both ends are whole numbers.

    Args:
        low: Smallest value.
        high: Largest value.
    """

    low: float
    high: float
