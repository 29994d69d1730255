"""Under which conditions a dynamic layer gains: how many rows it needs, how strong an effect, and how frequent ids.

`python -m pipelines.benchmarks.gain_conditions` trains the model of `gain_picture` on synthetic rows of known click
probability: with few and with many training rows, with effects of the context from weak to strong, and with fields of
few and of many values, most of which are then rare. What is attainable is the test AUC of the true click probability
minus that of the static layer; the picture shows which share of it each dynamic layer gains. All trainings take as many
steps, so that few rows are not few steps too.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynctr_tf.durable_files import make_folder, new_file, read_json, write_json
from dynctr_tf.evaluation.plots import CLICK_COLOUR, INK, MODEL_COLOUR, MUTED, label_axes, style_axes
from dynctr_tf.evaluation.text_table import align
from pipelines import errors_as_messages
from pipelines.benchmarks.gain_picture import STATIC, measure

_COLOURS = (MUTED, CLICK_COLOUR, MODEL_COLOUR, INK)
_LABELS = {"strength": "strength of the effect of the context", "values": "values of each field that carries it"}


class Point(NamedTuple):
    """What the layers reach on rows of one kind.

    Args:
        rows: Training rows.
        strength: Standard deviation of the third-order effect in the logit.
        values: How many interests of users and how many categories of items there are, which carry it.
        auc: The test AUC of each seed by layer.
        best: The AUC of the true click probability.
    """

    rows: int
    strength: float
    values: int
    auc: Mapping[str, Sequence[float]]
    best: float


def shares(point: Point, layer: str) -> np.ndarray:
    """The share of the attainable gain of a layer, seed by seed: 1 is the true click probability, 0 the static layer.

    Args:
        point: What was measured.
        layer: The dynamic layer.

    Example:

    >>> point = Point(1000, 1.0, 10, {STATIC: [0.6, 0.62], "new": [0.7, 0.61]}, 0.81)
    >>> shares(point, "new").round(2).tolist()
    [0.45, 0.0]
    """
    static = float(np.mean(point.auc[STATIC]))
    return (np.asarray(point.auc[layer]) - static) / (point.best - static)


def measure_all(
    num_rows: Sequence[int],
    conditions: Sequence[tuple[float, int]],
    epochs: int,
    seeds: int,
    num_test: int,
    folder: Path,
) -> list[Point]:
    """Measures each number of rows under each condition; what the folder has already is not measured again.

    Args:
        num_rows: Training rows.
        conditions: The strength of the effect and the number of values, as in `Point`.
        epochs: Passes over the largest number of rows; fewer rows are read more often.
        seeds: Trainings of each layer.
        num_test: Test rows.
        folder: Where each point is kept.
    """
    points = []
    for strength, values in conditions:
        for rows in num_rows:
            passes = -(-epochs * max(num_rows) // rows)
            file = folder / f"{strength:g}-{values}-{rows}-{passes}-{seeds}-{num_test}.json"
            if not file.exists():
                found, best = measure(rows, passes, range(seeds), strength, num_test, values)
                write_json(file, {"rows": rows, "strength": strength, "values": values, "auc": found, "best": best})
            points.append(Point(**read_json(file)))
    return points


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws the share of the attainable gain: a panel for each layer, a line for each number of rows.

    Above it is drawn over the strength, with the fewest values; below over the number of values, with the strongest
    effect, where there are several.

    Args:
        points: What was measured.
        path: The PNG file.
    """
    layers = [layer for layer in points[0].auc if layer != STATIC]
    strongest, fewest = max(point.strength for point in points), min(point.values for point in points)
    sweeps = [("strength", [point for point in points if point.values == fewest])]
    if any(point.values != fewest for point in points):
        sweeps.append(("values", [point for point in points if point.strength == strongest]))
    figure = Figure(figsize=(3.4 * len(layers), 0.4 + 2.9 * len(sweeps)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(sweeps), len(layers), squeeze=False, sharey=True)
    for above, (name, chosen) in zip(panels, sweeps, strict=True):
        for axes, layer in zip(above, layers, strict=True):
            _draw_panel(axes, layer, name, chosen)
        above[0].set_ylabel("share of the attainable gain", color=INK, fontsize=9)
    for axes, layer in zip(panels[0], layers, strict=True):
        axes.set_title(layer, fontsize=9, color=INK)
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=110)


def _draw_panel(axes: Axes, layer: str, name: str, points: Sequence[Point]) -> None:
    """Draws the share of one layer over the strength or the number of values."""
    style_axes(axes)
    axes.axhline(0.0, color=MUTED, linewidth=1, linestyle="--")
    for number, rows in enumerate(sorted({point.rows for point in points})):
        own = [point for point in points if point.rows == rows]
        colour, found = _COLOURS[number % len(_COLOURS)], [shares(point, layer) for point in own]
        xs = [getattr(point, name) for point in own]
        axes.plot(xs, [values.mean() for values in found], color=colour, label=f"{rows:,} rows")
        for x, values in zip(xs, found, strict=True):
            axes.plot([x] * len(values), values, "o", color=colour, markersize=4, alpha=0.7)
    if name == "values":
        axes.set_xscale("log")
    axes.tick_params(labelsize=8)
    label_axes(axes, _LABELS[name], "")


def table(points: Sequence[Point]) -> list[list[str]]:
    """The numbers as rows of texts: means of the seeds, and the share of the attainable gain of each layer."""
    layers = [layer for layer in points[0].auc if layer != STATIC]
    rows = [["strength", "values", "rows", STATIC, "true click probability", *layers]]
    for point in points:
        cells = [f"{point.strength:g}", f"{point.values:,}", f"{point.rows:,}"]
        cells += [f"{np.mean(point.auc[STATIC]):.4f}", f"{point.best:.4f}"]
        for layer in layers:
            cells.append(f"{np.mean(point.auc[layer]):.4f} ({shares(point, layer).mean():.0%})")
        rows.append(cells)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, measures and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.gain_conditions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(name: str, default: Any, kind: Any, text: str, **more: Any) -> None:
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (default {shown})", **more)

    option("rows", [20_000, 50_000, 100_000], int, "numbers of training rows", nargs="+")
    option("strengths", [0.4, 0.8, 1.6], float, "standard deviations of the effect in the logit", nargs="+")
    option("values", [10, 100, 1000], int, "values of each field that carries the effect, the strongest", nargs="+")
    option("epochs", 5, int, "passes over the largest number of rows; fewer rows are read for as many steps")
    option("seeds", 3, int, "trainings of each layer")
    option("test-rows", 50_000, int, "test rows")
    option("output", Path("runs/gain_conditions"), Path, "folder of the numbers and the picture")
    options = parser.parse_args(arguments)
    for name in ("rows", "strengths", "values", "epochs", "seeds", "test_rows"):
        given = getattr(options, name)
        if min(given if isinstance(given, list) else [given]) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0, got {given}")
    with errors_as_messages(parser):
        folder = make_folder(options.output)
        strengths, numbers = sorted(set(options.strengths)), sorted(set(options.values))
        conditions = [(strength, numbers[0]) for strength in strengths]
        conditions += [(strengths[-1], values) for values in numbers[1:]]
        points = measure_all(
            sorted(set(options.rows)), conditions, options.epochs, options.seeds, options.test_rows, folder
        )
        draw(points, folder / "gain_conditions.png")
        print("\n".join(align(table(points))))
        print(f"picture: {folder / 'gain_conditions.png'}")


if __name__ == "__main__":
    main()
