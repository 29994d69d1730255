"""Pictures of calibration by slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.calibration_slices import CalibrationSlice, CalibrationSlices
from dynctr_tf.evaluation.plots import (
    INK,
    MODEL_COLOUR,
    MUTED,
    WORSE_COLOUR,
    label_axes,
    plain_text,
    png_path,
    style_axes,
)

_SHOWN = 25
_WIDEST = 8.0


def plot_slices(path: str | Path, report: CalibrationSlices) -> None:
    """Draws predicted over observed clicks for each slice, with its interval; a panel a column.

    Args:
        path: The PNG file.
        report: The report; the 25 largest slices of each column are shown.

    Raises:
        ValueError: A path that does not end in `.png`.
    """
    target = png_path(path)
    shown = {column: report.of(column)[:_SHOWN] for column in report.columns}
    heights = [0.9 + 0.26 * len(slices) for slices in shown.values()]
    figure = Figure(figsize=(8.0, sum(heights) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (column, slices) in zip(panels, shown.items(), strict=True):
        style_axes(axes)
        axes.grid(False, axis="y")
        axes.axvline(1.0, color=INK, linewidth=1.1)
        for place, entry in enumerate(slices):
            colour = WORSE_COLOUR if entry.is_off else MODEL_COLOUR
            if math.isnan(entry.lower):
                continue
            upper = min(entry.upper, 100.0 * max(entry.lower, _WIDEST))
            axes.plot([entry.lower, upper], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
            if not math.isnan(entry.ratio):  # a slice without a click has an interval alone
                axes.plot(entry.ratio, place, "o", color=colour, markersize=6, markeredgecolor="white", zorder=3)
        _log_axis(axes, slices)
        names = [plain_text(f"{entry.value[:30]}  ({entry.rows:,})") for entry in slices]
        axes.set_yticks(range(len(slices)), names, fontsize=8)
        axes.set_ylim(len(slices) - 0.4, -0.6)
        off = sum(entry.is_off for entry in report.of(column))
        title = f"{column}: {off} of {len(report.of(column))} slices are off"
        axes.set_title(plain_text(title), loc="left", fontsize=10, color=MUTED)
    label_axes(panels[-1], f"predicted over observed clicks, {report.confidence * 100:g} % interval (log scale)")
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def _log_axis(axes: Any, slices: Sequence[CalibrationSlice]) -> None:
    """A logarithmic axis that shows all ratios, with plain numbers; intervals of few rows may leave it."""
    ratios = [entry.ratio for entry in slices if entry.ratio > 0.0]
    ends = [end for entry in slices for end in (entry.lower, entry.upper) if 1.0 / _WIDEST < end < _WIDEST]
    low, high = min([1.0, *ratios, *ends]), max([1.0, *ratios, *ends])
    low, high = min(low / 1.05, 0.95), max(high * 1.05, 1.05)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    few = high / low < 3.0
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]) if few else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
