"""What a search found: a table of its trials, and a picture of what each hyper-parameter did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import (
    BEST_COLOUR,
    INK,
    MODEL_COLOUR,
    MUTED,
    TRAINING_COLOUR,
    label_axes,
    png_path,
    style_axes,
)
from dynctr_tf.evaluation.text_table import align
from dynctr_tf.figures import decimals_for, figures_text
from dynctr_tf.metrics.scored_rows import FloatArray
from dynctr_tf.models.catalogue import Choice, LogUniform, SearchSpace
from dynctr_tf.tuning.search_trials import Trial

# The columns after the hyper-parameters: what a trial cost. A trial has those that its training function gave.
_FIGURES = {"epochs": ".2f", "steps": ",.0f", "seconds": ".1f", "memory_mib": ",.0f"}
_TITLES = {"memory_mib": "MiB"}


def trials_table(trials: Sequence[Trial]) -> str:
    """Writes the trials of a search as a table, the best first, those that failed last with their errors below it.

    Args:
        trials: What `search` returned.

    Returns:
        The table; `(start)` is a value that the start left to its default.

    Example:

    >>> print(trials_table([Trial({"model.rank": 2}, 0.41), Trial({"model.rank": 4}, 0.42)]))
    trial    score  model.rank
    --------------------------
           0.41000           2
           0.42000           4
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    figures = [name for name in _FIGURES if any(name in trial.figures for trial in trials)]
    rows = [["trial", "score", *names, *(_TITLES.get(name, name) for name in figures)]]
    decimals = max([5, *(decimals_for(trial.score, 5, 5) for trial in trials if not trial.error)])
    for trial in trials:
        rows.append([
            trial.name.removeprefix("trial_"),
            "failed" if trial.error else figures_text(trial.score, decimals=decimals),
            *(_text(trial.values[name]) if name in trial.values else "(start)" for name in names),
            *(format(trial.figures[name], _FIGURES[name]) if name in trial.figures else "-" for name in figures),
        ])  # fmt: skip
    lines = align(rows)
    lines += [f"{trial.name or 'a trial'} failed: {trial.error}" for trial in trials if trial.error]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return "x".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def explained_share(values: Sequence[Any], scores: Sequence[float]) -> float:
    """Estimates which share of the spread of the scores one hyper-parameter explains alone.

    Use it to see what was worth searching. It is the adjusted R squared of the scores by the value, group means for
    values that are not numbers or are few, else a parabola: without the adjustment a hyper-parameter that does
    nothing would explain more the fewer trials there are. The bad half of the scores is cut at their median plus
    three times the distance of the quartiles, so that a single bad training does not make up the whole spread.

    Args:
        values: The value of each trial; numbers on the scale on which they were drawn.
        scores: The score of each trial.

    Returns:
        A number between 0 and 1; `nan` where there are too few trials to say.

    Example:

    >>> explained_share([1, 1, 1, 2, 2, 2], [0.4, 0.4, 0.4, 0.5, 0.5, 0.5])
    1.0
    """
    y = np.asarray(scores, np.float64)
    low, middle, high = np.quantile(y, (0.25, 0.5, 0.75))
    y = np.clip(y, middle - 3.0 * (high - low), middle + 3.0 * (high - low))
    spread = float(np.sum((y - y.mean()) ** 2))
    kinds = sorted(set(map(repr, values)))
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if numbers and len(kinds) > 3:
        x = np.asarray(values, np.float64)
        x = (x - x.mean()) / (x.std() or 1.0)
        design = np.stack([np.ones_like(x), x, x * x], axis=1)
    else:
        design = np.asarray([[float(repr(value) == kind) for kind in kinds] for value in values])
    free = y.size - design.shape[1]
    if free < 2 or len(kinds) < 2 or spread == 0.0:
        return math.nan
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    share = 1.0 - (float(np.sum(rest**2)) / free) / (spread / (y.size - 1))
    return min(1.0, max(0.0, share))


def reached_ends(trials: Sequence[Trial], space: SearchSpace) -> dict[str, str]:
    """Finds hyper-parameters whose best value lies at the end of what was searched, where a wider space may be better.

    Use it after a search: one that ends there has not found the best value. An end is the smallest or largest number of
    a list, or the outer tenth of a range on its scale; the best value must also be the lowest or highest of three or
    more that were tried. There is nothing below 0, or below 1 of whole numbers: a best value there counts as inside.

    Args:
        trials: What `search` returned; what the start left to its default counts for nothing.
        space: What it searched.

    Returns:
        For each such hyper-parameter its best value and where that lies, in words; empty where there is none.

    Example:

    >>> trials = [Trial({"rate": rate}, 1.0 - rate) for rate in (0.09, 0.03, 0.002)]
    >>> reached_ends(trials, {"rate": LogUniform(1e-3, 1e-1)})
    {'rate': '0.09, the highest of 3 values (searched: 0.001 to 0.1)'}
    """
    finished = [trial for trial in trials if trial.error is None]
    found: dict[str, str] = {}
    for name, draw in space.items():
        tried = sorted({trial.values[name] for trial in finished if _is_number(trial.values.get(name))})
        value = finished[0].values.get(name) if finished else None
        if len(tried) < 3 or value not in (tried[0], tried[-1]):
            continue
        ends = _ends(draw)
        is_highest = value == tried[-1]
        bottom = 1 if isinstance(value, int) else 0
        if ends is None or (not is_highest and ends.low <= bottom):
            continue
        if value >= ends.last if is_highest else value <= ends.first:
            which = "highest" if is_highest else "lowest"
            searched = f"{_text(ends.low)} to {_text(ends.high)}"
            found[name] = f"{_text(value)}, the {which} of {len(tried)} values (searched: {searched})"
    return found


class _Ends(NamedTuple):
    """What counts as the ends of a space: up to `first` and from `last` on."""

    low: float
    first: float
    last: float
    high: float


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ends(draw: Any) -> _Ends | None:
    """The ends of numbers that are drawn; `None` for what has no order."""
    if isinstance(draw, Choice):
        if not all(map(_is_number, draw.values)):
            return None
        low, high = min(draw.values), max(draw.values)
        return _Ends(low, low, high, high)
    if isinstance(draw, LogUniform):
        step = (draw.high / draw.low) ** 0.1
        return _Ends(draw.low, draw.low * step, draw.high / step, draw.high)
    step = 0.1 * (draw.high - draw.low)
    return _Ends(draw.low, draw.low + step, draw.high - step, draw.high)


def plot_search(path: str | Path, trials: Sequence[Trial], space: SearchSpace, *, objective: str) -> None:
    """Draws what each hyper-parameter did: the score of every trial against its value, one panel each.

    Use it beside the table. Panels are sorted by `explained_share`, the largest first. Light dots are early trials
    and dark ones late; the green ring is the best trial; the line through values that were chosen from a list joins
    their medians. Trials that failed are crosses at the lower edge, at the values that they had. Scores far on the bad
    side are drawn at the edge.

    Args:
        path: The PNG file.
        trials: What `search` returned.
        space: What it searched.
        objective: What the score is, such as `"validation logloss"`.

    Raises:
        ValueError: A path that does not end in `.png`, or no trial with values of the space that succeeded.
    """
    target = png_path(path)
    drawn = [trial for trial in trials if all(name in trial.values for name in space)]
    finished = sorted((trial for trial in drawn if trial.error is None), key=lambda trial: trial.name)
    if not finished:
        raise ValueError("There is nothing to draw: no trial with values of the search space succeeded.")
    best = next(trial for trial in drawn if trial.error is None)
    shares = {name: _share(name, draw, finished) for name, draw in space.items()}
    names = sorted(space, key=lambda name: -1.0 if math.isnan(shares[name]) else shares[name], reverse=True)
    columns = min(4, len(names))
    lines = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(6.0, 3.1 * columns), 0.7 + 2.5 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    failed = [trial for trial in drawn if trial.error is not None]
    figure.suptitle(
        f"{objective} of {len(finished)} trials"
        + (f", {len(failed)} failed" if failed else "")
        + f"; best {figures_text(best.score, 5, decimals_for(best.score, 5, 5))}",
        x=0.012,
        ha="left",
        fontsize=12.5,
        color=INK,
        weight="bold",
    )
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    limits = _score_limits(np.asarray([trial.score for trial in finished]), best.score)
    for index, axes in enumerate(panels.flat):
        if index >= len(names):
            axes.set_visible(False)
            continue
        name = names[index]
        _draw_parameter(axes, name, space[name], finished, failed, best, limits)
        share = shares[name]
        text = "too few trials to say" if math.isnan(share) else f"explains {100.0 * share:.0f} %"
        axes.set_title(f"{name}: {text}", loc="left", fontsize=9.5, color=INK)
        if index % columns == 0:
            label_axes(axes, y=objective)
    with new_file(target) as partial:
        figure.savefig(partial, dpi=130, facecolor="white")


def _share(name: str, draw: Any, finished: Sequence[Trial]) -> float:
    values = [trial.values[name] for trial in finished]
    if isinstance(draw, LogUniform):
        values = [math.log(value) for value in values]
    return explained_share(values, [trial.score for trial in finished])


def _score_limits(scores: FloatArray, best: float) -> tuple[float, float]:
    """Limits that show the better trials; scores far on the bad side of the median are left outside."""
    low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75))
    reach = 3.0 * max(high - low, abs(middle - best), 1e-6)
    lower, upper = max(scores.min(), middle - reach), min(scores.max(), middle + reach)
    margin = 0.06 * (upper - lower) or 1e-4
    return float(lower - margin), float(upper + margin)


def _positions(draw: Any, trials: Sequence[Trial], name: str) -> FloatArray:
    if isinstance(draw, Choice):
        known = list(draw.values)
        return np.asarray([known.index(trial.values[name]) for trial in trials], np.float64)
    return np.asarray([trial.values[name] for trial in trials], np.float64)


def _draw_parameter(
    axes: Axes,
    name: str,
    draw: Any,
    finished: Sequence[Trial],
    failed: Sequence[Trial],
    best: Trial,
    limits: tuple[float, float],
) -> None:
    style_axes(axes)
    x = _positions(draw, finished, name)
    y = np.clip(np.asarray([trial.score for trial in finished]), *limits)
    if isinstance(draw, Choice):
        present = sorted(set(x))
        medians = [float(np.median(y[x == value])) for value in present]
        axes.plot(present, medians, color=TRAINING_COLOUR, linewidth=1.6, zorder=1)
        axes.set_xticks(range(len(draw.values)), [_text(value) for value in draw.values], fontsize=8)
        if len(draw.values) > 5:
            axes.tick_params(axis="x", labelrotation=90)
        axes.set_xlim(-0.5, len(draw.values) - 0.5)
    else:
        axes.set_xscale("log" if isinstance(draw, LogUniform) else "linear")
        axes.set_xlim(draw.low, draw.high)
    ages = np.linspace(0.25, 1.0, len(finished))
    axes.scatter(x, y, s=26, color=[(*_rgb(MODEL_COLOUR), age) for age in ages], linewidths=0, zorder=2, clip_on=False)
    ring = _positions(draw, [best], name)
    axes.scatter(ring, [best.score], s=110, facecolors="none", edgecolors=BEST_COLOUR, linewidths=1.8, zorder=3)
    if failed:
        crosses = _positions(draw, failed, name)
        axes.scatter(crosses, np.full(len(failed), limits[0]), marker="x", color=MUTED, s=30, clip_on=False, zorder=3)
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255.0 for start in (1, 3, 5))
    return red, green, blue


def memory_growth(trials: Sequence[Trial]) -> Mapping[str, float]:
    """Shows whether a search's memory was steady: what its process held after the first trials and after the last.

    Args:
        trials: What `search` returned; of one process.

    Returns:
        `"first_mib"`, `"last_mib"`, the means over a third of the trials each, the start left out, and
        `"mib_per_trial"`, the slope of a line through all of them; empty with fewer than six trials.

    Example:

    >>> one = [Trial({}, 0.0, name=f"trial_{n}", figures={"memory_mib": 900.0}) for n in range(6)]
    >>> memory_growth(one)["mib_per_trial"]
    0.0
    """
    in_order = sorted((trial for trial in trials if trial.name != "trial_start"), key=lambda trial: trial.name)
    held = np.asarray([trial.figures["memory_mib"] for trial in in_order if "memory_mib" in trial.figures])
    if held.size < 6:
        return {}
    third = held.size // 3
    steps = np.arange(held.size) - (held.size - 1) / 2.0
    slope = float(np.sum(steps * (held - held.mean())) / np.sum(steps**2))
    return {"first_mib": float(held[:third].mean()), "last_mib": float(held[-third:].mean()), "mib_per_trial": slope}
