"""Pictures of a training run and of a comparison, as PNG files; no display and no pyplot state."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.comparison import Comparison
from dynctr_tf.evaluation.report import Evaluation
from dynctr_tf.evaluation.text_table import TITLES, metric_text, number, p_value, percent, signed
from dynctr_tf.metrics.scored_rows import FloatArray
from dynctr_tf.nearest import unknown_name_message

INK = "#24292f"
MUTED = "#6e7781"
GRID = "#e6e8eb"
MODEL_COLOUR = "#0969da"
TRAINING_COLOUR = "#9aa4af"
BEST_COLOUR = "#1a7f37"
WORSE_COLOUR = "#cf222e"
CLICK_COLOUR = "#e16f24"

FINE_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
COARSE_TICKS = (1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
HIGHER_IS_BETTER = frozenset({"auc", "grouped_auc"})
LOWER_IS_BETTER = frozenset({"log_loss", "normalized_entropy", "expected_calibration_error"})


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """What was measured during training, one entry per validation; NaN where something was not.

    Args:
        step: Training steps done.
        train_loss: Training loss since the entry before, penalties included.
        validation_log_loss: Log loss of the validation rows.
        validation_auc: AUC of the validation rows.

    Raises:
        ValueError: Columns of different lengths, or none.
    """

    step: FloatArray
    train_loss: FloatArray
    validation_log_loss: FloatArray
    validation_auc: FloatArray

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, np.asarray(getattr(self, field.name), dtype=np.float64))
        sizes = {field.name: getattr(self, field.name).shape for field in dataclasses.fields(self)}
        if len(set(sizes.values())) != 1 or self.step.ndim != 1 or self.step.size == 0:
            raise ValueError(f"A learning curve needs columns of one common length of at least 1, got {sizes}.")

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        *,
        step: str = "step",
        train_loss: str = "train_loss",
        validation_log_loss: str = "val_logloss",
        validation_auc: str = "val_auc",
    ) -> LearningCurve:
        """Reads the log of a training run.

        Args:
            path: A CSV file with a header; an empty cell means that nothing was measured.
            step: The column of the steps. Default `"step"`.
            train_loss: The column of the training loss. Default `"train_loss"`.
            validation_log_loss: The column of the validation log loss. Default `"val_logloss"`.
            validation_auc: The column of the validation AUC. Default `"val_auc"`.

        Raises:
            ValueError: A column that the file lacks, a cell that is not a number, or no line.
        """
        wanted = (step, train_loss, validation_log_loss, validation_auc)
        columns: list[list[float]] = [[] for _ in wanted]
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            for name in wanted:
                if name not in (reader.fieldnames or ()):
                    raise ValueError(f"{path}: {unknown_name_message('column', name, reader.fieldnames or ())}")
            for row in reader:
                for name, column in zip(wanted, columns, strict=True):
                    text = (row[name] or "").strip()
                    try:
                        column.append(float(text) if text else math.nan)
                    except ValueError as error:
                        raise ValueError(
                            f"{path}, line {reader.line_num}, column {name!r}: expected a number, got {text!r}."
                        ) from error
        if not columns[0]:
            raise ValueError(f"{path} holds no line; has training validated at least once?")
        return cls(*(np.asarray(column) for column in columns))


def plot_run(path: str | Path, evaluation: Evaluation, curve: LearningCurve | None = None) -> None:
    """Draws a run: the learning curve on the left, the calibration on the test rows on the right.

    Use it at the end of training. The calibration plot has the predicted and the observed click rate of
    bins of equal weight on a logit scale, on which low rates are as legible as high ones, with the
    interval of the observed rate; a well calibrated model lies on the diagonal. Below it is the number of
    rows at each prediction.

    Args:
        path: The PNG file.
        evaluation: The model on the test rows.
        curve: The run's training log. Default `None`: the calibration alone.

    Raises:
        ValueError: A path that does not end in `.png`.
    """
    target = png_path(path)
    figure = Figure(figsize=(6.4 if curve is None else 12.0, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    headline = _headline(evaluation, separator=",  " if curve is not None else "\n")
    figure.suptitle(plain_text(headline), x=0.012, ha="left", fontsize=12.5, color=INK, weight="bold")
    right: FigureBase = figure
    if curve is not None:
        left, right = figure.subfigures(1, 2, width_ratios=[1.08, 1.0], wspace=0.03, squeeze=False)[0]
        losses, aucs = left.subplots(2, 1, sharex=True, height_ratios=[1.5, 1.0])
        _draw_losses(losses, curve, evaluation)
        _draw_aucs(aucs, curve, evaluation)
    rates, counts = right.subplots(2, 1, sharex=True, height_ratios=[3.2, 1.0])
    _draw_calibration(rates, evaluation)
    _draw_histogram(counts, evaluation)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def plot_comparison(path: str | Path, comparison: Comparison, metrics: Sequence[str] = ("auc", "log_loss")) -> None:
    """Draws each model's difference to the reference with its interval, one panel a metric.

    Use it beside the comparison's table. A line is green (better) or red (worse) where the test adjusted
    for the number of models says so at the comparison's confidence, grey where it shows no difference. Small dots
    are single runs, less the mean of the reference's runs.

    Args:
        path: The PNG file.
        comparison: The models.
        metrics: Names of the metrics. Default `("auc", "log_loss")`.

    Raises:
        ValueError: A path that does not end in `.png`, no metric or one that was not measured, or no model
            beside the reference.
    """
    target = png_path(path)
    shown = [entry for entry in comparison.models if entry.name != comparison.reference]
    if not shown:
        raise ValueError(f"There is nothing to compare {comparison.reference!r} with; give at least two models.")
    if not metrics:
        raise ValueError("Give at least one metric, such as ('auc', 'log_loss').")
    for metric in metrics:
        if metric not in shown[0].tests:
            raise ValueError(unknown_name_message("metric", str(metric), shown[0].tests))
    width = 1.6 + 0.075 * max(len(entry.name) for entry in shown) + 4.6 * len(metrics)
    figure = Figure(figsize=(width, 1.9 + 0.46 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        plain_text(
            f"Difference to {comparison.reference}, {comparison.confidence * 100:g} % intervals; "
            f"{comparison.rows:,} test rows; p adjusted by Holm's rule"
        ),
        x=0.012,
        ha="left",
        fontsize=12.5,
        color=INK,
        weight="bold",
    )
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for index, (axes, metric) in enumerate(zip(panels, metrics, strict=True)):
        _draw_differences(axes, comparison, metric)
        axes.set_yticks(range(len(shown)), [plain_text(entry.name) for entry in shown], fontsize=10, color=INK)
        axes.tick_params(axis="y", length=0, labelleft=index == 0)
        axes.set_ylim(len(shown) - 0.4, -0.6)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=150, facecolor="white")


def png_path(path: str | Path) -> Path:
    """Returns the path of a picture, refused where it does not end in `.png`."""
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ValueError(f"The picture is a PNG file; its name must end in '.png', got {str(path)!r}.")
    return target


def plain_text(text: str) -> str:
    """Returns a text of the user's, such as a value "$10_$20", that a picture shows as it is and not as a formula."""
    return text.replace("$", r"\$")


def style_axes(axes: Axes) -> None:
    """Gives axes the look that all pictures of the library share."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)


def label_axes(axes: Axes, x: str = "", y: str = "") -> None:
    """Names the axes."""
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)


def _legend(axes: Axes) -> None:
    """Draws the legend where it hides least."""
    axes.legend(loc="best", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none", labelcolor=INK)


def _headline(evaluation: Evaluation, separator: str) -> str:
    numbers = [
        f"{TITLES[metric]} {metric_text(metric, evaluation.metrics[metric].value)}" for metric in ("auc", "log_loss")
    ]
    if evaluation.attainable is not None:
        numbers.append(f"{percent(evaluation.attainable.share.value)} of the attainable gain")
    return f"{evaluation.name}, {evaluation.rows:,} test rows{separator}{',  '.join(numbers)}"


def _thousands(value: float, _: float) -> str:
    return f"{value:,.0f}"


def _draw_line(axes: Axes, steps: FloatArray, values: FloatArray, colour: str, label: str, width: float) -> None:
    measured = ~np.isnan(values)
    marker = "o" if measured.sum() <= 40 else None
    axes.plot(
        steps[measured],
        values[measured],
        color=colour,
        linewidth=width,
        marker=marker,
        markersize=3.5,
        label=label,
        solid_capstyle="round",
    )


def _limits(*columns: FloatArray) -> tuple[float, float] | None:
    """Returns limits that show the course of training; a first value far from all others stays outside."""
    kept = []
    for column in columns:
        values = column[~np.isnan(column)]
        if values.size >= 5:
            rest = values[1:]
            span = float(np.ptp(rest))
            if abs(values[0] - float(np.median(rest))) > 3.0 * span > 0.0:
                values = rest
        kept.append(values)
    values = np.concatenate(kept)
    if values.size == 0:
        return None
    lower, upper = float(values.min()), float(values.max())
    margin = 0.06 * (upper - lower) or 0.01
    return lower - margin, upper + margin


def _best(axes: Axes, value: float) -> None:
    """Draws the best possible value, and makes room for it."""
    lower, upper = axes.get_ylim()
    margin = 0.07 * (max(upper, value) - min(lower, value))
    axes.set_ylim(min(lower, value - margin), max(upper, value + margin))
    label = "best possible on the test rows"
    axes.axhline(value, color=BEST_COLOUR, linewidth=1.3, linestyle=(0, (5, 3)), label=label)


def _mark(axes: Axes, steps: FloatArray, values: FloatArray, index: int) -> None:
    axes.plot(
        steps[index],
        values[index],
        "o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=MODEL_COLOUR,
        mew=1.6,
    )


def _draw_losses(axes: Axes, curve: LearningCurve, evaluation: Evaluation) -> None:
    style_axes(axes)
    _draw_line(axes, curve.step, curve.train_loss, TRAINING_COLOUR, "training loss, with penalties", 1.6)
    _draw_line(axes, curve.step, curve.validation_log_loss, MODEL_COLOUR, "validation log loss", 2.2)
    limits = _limits(curve.train_loss, curve.validation_log_loss)
    if limits is not None:
        axes.set_ylim(*limits)
    if evaluation.attainable is not None:
        _best(axes, evaluation.attainable.metrics["log_loss"].value)
    if not np.isnan(curve.validation_log_loss).all():
        best = int(np.nanargmin(curve.validation_log_loss))
        _mark(axes, curve.step, curve.validation_log_loss, best)
        axes.set_title(
            f"Lowest validation log loss {metric_text('log_loss', float(curve.validation_log_loss[best]))} at step "
            f"{_thousands(float(curve.step[best]), 0)}",
            loc="left",
            fontsize=10,
            color=MUTED,
        )
    _legend(axes)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    label_axes(axes, y="log loss (nats per row)")


def _draw_aucs(axes: Axes, curve: LearningCurve, evaluation: Evaluation) -> None:
    style_axes(axes)
    _draw_line(axes, curve.step, curve.validation_auc, MODEL_COLOUR, "validation AUC", 2.2)
    limits = _limits(curve.validation_auc)
    if limits is not None:
        axes.set_ylim(*limits)
        _mark(axes, curve.step, curve.validation_auc, int(np.nanargmax(curve.validation_auc)))
    if evaluation.attainable is not None:
        _best(axes, evaluation.attainable.metrics["auc"].value)
    _legend(axes)
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    label_axes(axes, "training step", "validation AUC")


def _logit(probability: FloatArray, lower: float, upper: float) -> FloatArray:
    """Returns the log-odds, held between the limits of an axis so that 0 and 1 can be drawn."""
    with np.errstate(divide="ignore"):
        logits: FloatArray = np.clip(np.log(probability) - np.log1p(-probability), lower, upper)
    return logits


def _percent_ticks(lower: float, upper: float) -> tuple[list[float], list[str]]:
    ticks = FINE_TICKS if upper - lower < 7.0 else COARSE_TICKS
    kept = [p for p in ticks if lower <= math.log(p / (1.0 - p)) <= upper]
    return [math.log(p / (1.0 - p)) for p in kept], [f"{100.0 * p:g} %" for p in kept]


def _calibration_limits(evaluation: Evaluation) -> tuple[float, float]:
    curve = evaluation.calibration
    drawn = np.concatenate([curve.predicted, curve.observed, curve.lower, curve.upper])
    drawn = drawn[(drawn > 1e-6) & (drawn < 1.0 - 1e-6)]
    if drawn.size == 0:
        return -2.0, 2.0
    logits = np.log(drawn) - np.log1p(-drawn)
    lower, upper = float(logits.min()), float(logits.max())
    margin = max(0.05 * (upper - lower), 0.2)
    return lower - margin, upper + margin


def _draw_calibration(axes: Axes, evaluation: Evaluation) -> None:
    style_axes(axes)
    lower, upper = _calibration_limits(evaluation)
    curve = evaluation.calibration
    x = _logit(curve.predicted, lower, upper)
    low, middle, high = (_logit(values, lower, upper) for values in (curve.lower, curve.observed, curve.upper))
    axes.plot([lower, upper], [lower, upper], color=MUTED, linewidth=1.2, linestyle=(0, (5, 3)), label="perfect")
    axes.fill_between(
        x,
        low,
        high,
        color=MODEL_COLOUR,
        alpha=0.15,
        linewidth=0,
        label=f"{evaluation.confidence * 100:g} % interval of the rate",
    )
    axes.plot(
        x, middle, color=MODEL_COLOUR, linewidth=1.8, marker="o", markersize=4.5, label=plain_text(evaluation.name)
    )
    ticks, texts = _percent_ticks(lower, upper)
    axes.set_yticks(ticks, texts)
    axes.set_xlim(lower, upper)
    axes.set_ylim(lower, upper)
    ratio, error = (evaluation.metrics[k] for k in ("calibration_ratio", "expected_calibration_error"))
    seen, noise = (
        metric_text("expected_calibration_error", value) for value in (error.value, evaluation.calibration_error_floor)
    )
    axes.set_title(
        f"Calibration ratio {number(ratio.value, 3)}, calibration error {seen} (noise alone: {noise})",
        loc="left",
        fontsize=10,
        color=MUTED,
    )
    axes.legend(loc="upper left", fontsize=9, frameon=False, labelcolor=INK)
    label_axes(axes, y="observed click rate")


def _draw_histogram(axes: Axes, evaluation: Evaluation) -> None:
    style_axes(axes)
    histogram = evaluation.histogram
    widths = np.diff(histogram.edges)
    bottom = np.zeros(widths.size)
    for weight, colour, label in (
        (histogram.others, TRAINING_COLOUR, "no click"),
        (histogram.clicks, CLICK_COLOUR, "click"),
    ):
        axes.bar(
            histogram.edges[:-1],
            weight,
            widths,
            bottom,
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.4,
            label=label,
        )
        bottom = bottom + weight
    lower, upper = _calibration_limits(evaluation)
    axes.set_xlim(lower, upper)  # the axis is that of the curve above
    ticks, texts = _percent_ticks(lower, upper)
    axes.set_xticks(ticks, texts)
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.legend(loc="upper left", fontsize=9, frameon=False, labelcolor=INK)
    label_axes(axes, "predicted click probability (logit scale)", "rows")


def _draw_differences(axes: Axes, comparison: Comparison, metric: str) -> None:
    style_axes(axes)
    axes.grid(False, axis="y")
    axes.axvline(0.0, color=INK, linewidth=1.1)
    shown = [entry for entry in comparison.models if entry.name != comparison.reference]
    reference = float(np.mean(comparison.model(comparison.reference).run_values[metric]))
    for position, entry in enumerate(shown):
        test, adjusted = entry.tests[metric], entry.adjusted_p_values[metric]
        better = test.difference > 0.0 if metric in HIGHER_IS_BETTER else test.difference < 0.0
        colour = MUTED
        if adjusted < 1.0 - comparison.confidence and metric in HIGHER_IS_BETTER | LOWER_IS_BETTER:
            colour = BEST_COLOUR if better else WORSE_COLOUR
        axes.plot(
            [test.lower, test.upper],
            [position, position],
            color=colour,
            linewidth=2.6,
            solid_capstyle="round",
        )
        axes.plot(test.difference, position, "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)
        if entry.runs > 1:
            runs = np.asarray(entry.run_values[metric]) - reference
            axes.plot(runs, np.full(runs.size, position + 0.24), ".", color=colour, markersize=4, alpha=0.7)
        for offset, text in ((6, signed(test.difference, 5)), (62, f"p {p_value(adjusted)}")):
            axes.annotate(
                text,
                (1.0, position),
                xycoords=("axes fraction", "data"),
                xytext=(offset, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=colour,
            )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    direction = "better to the right" if metric in HIGHER_IS_BETTER else "better to the left"
    if metric not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        direction = "best at 1"
    axes.set_title(f"{TITLES.get(metric, metric)} ({direction})", loc="left", fontsize=10.5, color=INK)
    label_axes(axes, f"difference in {TITLES.get(metric, metric)}")
