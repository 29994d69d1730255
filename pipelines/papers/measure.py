"""The results of a table: each column of each row, with intervals and tests, beside the printed numbers."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynctr_tf.jobs.settings import JobSettings
from pipelines.papers.descriptions import Column, Item
from pipelines.papers.parts import part_of_rows

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset

_HIGHER_IS_BETTER = {"auc": True, "log_loss": False}
_SCORES = tuple(_HIGHER_IS_BETTER)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One of our numbers.

    Args:
        value: The mean over the runs; NaN where it is not defined.
        lower: Lower end of its interval; NaN where there is none.
        upper: Upper end.
        difference: To the reference on the same rows; NaN for the reference and for rows that are not scores.
        difference_lower: Lower end of its interval.
        difference_upper: Upper end.
        p: Of the paired test, adjusted by Holm's rule.
    """

    value: float
    lower: float = math.nan
    upper: float = math.nan
    difference: float = math.nan
    difference_lower: float = math.nan
    difference_upper: float = math.nan
    p: float = math.nan


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a table: ours, or a model of FuxiCTR beside it.

    Args:
        name: The row's name.
        cells: Ours, one a column.
        printed: What the paper prints, one a column; `None` where it prints none.
        runs: The number of runs.
        parameters: Of one model.
        rows_per_second: Of the training, the median of the runs.
        peak_mib: Of the largest process.
    """

    name: str
    cells: tuple[Cell, ...]
    printed: tuple[float | None, ...]
    runs: int
    parameters: float = math.nan
    rows_per_second: float = math.nan
    peak_mib: float = math.nan


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far the order of the rows here is the printed one.

    Args:
        rows: How many rows have both numbers.
        kendall_tau: Kendall's rank correlation (tau-b): 1 for the printed order, -1 for its reverse.
        p: The probability that a random order agrees at least as well.
    """

    rows: int
    kendall_tau: float
    p: float


@dataclasses.dataclass(frozen=True)
class Measured:
    """A table on one data set.

    Args:
        data: The data set's name.
        what: What the rows are.
        counts: Rows of each split.
        clicks: Clicks among the test rows.
        fingerprint: Of the encoded rows.
        lines: The rows.
        notes: Notes for the reader of these numbers.
        settings: For each training the settings that were found and used, in one line.
        pictures: Files of pictures, and what they show.
    """

    data: str
    what: str
    counts: Mapping[str, int]
    clicks: float
    fingerprint: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Runs:
    """The results of the trainings of a table.

    Args:
        predictions: For each row, its own or of FuxiCTR, the logits of its runs on the test rows.
        results: For each of our rows the results of its runs.
        settings: For each of our rows the settings of its first training, as it was trained.
    """

    predictions: Mapping[str, Sequence[np.ndarray]]
    results: Mapping[str, Sequence[Mapping[str, Any]]]
    settings: Mapping[str, JobSettings]


def measure(
    item: Item, data: EncodedDataset, runs: Runs, printed: Mapping[str, Sequence[float]], *, replicates: int
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """Scores the runs of a table.

    Args:
        item: The table.
        data: The encoded rows.
        runs: The results of the trainings.
        printed: The numbers that the paper prints for this data set.
        replicates: Bootstrap resamples for each interval.

    Returns:
        The rows, and notes for the reader.
    """
    notes: list[str] = []
    scored: dict[str, Any] = {}
    for column in item.columns:
        if column.metric in _SCORES and column.part not in scored:
            scored[column.part] = _compared(item, data, runs, column, replicates, notes)
    lines = []
    for name in runs.predictions:
        cells = tuple(_cell(item, data, runs, name, column, scored.get(column.part)) for column in item.columns)
        results = runs.results.get(name, ())
        numbers = printed.get(name)
        lines.append(
            Line(
                name,
                cells,
                tuple(numbers) if numbers is not None else (None,) * len(item.columns),
                len(runs.predictions[name]),
                statistics.fmean(result["parameters"] for result in results) if results else math.nan,
                _middle([result["rows_per_second"] for result in results]),
                max((result["peak_memory_mib"] for result in results), default=math.nan),
            )
        )
    if data.schema.true_probability:
        notes.append(_best_possible(data))
    if any(len(logits) == 1 for logits in runs.predictions.values()):
        notes.append("One run of each model alone: intervals and tests do not cover other training seeds.")
    return tuple(lines), tuple(notes)


def _best_possible(data: EncodedDataset) -> str:
    """What the true click probabilities reach on the test rows, where they are known."""
    from dynctr_tf.metrics import auc, log_loss
    from dynctr_tf.metrics.attainable import oracle_logits

    labels, logits = data.column("test", "label"), oracle_logits(data.column("test", "true_probability"))
    return (
        f"The true click probabilities have an AUC of {auc(labels, logits):.4f} and a log loss of "
        f"{log_loss(labels, logits):.4f} on these test rows: a model is above them by chance alone."
    )


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def _compared(item: Item, data: EncodedDataset, runs: Runs, column: Column, replicates: int, notes: list[str]) -> Any:
    """The comparison on the rows of a column; `None` where they cannot be compared."""
    from dynctr_tf.evaluation import compare
    from dynctr_tf.jobs.stages import training_click_rate

    chosen = part_of_rows(data, column)
    labels = data.column("test", "label")[chosen]
    if column.part:
        share = chosen.mean() if chosen.size else 0.0
        notes.append(
            f"{column.part}: {len(labels):,} of the test rows ({share:.1%}), {labels.sum():,.0f} of them clicks."
        )
    if not 0 < labels.sum() < len(labels):
        notes.append(f"{column.part or 'all rows'}: without clicks, or with clicks alone, nothing can be ranked.")
        return None
    weights = data.column("test", "weight")[chosen] if data.schema.row_weight else None
    return compare(
        labels,
        {name: [logits[chosen] for logits in of] for name, of in runs.predictions.items()},
        reference=item.reference,
        weights=weights,
        base_rate=training_click_rate(data),
        replicates=replicates,
    )


def _cell(item: Item, data: EncodedDataset, runs: Runs, name: str, column: Column, comparison: Any) -> Cell:
    if column.metric in _SCORES:
        if comparison is None:
            return Cell(math.nan)
        model = comparison.model(name)
        estimate = model.metrics[column.metric]
        if name == item.reference:
            return Cell(estimate.value, estimate.lower, estimate.upper)
        test = model.tests[column.metric]
        return Cell(
            estimate.value,
            estimate.lower,
            estimate.upper,
            test.difference,
            test.lower,
            test.upper,
            model.adjusted_p_values[column.metric],
        )
    if name not in runs.settings:
        return Cell(math.nan)
    if column.metric == "thousand_parameters":
        return Cell(_parameters_beside_tables(data, runs.settings[name]) / 1000.0)
    rate = _middle([result["rows_per_second"] for result in runs.results[name]])
    return Cell(data.num_rows("train") / rate)


def _parameters_beside_tables(data: EncodedDataset, settings: JobSettings) -> int:
    """What a model trains beside its embedding tables."""
    from dynctr_tf.models.catalogue import build_model

    model = build_model(settings.model.name, data.features, **settings.model.options)
    shapes = [tuple(weight.shape) for weight in model.trainable_weights]
    return int(sum(math.prod(shape) for shape in shapes if not shape or shape[0] != data.features.num_ids))


def order_agreement(lines: Sequence[Line], place: int) -> Agreement | None:
    """Compares the order of the rows here with the printed one.

    Args:
        lines: The rows.
        place: Which column.

    Returns:
        The agreement, or `None` where fewer than four rows have both numbers, or all rows are equal in one of them.
    """
    from scipy.stats import kendalltau

    both = [
        (line.printed[place], line.cells[place].value)
        for line in lines
        if line.printed[place] is not None and not math.isnan(line.cells[place].value)
    ]
    if len(both) < 4:
        return None
    printed, ours = zip(*both, strict=True)
    found = kendalltau(printed, ours, alternative="greater")
    return None if math.isnan(found.statistic) else Agreement(len(both), float(found.statistic), float(found.pvalue))


def verdicts(item: Item, line: Line, reference: Line) -> list[tuple[Column, float, Cell, str]]:
    """Says for each score of a row whether our runs show the difference that the paper prints.

    Args:
        item: The table.
        line: The row.
        reference: The row that it is tested against.

    Returns:
        For each column with printed numbers of both: the column, the printed difference, our cell, and a word.
    """
    found = []
    for place, column in enumerate(item.columns):
        ours, theirs, base = line.cells[place], line.printed[place], reference.printed[place]
        if column.metric not in _SCORES or theirs is None or base is None or math.isnan(ours.difference):
            continue
        gain = (theirs - base) if _HIGHER_IS_BETTER[column.metric] else (base - theirs)
        own = ours.difference if _HIGHER_IS_BETTER[column.metric] else -ours.difference
        if not ours.p < 0.05:
            word = "may be chance here"
        elif gain == 0.0:
            word = "differs here, equal in print"
        else:
            word = "shows here too" if own * gain > 0 else "reversed here"
        found.append((column, theirs - base, ours, word))
    return found
