"""Measures what each dynamic layer costs beside the static layer that it replaces.

`python -m pipelines.benchmarks.layer_costs` gives multiply-adds per row, by formula and counted in the traced graph;
milliseconds per batch, forward and with backward, medians over rounds in which the layers of a group take turns; and
the peak memory of a step, each in a process of its own. If a layer applies a kernel per instance without making it, the
naive form, which makes it, is measured too. The job prints tables, writes the figures as JSON and draws a picture.
Groups that were measured before keep their figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from dynctr_tf.durable_files import make_folder, new_file, read_json, write_json
from dynctr_tf.evaluation.plots import CLICK_COLOUR, GRID, INK, MODEL_COLOUR, MUTED, TRAINING_COLOUR
from dynctr_tf.evaluation.text_table import align
from pipelines import errors_as_messages
from pipelines.benchmarks.contenders import MEMORY_ENVIRONMENT, run_contender
from pipelines.benchmarks.layer_cost_cases import GROUPS, Group, evaluate, group_of

_FIGURES = ("multiply_adds", "forward_ms", "step_ms", "added_peak_mib")
_PANELS = (
    ("multiply_adds", "multiply-adds per row"),
    ("step_ms", "ms per step"),
    ("added_peak_mib", "peak MiB of a step"),
)


def measure(name: str, batch_size: int, steps: int, rounds: int, progress: Any) -> list[dict[str, Any]]:
    """Measures a group: all times in one process, and the memory of each layer in its own process.

    Args:
        name: The group.
        batch_size: Rows.
        steps: Calls for a figure of a round.
        rounds: Rounds.
        progress: A progress bar; `update` is called after each process.
    """
    group = group_of(name)
    command = [sys.executable, "-m", "pipelines.benchmarks.layer_cost_cases", name, str(batch_size), str(steps)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    result = run_contender([*command, "--rounds", str(rounds)], quiet)["times"]
    progress.update()
    for figures in result:
        case = group.case(figures["layer"])
        # A naive form has no formula here; its counted multiply-adds take its place.
        formula = evaluate(case.formula, group.sizes) if figures["form"] == "layer" else None
        figures["multiply_adds"] = figures["counted_multiply_adds"] if formula is None else formula
        memory = run_contender([*command, "--memory", case.name, figures["form"]], MEMORY_ENVIRONMENT)
        figures["added_peak_mib"] = memory["added_peak_mib"]
        progress.update()
    return list(result)


def static_figures(group: Group, measured: Sequence[dict[str, Any]], figures: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of the static layer that a layer replaces; `None` for a static layer."""
    replaces = group.case(figures["layer"]).replaces
    return next((other for other in measured if other["layer"] == replaces), None)


def title(figures: dict[str, Any]) -> str:
    """The name of a row of the table."""
    return figures["layer"] + (", naive" if figures["form"] == "naive" else "")


def table(name: str, measured: Sequence[dict[str, Any]]) -> str:
    """The figures of a group as text, each beside its ratio to the static layer's, and the formulas below."""
    group = group_of(name)

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"

    rows = [["", "multiply-adds", "counted", "x", "forward ms", "x", "step ms", "x", "peak MiB", "x"]]
    for figures in measured:
        static = static_figures(group, measured, figures)
        row = [title(figures)]
        for key in _FIGURES:
            row.append(number(figures[key]))
            if key == "multiply_adds":
                row.append(number(figures["counted_multiply_adds"]))
            known = static is not None and figures[key] is not None and static[key]
            row.append(f"{figures[key] / static[key]:.2f}" if known and static else "")
        rows.append(row)
    sizes = ", ".join(f"{key} = {value}" for key, value in group.sizes.items())
    formulas = [f"  {case.name}: {case.formula}" for case in group.cases]
    return "\n".join([f"{name}: {group.title}", *align(rows), f"multiply-adds per row, {sizes}:", *formulas])


def _bars(axes: Axes, measured: Sequence[dict[str, Any]], key: str, label: str, named: bool) -> None:
    colours = {"static": TRAINING_COLOUR, "layer": MODEL_COLOUR, "naive": CLICK_COLOUR}
    for place, figures in enumerate(measured):
        value = figures[key]
        if value is None or value <= 0:
            axes.text(
                0.01, place, "not known", transform=axes.get_yaxis_transform(), va="center", color=MUTED, fontsize=8
            )
            continue
        kind = "static" if group_kind(figures) else figures["form"]
        axes.barh(place, value, color=colours[kind], height=0.72)
        text = f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
        axes.annotate(text, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    known = [figures[key] for figures in measured if figures[key] and figures[key] > 0]
    axes.set_xscale("log")
    if known:
        axes.set_xlim(min(known) / 2, max(known) * 8)
    axes.set_yticks(range(len(measured)), [title(figures) for figures in measured] if named else [""] * len(measured))
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.set_xlabel(label, fontsize=9, color=MUTED)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def group_kind(figures: dict[str, Any]) -> bool:
    """Whether the figures are those of a static layer."""
    return group_of(figures["group"]).case(figures["layer"]).replaces is None


def draw(result: dict[str, list[dict[str, Any]]], batch_size: int, path: Path) -> None:
    """Draws the figures of all groups, one row of panels each, on logarithmic scales.

    Args:
        result: The figures by group.
        batch_size: Rows of a batch.
        path: The PNG file.
    """
    heights = [len(measured) + 2.5 for measured in result.values()]
    figure = Figure(figsize=(15, 0.27 * sum(heights) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(result), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, measured) in zip(parts, result.items(), strict=True):
        part.suptitle(f"{name}: {group_of(name).title}", fontsize=10, color=INK, x=0.01, ha="left")
        panels = part.subplots(1, len(_PANELS))
        for index, (axes, (key, label)) in enumerate(zip(panels, _PANELS, strict=True)):
            _bars(axes, measured, key, label, named=index == 0)
    figure.suptitle(
        f"Grey: static layers. Blue: dynamic ones. Orange: the same with a kernel per instance. Batch {batch_size}.",
        fontsize=11,
        color=INK,
    )
    with new_file(path) as partial:
        figure.savefig(partial, dpi=120, facecolor="white")


def _measured_before(path: Path) -> dict[str, Any]:
    """The figures of other groups that an earlier call wrote, at the same batch size."""
    try:
        return read_json(path, "Delete it to measure all groups again.")
    except FileNotFoundError:
        return {}


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints, writes and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.layer_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), help=f"of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--batch-size", type=int, default=4096, help="rows per batch (default 4096)")
    parser.add_argument("--steps", type=int, default=3, help="calls for a figure of a round (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each median (default 3)")
    parser.add_argument("--output", type=Path, default=Path("runs/layer_costs"), help="folder of figures and picture")
    arguments = parser.parse_args(words)
    with errors_as_messages(parser, goes_on=False):
        for option in ("batch_size", "steps", "rounds"):
            if getattr(arguments, option) < 1:
                raise ValueError(f"--{option.replace('_', '-')} must be at least 1, got {getattr(arguments, option)}.")
        groups = {name: group_of(name) for name in arguments.groups}
        path = arguments.output / f"layer_costs_{arguments.batch_size}.json"
        before = _measured_before(path)
        processes = sum(1 + sum(len(case.forms) for case in group.cases) for group in groups.values())
        new: dict[str, Any] = {}
        with tqdm(total=processes, desc="processes", unit="run") as progress:
            for name in groups:
                measured = measure(name, arguments.batch_size, arguments.steps, arguments.rounds, progress)
                new[name] = [{"group": name, **figures} for figures in measured]
        result = {name: {**before, **new}[name] for name in GROUPS if name in before or name in new}
        print(f"batch {arguments.batch_size}, medians of {arguments.rounds} rounds; x: times the static layer")
        for name, measured in result.items():
            print(f"\n{table(name, measured)}")
        write_json(make_folder(path.parent) / path.name, result)
        print(f"figures: {path}")
        draw(result, arguments.batch_size, path.with_suffix(".png"))
        print(f"picture: {path.with_suffix('.png')}")


if __name__ == "__main__":
    main()
