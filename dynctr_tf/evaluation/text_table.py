"""Numbers and aligned columns for plain-text reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dynctr_tf.metrics.bootstrap import Estimate

TITLES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "normalized_entropy": "normalized entropy",
    "calibration_ratio": "calibration ratio",
    "expected_calibration_error": "calibration error",
    "grouped_auc": "grouped AUC",
}
"""How the metrics are called in tables and pictures."""

DECIMALS = {"calibration_ratio": 3}
"""Decimals in tables; 4 for the others."""


def number(value: float, decimals: int = 4) -> str:
    """Returns a number with a fixed number of decimals; `-` where it is undefined."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def signed(value: float, decimals: int = 4) -> str:
    """Returns a number with its sign; `-` where it is undefined."""
    return "-" if math.isnan(value) else f"{value:+.{decimals}f}"


def percent(share: float, decimals: int = 1) -> str:
    """Returns a share as a percentage; `-` where it is undefined."""
    return "-" if math.isnan(share) else f"{100.0 * share:.{decimals}f} %"


def p_value(value: float) -> str:
    """Returns a p-value, small ones as a bound; `-` where it is undefined."""
    if math.isnan(value):
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines of aligned columns, the first to the left and the others to the right.

    Args:
        rows: Cells, the header first, all rows of the same length.

    Raises:
        ValueError: Rows of different lengths.

    Example:

    >>> align([["", "AUC"], ["dynint", "0.81"]])
    ['         AUC', '------------', 'dynint  0.81']
    """
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise ValueError(f"All rows of a table must have the same number of cells, got {sorted(lengths)}.")
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for index, row in enumerate(rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
        if index == 0:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    return lines


def range_text(metric: str, estimate: Estimate) -> str:
    """Returns the interval of a metric, `[lower, upper]`."""
    decimals = DECIMALS.get(metric, 4)
    return f"[{number(estimate.lower, decimals)}, {number(estimate.upper, decimals)}]"


def metric_cells(metric: str, estimate: Estimate) -> list[str]:
    """Returns a metric's value and interval as two cells."""
    return [number(estimate.value, DECIMALS.get(metric, 4)), range_text(metric, estimate)]


def percent_range(estimate: Estimate) -> str:
    """Returns the interval of a share in percent."""
    return f"[{percent(estimate.lower)}, {percent(estimate.upper)}]"
