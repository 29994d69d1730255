"""Pictures of reports by scenario, as PNG files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import (
    BEST_COLOUR,
    INK,
    MODEL_COLOUR,
    MUTED,
    TRAINING_COLOUR,
    WORSE_COLOUR,
    plain_text,
    png_path,
    style_axes,
)
from dynctr_tf.evaluation.scenario_report import BETTER, WORSE, Scenario, ScenarioReport
from dynctr_tf.evaluation.text_table import TITLES, number


def plot_scenarios(
    path: str | Path, report: ScenarioReport, model: str | None = None, *, max_scenarios: int = 30
) -> None:
    """Draws one model scenario by scenario: AUC, calibration, and the difference to the scenario's own model.

    Use it beside the report's table. The bars are the scenarios' shares of the rows, the dashed line is the weighted
    mean. Where the report has single models, the last panel has the difference in log loss to each scenario's own
    one: red where the shared model is worse, which is negative transfer, green where it is better, grey where the test,
        adjusted for the number of scenarios, shows no difference. Where something is not defined, the picture says so
        in words.

    Args:
        path: The PNG file.
        report: The scenarios.
        model: The model. Default `None`: the first that is not the single one.
        max_scenarios: How many scenarios are drawn, the largest first. Default 30.

    Raises:
        ValueError: A path that does not end in `.png`, or an unknown model.
    """
    target = png_path(path)
    chosen = report.checked_model(model)
    shown = report.scenarios[:max_scenarios]
    tested = report.single is not None and chosen != report.single
    figure = Figure(figsize=(12.5 if tested else 10.0, 1.9 + 0.36 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    hidden = len(report.scenarios) - len(shown)
    figure.suptitle(
        plain_text(
            f"{chosen} by {report.part}, {report.confidence * 100:g} % intervals; {report.rows:,} test rows"
            + (f"; {hidden} smaller {report.parts} not drawn" if hidden else "")
        ),
        x=0.012,
        ha="left",
        fontsize=12.5,
        color=INK,
        weight="bold",
    )
    widths = [0.7, 1.0, 1.0, *([1.2] if tested else [])]
    panels = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    positions = range(len(shown))
    shares = panels[0]
    style_axes(shares)
    shares.barh(positions, [100.0 * scenario.share for scenario in shown], color=TRAINING_COLOUR, height=0.6)
    shares.set_title("share of rows (%)", loc="left", fontsize=10.5, color=INK)
    for axes, metric in ((panels[1], "auc"), (panels[2], "calibration_ratio")):
        _draw_scenario_metric(axes, report, chosen, shown, metric)
    if tested:
        _draw_transfer(panels[3], report, chosen, shown)
    for index, axes in enumerate(panels):
        axes.grid(False, axis="y")
        axes.set_yticks(positions, [plain_text(scenario.name) for scenario in shown], fontsize=9, color=INK)
        axes.tick_params(axis="y", length=0, labelleft=index == 0)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def plot_transfer(path: str | Path, report: ScenarioReport, *, max_scenarios: int = 30) -> None:
    """Draws for every model and scenario the difference in log loss to the scenario's own single model.

    Use it to see over several models which scenarios pay for the others. Red is worse than the own model, green is
    better; a cell with a frame is one where the test adjusted for the number of scenarios says so.

    Args:
        path: The PNG file.
        report: The scenarios.
        max_scenarios: How many scenarios are drawn, the largest first. Default 30.

    Raises:
        ValueError: A path that does not end in `.png`, or a report without single models or without others.
    """
    target = png_path(path)
    models = [name for name in report.runs if name != report.single]
    if report.single is None or not models:
        raise ValueError("The report has no model beside a single one per scenario; give `single` to scenario_report.")
    shown = report.scenarios[:max_scenarios]
    differences = np.array([[scenario.scores[m].tests["log_loss"].difference for scenario in shown] for m in models])
    figure = Figure(figsize=(2.6 + 0.72 * max(len(shown), 3), 2.4 + 0.4 * len(models)), layout="constrained")
    FigureCanvasAgg(figure)
    title = plain_text(f"Log loss less that of {report.single} (x 1000)")
    figure.suptitle(title, x=0.012, ha="left", fontsize=12.5, color=INK, weight="bold")
    axes = figure.subplots()
    largest = float(np.nanmax(np.abs(differences))) if np.isfinite(differences).any() else 0.0
    limit = largest if largest > 0.0 else 1.0
    axes.imshow(differences, cmap="RdYlGn_r", vmin=-limit, vmax=limit, aspect="auto", alpha=0.75)
    for row, model in enumerate(models):
        for column, scenario in enumerate(shown):
            value = differences[row, column]
            text = "n. d." if math.isnan(value) else f"{1000.0 * value:+.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=INK)
            if scenario.scores[model].verdict("log_loss", report.confidence) in (BETTER, WORSE):
                frame = Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fill=False, edgecolor=INK, linewidth=1.4)
                axes.add_patch(frame)
    names = [plain_text(scenario.name) for scenario in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8, color=INK, rotation=45, ha="right")
    axes.set_yticks(range(len(models)), list(map(plain_text, models)), fontsize=9, color=INK)
    axes.tick_params(length=0)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def _draw_scenario_metric(
    axes: Axes, report: ScenarioReport, model: str, shown: Sequence[Scenario], metric: str
) -> None:
    style_axes(axes)
    mean = report.means[model].metrics[metric].value
    if not math.isnan(mean):
        axes.axvline(mean, color=MODEL_COLOUR, linewidth=1.2, linestyle=(0, (5, 3)))
    if metric == "calibration_ratio":
        axes.axvline(1.0, color=INK, linewidth=1.0)
    for position, scenario in enumerate(shown):
        estimate = scenario.scores[model].metrics[metric]
        if math.isnan(estimate.value):
            _say_in_row(axes, position, f"not defined: {scenario.undefined}", MUTED)
            continue
        if not math.isnan(estimate.lower):
            axes.plot([estimate.lower, estimate.upper], [position] * 2, color=MODEL_COLOUR, linewidth=2.2)
        axes.plot(estimate.value, position, "o", color=MODEL_COLOUR, markersize=6, markeredgecolor="white", zorder=3)
    axes.set_title(f"{TITLES[metric]}, mean {number(mean, 3)}", loc="left", fontsize=10.5, color=INK)


def _draw_transfer(axes: Axes, report: ScenarioReport, model: str, shown: Sequence[Scenario]) -> None:
    style_axes(axes)
    axes.axvline(0.0, color=INK, linewidth=1.1)
    for position, scenario in enumerate(shown):
        score = scenario.scores[model]
        test = score.tests["log_loss"]
        verdict = score.verdict("log_loss", report.confidence)
        colour = {BETTER: BEST_COLOUR, WORSE: WORSE_COLOUR}.get(verdict, MUTED)
        if math.isnan(test.lower):
            why = scenario.undefined or f"fewer than {report.min_clicks} clicks"
            _say_in_row(axes, position, f"not tested: {why}", MUTED)
            continue
        axes.plot([test.lower, test.upper], [position] * 2, color=colour, linewidth=2.2)
        axes.plot(test.difference, position, "o", color=colour, markersize=6, markeredgecolor="white", zorder=3)
    title = plain_text(f"log loss less that of {report.single} (better to the left)")
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)


def _say_in_row(axes: Axes, position: int, text: str, colour: str) -> None:
    axes.text(
        0.02, position, text, transform=axes.get_yaxis_transform(), fontsize=8.5, color=colour, va="center", ha="left"
    )
