"""Pictures of a table's numbers over an option, the paper's beside ours, and of singular values."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import INK, MODEL_COLOUR, MUTED, label_axes, plain_text, style_axes
from dynctr_tf.evaluation.text_table import TITLES
from pipelines.papers.descriptions import Item
from pipelines.papers.measure import Line

_COLOURS = (MODEL_COLOUR, "#e16f24", "#1a7f37", "#8250df", "#cf222e")


def _put_title(figure: Figure, text: str) -> None:
    """Puts a title over a figure, broken into lines of the figure's width."""
    lines = textwrap.wrap(text, int(9.5 * figure.get_figwidth()))
    figure.suptitle(plain_text("\n".join(lines)), x=0.012, ha="left", fontsize=12, color=INK, weight="bold")


def plot_lines(path: Path, item: Item, lines: Sequence[Line], what: str) -> None:
    """Draws each score over the option that changes: ours with intervals, the printed numbers as a broken grey line.

    The two have different axes, because their levels differ with the rows: only the shapes can be compared.

    Args:
        path: The PNG file.
        item: The table.
        lines: Its rows as measured.
        what: What the rows are.
    """
    measured = {line.name: line for line in lines}
    groups: dict[str, list[tuple[float, Line]]] = {}
    for system in item.systems:
        if system.x is not None and system.name in measured:
            groups.setdefault(system.line, []).append((system.x, measured[system.name]))
    columns = [place for place, column in enumerate(item.columns) if column.metric in ("auc", "log_loss")]
    figure = Figure(figsize=(5.6 * len(columns), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    _put_title(figure, f"{item.title}: {what}")
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    every = sorted({x for points in groups.values() for x, _ in points})
    places = {x: number for number, x in enumerate(every)}
    for axes, place in zip(panels, columns, strict=True):
        style_axes(axes)
        for number, (name, points) in enumerate(groups.items()):
            xs = [places[x] for x, _ in points]
            cells = [line.cells[place] for _, line in points]
            values = [cell.value for cell in cells]
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(xs, values, color=colour, marker="o", label=f"ours{': ' + name if name else ''}")
            reach = [[value - cell.lower for value, cell in zip(values, cells, strict=True)]]
            reach.append([cell.upper - value for value, cell in zip(values, cells, strict=True)])
            axes.errorbar(xs, values, np.nan_to_num(np.abs(reach)), color=colour, linewidth=0, elinewidth=1, capsize=2)
        if all(line.printed[place] is not None for points in groups.values() for _, line in points):
            paper = axes.twinx()
            style_axes(paper)
            paper.grid(False)
            for points in groups.values():
                printed = [line.printed[place] for _, line in points]
                paper.plot([places[x] for x, _ in points], printed, color=MUTED, linestyle="--", marker=".", zorder=1)
            paper.set_ylabel("printed in the paper (broken line)", color=MUTED, fontsize=9)
            paper.tick_params(axis="y", colors=MUTED)
        axes.set_xticks(range(len(every)), [f"{x:g}" for x in every])
        label_axes(axes, item.x_label, TITLES.get(item.columns[place].metric, item.columns[place].metric))
    # Below the panels, which have the same lines: inside one of them it would lie over some.
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=130, facecolor="white")


def plot_singular_values(path: Path, values: Mapping[str, np.ndarray], what: str) -> None:
    """Draws the singular values of each matrix, scaled by its largest, and those of a random matrix in grey.

    Args:
        path: The PNG file.
        values: For each layer its values, in descending order.
        what: What the rows are.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    style_axes(axes)
    _put_title(figure, f"Scaled singular values: {what}")
    size = len(next(iter(values.values())))
    random = np.linalg.svd(np.random.default_rng(0).uniform(-1.0, 1.0, (size, size)), compute_uv=False)
    for number, (name, own) in enumerate(values.items()):
        colour, width = _COLOURS[number % len(_COLOURS)], max(1.2, 4.2 - 1.5 * number)  # so that equal ones show
        axes.plot(np.arange(1, size + 1), own / own[0], color=colour, linewidth=width, label=name)
    axes.plot(np.arange(1, size + 1), random / random[0], color=MUTED, linestyle="--", label="random start")
    axes.set_ylim(0.0, 1.05)
    label_axes(axes, "number of the singular value", "share of the largest")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=130, facecolor="white")


def values_for_share(values: np.ndarray, share: float = 0.9) -> int:
    """Returns how many of the largest singular values hold a share of their squared sum.

    Example:

    >>> values_for_share(np.array([3.0, 1.0, 0.1]), 0.9)
    2
    """
    squares = np.cumsum(values**2)
    return int(np.searchsorted(squares, share * squares[-1])) + 1
