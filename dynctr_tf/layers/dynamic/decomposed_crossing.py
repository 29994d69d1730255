"""What DynInt-DGP and DynInt-DWP share: a rank, and a penalty that keeps the vectors of the rank apart."""

from __future__ import annotations

from typing import Any

from dynctr_tf.layers.dynamic.dynamic_crossing import DynamicCrossing


class DecomposedCrossing(DynamicCrossing):
    """Base of the dynamic interaction layers that generate the factors of a decomposed matrix.

    Use it as `DynamicCrossing`.

    Args:
        rank: Number K of factors.
        orthogonal_weight: Weight of the penalty that keeps them apart; 0 adds none.
        **options: As `DynamicCrossing`.

    Raises:
        ValueError: A rank below 1 or a weight below 0.
    """

    def __init__(self, rank: int, orthogonal_weight: float, **options: Any) -> None:
        super().__init__(**options)
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}.")
        if orthogonal_weight < 0:
            raise ValueError(f"orthogonal_weight must not be negative, got {orthogonal_weight}.")
        self.rank = int(rank)
        self.orthogonal_weight = orthogonal_weight

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rank": self.rank, "orthogonal_weight": self.orthogonal_weight}
