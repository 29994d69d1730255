"""Pictures of the fields that a model depends on, and of what its dynamic part generates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.dynamic_report import STATIC, DynamicReport
from dynctr_tf.evaluation.importance import Importance
from dynctr_tf.evaluation.plots import INK, MODEL_COLOUR, MUTED, label_axes, plain_text, png_path, style_axes

_MOST_FIELDS = 40
_MOST_NUMBERS = 64


def plot_importance(path: str | Path, importance: Importance) -> None:
    """Draws what is lost without each field: log loss on the left, AUC on the right, with intervals.

    Args:
        path: The PNG file.
        importance: The report; the 40 most important fields are shown.

    Raises:
        ValueError: A path that does not end in `.png`.
    """
    target = png_path(path)
    shown = importance.fields[:_MOST_FIELDS]
    figure = Figure(figsize=(9.5, 1.4 + 0.27 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    figure.suptitle(
        f"What is lost when a field's values are exchanged between rows; {importance.rows:,} rows, "
        f"{importance.confidence * 100:g} % intervals (blue: above 0)",
        x=0.012,
        ha="left",
        fontsize=11,
        color=INK,
    )
    for axes, metric, title in zip(panels, ("log_loss", "auc"), ("log loss grows by", "AUC falls by"), strict=True):
        style_axes(axes)
        axes.grid(False, axis="y")
        axes.axvline(0.0, color=INK, linewidth=1.1)
        for place, field in enumerate(shown):
            estimate = getattr(field, metric)
            colour = MODEL_COLOUR if estimate.lower > 0.0 else MUTED
            if not math.isnan(estimate.lower):
                axes.plot([estimate.lower, estimate.upper], [place, place], color=colour, linewidth=2.2)
            axes.plot(estimate.value, place, "o", color=colour, markersize=5.5, markeredgecolor="white", zorder=3)
        label_axes(axes, title)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(shown)), [plain_text(field.name[:32]) for field in shown], fontsize=8, color=INK)
    panels[0].set_ylim(len(shown) - 0.4, -0.6)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def plot_dynamic_part(path: str | Path, report: DynamicReport) -> None:
    """Draws what each layer generates: mean and spread of the numbers, and what they are by the chosen column.

    A row of panels for each tensor: on the left the generated numbers with their spread over the rows, on the right
    how far their mean for the rows of each value is from that of all rows, in standard deviations of a row.

    Args:
        path: The PNG file.
        report: The report; of a static model the picture says so.

    Raises:
        ValueError: A path that does not end in `.png`.
    """
    target = png_path(path)
    if report.is_static:
        figure = Figure(figsize=(9.0, 1.0))
        FigureCanvasAgg(figure)
        figure.text(0.02, 0.5, STATIC, fontsize=9, color=INK, va="center")
    else:
        heights = [max(1.6, 0.6 + 0.19 * len(tensor.values)) for tensor in report.tensors]
        figure = Figure(figsize=(11.0, sum(heights) + 0.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(report.tensors), 2, squeeze=False, height_ratios=heights, width_ratios=(1.0, 1.4))
        figure.suptitle(
            plain_text(
                f"What is generated for {report.rows:,} rows, and by {report.by}\n"
                "left: the mean of each number, and one standard deviation between rows on each side; "
                "right: the mean of a value's rows minus that of all"
            ),
            x=0.012,
            ha="left",
            fontsize=9.5,
            color=INK,
        )
        limit = 1.0
        for (left, right), tensor in zip(panels, report.tensors, strict=True):
            chosen = _chosen(tensor.mean.size)
            style_axes(left)
            mean, spread = tensor.mean[chosen], tensor.spread[chosen]
            left.fill_between(
                chosen, mean - spread, mean + spread, color=MODEL_COLOUR, alpha=0.2, linewidth=0, step="mid"
            )
            left.plot(chosen, mean, drawstyle="steps-mid", color=MODEL_COLOUR, linewidth=1.4)
            left.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
            left.set_title(plain_text(tensor.title), loc="left", fontsize=8.5, color=INK)
            scale = np.where(tensor.spread > 0.0, tensor.spread, np.inf)
            deviations = np.stack([(value.mean - tensor.mean) / scale for value in tensor.values])[:, chosen]
            image = right.imshow(
                deviations, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none"
            )
            names = [plain_text(f"{value.value[:24]} ({value.rows:,})") for value in tensor.values]
            right.set_yticks(range(len(names)), names, fontsize=7, color=INK)
            right.set_xticks([])
            if len(tensor.by_field) == tensor.mean.size == len(chosen):
                names = [plain_text(own.field[:14]) for own in tensor.by_field]
                right.set_xticks(range(len(names)), names, fontsize=6, rotation=60, ha="right", color=INK)
            right.tick_params(length=0)
            first = next((field for field in tensor.fields if field.field == report.by), None)
            says = "" if first is None else f": {100.0 * first.share:.1f} % of the differences"
            right.set_title(plain_text(f"by {report.by}{says}"), loc="left", fontsize=8.5, color=MUTED)
        label_axes(panels[-1][0], "generated number", "")
        # Means that are further away have the colour of the end.
        bar = figure.colorbar(image, ax=panels[:, 1], fraction=0.03, pad=0.01, extend="both")
        bar.set_label("standard deviations", fontsize=8, color=MUTED)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def _chosen(numbers: int) -> np.ndarray:
    """The numbers that are drawn: all, or some evenly spread over them."""
    return np.unique(np.linspace(0, numbers - 1, min(numbers, _MOST_NUMBERS)).astype(int))
