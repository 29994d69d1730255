"""The picture of the speed comparison: training, serving and small requests, one bar per library and model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

_COLOURS = ("#0969da", "#54aeff", "#8250df", "#bf8700", "#e16f24", "#9aa4af")


def draw_speed(results: Sequence[dict[str, Any]], num_ids: int, path: Path) -> None:
    """Draws the medians of one number of ids as a PNG file.

    Args:
        results: The figures of all contenders, as `pipelines.benchmark speed` writes them. A figure that a contender
            lacks has no bar, such as that of one row for FuxiCTR's mixture of cross experts.
        num_ids: Which of them are drawn.
        path: The file.
    """
    shown = [result for result in results if result["num_ids"] == num_ids]
    models = list(dict.fromkeys(result["model"] for result in shown))
    contenders = list(dict.fromkeys(contender_name(result) for result in shown))
    panels = (
        ("train_rows_per_s", "training, rows/s"),
        ("inference_rows_per_s", "inference, rows/s"),
        ("latency_ms_1", "latency of one row, ms"),
        ("latency_ms_512", "latency of 512 rows, ms"),
    )
    figure = Figure(figsize=(13, 1.4 + 0.16 * len(models) * (len(contenders) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    height = 0.85 / len(contenders)
    for axes, (key, title) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        for index, contender in enumerate(contenders):
            of_contender = [result for result in shown if contender_name(result) == contender and key in result]
            found = {result["model"]: result[key] for result in of_contender}
            places = [models.index(model) + index * height for model in found]
            bars = axes.barh(places, list(found.values()), height, label=contender, color=_COLOURS[index % 6])
            axes.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.2g}", fontsize=6)
        if key == "train_rows_per_s":
            ours = [result for result in shown if "matmul_limit_rows_per_s" in result]
            for result in ours:
                place = models.index(result["model"])
                axes.plot([result["matmul_limit_rows_per_s"]] * 2, [place - 0.2, place + 0.6], color="black", lw=1)
            if ours:
                axes.plot([], [], color="black", lw=1, label="limit of float32 matrix products")
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.15, y=0.01)  # room for the numbers after the longest bars
        axes.set_title(title, fontsize=9)
        axes.grid(axis="x", color="#e6e8eb")
        axes.set_axisbelow(True)
    first = figure.axes[0]
    first.set_yticks([place + 0.4 - height / 2 for place in range(len(models))], models)
    first.invert_yaxis()
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(f"{num_ids:,} ids, 39 fields of 16", fontsize=10)
    figure.savefig(path, dpi=130)
    print(f"picture: {path}")


def contender_name(result: dict[str, Any]) -> str:
    """The name of a contender: its library, and its variant unless it is the plain one."""
    return result["library"] if result["variant"] == "float32" else f"{result['library']}, {result['variant']}"
