"""Numbers and aligned columns for plain-text reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from dynctr_tf.figures import decimals_for, figures_text, share_text
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
"""Decimals in tables; 4 for the others, and for those of `_SMALL` as many more as they need."""

_SMALL = ("log_loss", "expected_calibration_error")
"""Metrics that rare clicks make small: the best of two differ where four decimals end."""


def metric_decimals(metric: str, values: Iterable[float]) -> int:
    """Returns the decimals that a column of a metric needs: four significant figures of its smallest value."""
    least = DECIMALS.get(metric, 4)
    return max([least, *(decimals_for(value) for value in values)]) if metric in _SMALL else least


def metric_text(metric: str, value: float, decimals: int | None = None) -> str:
    """Returns a metric's value; `-` where it is undefined."""
    return figures_text(value, decimals=metric_decimals(metric, [value]) if decimals is None else decimals)


def counts_text(rows: int, clicks: float, click_rate: float, weighted: bool) -> str:
    """Returns how many rows and clicks there are, and the share of clicks; where rows have weights, both shares."""
    shown = f"{rows:,} rows, {clicks:,g} clicks" if clicks != int(clicks) else f"{rows:,} rows, {int(clicks):,} clicks"
    if not weighted:
        return f"{shown} ({share_text(click_rate)})"
    return (
        f"{shown} ({share_text(clicks / rows)} of the rows; by weight {share_text(click_rate)}, and all that follows "
        "is by weight)"
    )


def undefined_lines(metrics: Mapping[str, Estimate], rows: int, clicks: float, counted: str = "") -> list[str]:
    """Says why metrics or their intervals are not defined.

    Args:
        metrics: The metrics with their intervals.
        rows: Number of rows.
        clicks: Number of clicks.
        counted: What is said of the rows beside their number, such as that some do not count. Default nothing.
    """
    lines = []
    nothing = [TITLES.get(name, name) for name, estimate in metrics.items() if math.isnan(estimate.value)]
    if nothing:
        which = "are" if len(nothing) > 1 else "is"
        if not clicks:
            why = f"none of the {rows:,} rows{counted} is a click"
        elif clicks == rows:
            why = f"all of the {rows:,} rows{counted} are clicks"
        else:
            why = f"the rows{counted} that it needs are of one class"
        lines.append(f"{', '.join(nothing)} {which} not defined, for {why}")
    open_ends = [
        TITLES.get(name, name)
        for name, estimate in metrics.items()
        if not math.isnan(estimate.value) and math.isnan(estimate.lower)
    ]
    if open_ends:
        lines.append(
            f"no interval of {', '.join(open_ends)}: with {clicks:,g} clicks among {rows:,} rows, over 5 % of the "
            "resamples have rows of one class alone"
        )
    return lines


def number(value: float, decimals: int = 4) -> str:
    """Returns a number with a fixed number of decimals; `-` where it is undefined."""
    return figures_text(value, decimals=decimals)


def signed(value: float, decimals: int = 4) -> str:
    """Returns a number with its sign; `-` where it is undefined."""
    return figures_text(value, decimals=decimals, sign="+")


def signed_range(lower: float, upper: float, decimals: int = 4) -> str:
    """Returns the interval of a difference with its signs; `-` where there is none."""
    if math.isnan(lower) or math.isnan(upper):
        return "-"
    return f"[{signed(lower, decimals)}, {signed(upper, decimals)}]"


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


def range_text(metric: str, estimate: Estimate, decimals: int | None = None) -> str:
    """Returns the interval of a metric, `[lower, upper]`, with the decimals of its value; `-` where there is none."""
    if math.isnan(estimate.lower) or math.isnan(estimate.upper):
        return "-"
    decimals = metric_decimals(metric, [estimate.value]) if decimals is None else decimals
    return f"[{number(estimate.lower, decimals)}, {number(estimate.upper, decimals)}]"


def metric_cells(metric: str, estimate: Estimate, decimals: int | None = None) -> list[str]:
    """Returns a metric's value and interval as two cells; decimals as many as the value needs where none are given."""
    return [metric_text(metric, estimate.value, decimals), range_text(metric, estimate, decimals)]


def percent_range(estimate: Estimate) -> str:
    """Returns the interval of a share in percent."""
    return f"[{percent(estimate.lower)}, {percent(estimate.upper)}]"
