"""The picture of what preparing rows takes: peak memory by rows, a panel for each number of distinct values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import (
    CLICK_COLOUR,
    INK,
    MODEL_COLOUR,
    MUTED,
    TRAINING_COLOUR,
    label_axes,
    style_axes,
)

_MIB = 2.0**20


class Preparation(NamedTuple):
    """A preparation that was measured.

    Attributes:
        rows: Its rows.
        distinct: The distinct values that were asked for; a file has at most as many as rows.
        own: Peak of the processes' own memory, bytes.
        both: The same with mapped files.
        values: The bytes of the distinct values as texts.
    """

    rows: int
    distinct: int
    own: int
    both: int
    values: int


def draw_memory(found: Sequence[Preparation], path: Path) -> None:
    """Draws the peaks of memory as a PNG file.

    Args:
        found: What was measured.
        path: The file.
    """
    counts = sorted({one.distinct for one in found})
    figure = Figure(figsize=(1.2 + 3.9 * len(counts), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(counts), sharex=True, sharey=True, squeeze=False)[0]
    for axes, distinct in zip(panels, counts, strict=True):
        _draw_panel(axes, sorted(one for one in found if one.distinct == distinct))
        axes.set_title(f"at most {short_number(distinct)} distinct values", fontsize=10, color=INK)
        label_axes(axes, "rows")
    rows = sorted({one.rows for one in found})
    panels[0].set_xscale("log")
    panels[0].set_xticks(rows, [short_number(count) for count in rows])
    panels[0].xaxis.set_minor_locator(NullLocator())
    panels[0].set_ylim(bottom=0.0, top=1.1 * max(one.both for one in found) / _MIB)
    panels[0].set_ylabel("peak of memory, MiB", fontsize=9, color=INK)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    with new_file(path) as partial:
        figure.savefig(partial, dpi=100)


def _draw_panel(axes: Axes, found: Sequence[Preparation]) -> None:
    rows = [one.rows for one in found]
    own, both, values = ([size / _MIB for size in sizes] for sizes in zip(*(one[2:] for one in found), strict=True))
    axes.plot(rows, both, "o--", color=TRAINING_COLOUR, markersize=4, label="with mapped files")
    axes.plot(rows, own, "o-", color=MODEL_COLOUR, linewidth=2, markersize=5, label="all processes' own")
    axes.plot(rows, values, "o:", color=CLICK_COLOUR, markersize=3, label="the distinct values, as texts")
    for sizes, colour, away in ((both, MUTED, 6), (own, MODEL_COLOUR, -13), (values, CLICK_COLOUR, 5)):
        for count, size in zip(rows, sizes, strict=True):
            axes.annotate(f"{size:,.0f}", (count, size), xytext=(0, away), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
    style_axes(axes)


def short_number(count: int) -> str:
    """A number in millions, such as `0.5M`; a smaller one in full."""
    return f"{count / 1e6:g}M" if count >= 100_000 else f"{count:,}"
