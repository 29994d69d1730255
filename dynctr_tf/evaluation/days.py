"""A model from day to day: each day scored before it is trained on, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import (
    CLICK_COLOUR,
    INK,
    MODEL_COLOUR,
    MUTED,
    label_axes,
    plain_text,
    png_path,
    style_axes,
)
from dynctr_tf.evaluation.report import Evaluation
from dynctr_tf.evaluation.text_table import TITLES, align, metric_cells

_SHOWN = ("auc", "log_loss", "calibration_ratio")
_COLOURS = (MODEL_COLOUR, CLICK_COLOUR, "#1a7f37", "#8250df", MUTED)


def days_text(days: Mapping[str, Evaluation]) -> str:
    """Returns a table of what a model reached on each day, with intervals.

    Args:
        days: By the name of the day, the model as it was before it was trained on that day's rows.
    """
    first = next(iter(days.values()))
    table = [["", "rows", *(cell for metric in _SHOWN for cell in (TITLES[metric], "interval"))]]
    for name, evaluation in days.items():
        cells = [cell for metric in _SHOWN for cell in metric_cells(metric, evaluation.metrics[metric])]
        table.append([name, f"{evaluation.rows:,}", *cells])
    head = f"each day scored before it is trained on; {first.confidence * 100:g} % intervals"
    return "\n".join([head, "", *align(table)]) + "\n"


def plot_days(path: str | Path, days: Mapping[str, Mapping[str, Evaluation]], title: str) -> None:
    """Draws AUC and log loss from day to day with their intervals.

    Args:
        path: The PNG file.
        days: For each model, or each way to train one, the days by their names; all have the same days.
        title: The title of the picture.

    Raises:
        ValueError: A path that does not end in `.png`, no day, or models of different days.
    """
    target = png_path(path)
    names: Sequence[str] = list(next(iter(days.values()), {}))
    if not names or any(list(own) != list(names) for own in days.values()):
        raise ValueError(
            f"Give the same days of each model, and at least one; got { {k: list(v) for k, v in days.items()} }."
        )
    figure = Figure(figsize=(max(7.2, 3.0 + 0.9 * len(names)), 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(plain_text(title), x=0.012, ha="left", fontsize=12.5, color=INK, weight="bold")
    places = np.arange(len(names), dtype=np.float64)
    width = min(0.1, 0.5 / len(days))
    panels = figure.subplots(2, 1, sharex=True)
    for axes, metric in zip(panels, ("auc", "log_loss"), strict=True):
        style_axes(axes)
        label_axes(axes, y=TITLES[metric])
        for index, (model, own) in enumerate(days.items()):
            estimates = [own[name].metrics[metric] for name in names]
            values = np.array([estimate.value for estimate in estimates])
            ends = [np.array([estimate.lower, estimate.upper]) for estimate in estimates]
            colour = _COLOURS[index % len(_COLOURS)]
            at = places + (index - (len(days) - 1) / 2) * width
            axes.plot(at, values, color=colour, marker="o", markersize=5, linewidth=1.4, label=plain_text(model))
            for place, (lower, upper) in zip(at, ends, strict=True):
                axes.plot(
                    [place, place], [lower, upper], color=colour, linewidth=2.4, alpha=0.45, solid_capstyle="butt"
                )
        if len(days) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    rotation = 0 if max(map(len, names)) < 12 else 20
    axes.set_xticks(places, list(map(plain_text, names)), fontsize=9, rotation=rotation)
    confidence = next(iter(next(iter(days.values())).values())).confidence
    panels[-1].set_xlabel(f"bars: {confidence * 100:g} % intervals", fontsize=9, color=MUTED)
    figure.align_ylabels(panels)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")
