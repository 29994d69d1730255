"""Judging exports on labelled rows: the whole report of each, by columns and days, and tests between several."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.days import days_of
from dynctr_tf.datasets.row_files import RowPaths, list_row_files
from dynctr_tf.datasets.rows_to_score import FileReading
from dynctr_tf.durable_files import write_text
from dynctr_tf.evaluation import (
    Comparison,
    Evaluation,
    ScenarioReport,
    compare,
    evaluate,
    plot_comparison,
    plot_run,
    plot_scenarios,
    scenario_report,
)
from dynctr_tf.export import ServedModel
from dynctr_tf.jobs.scoring import LABEL, LOGIT, WEIGHT, open_files, reading_of_export, score_files

MOST_PARTS = 50
"""How many values of a column are reported, the most frequent ones; the others are taken together."""

OTHERS = "(all others)"
MISSING = "(missing)"


@dataclasses.dataclass(frozen=True)
class LabelledScores:
    """The answers of exports to the same labelled rows. Made by `score_labelled`.

    Args:
        labels: float64 `(rows,)`.
        weights: Likewise, where rows have them; `None` where they have none.
        logits: Those of each export, by its name, in the order in which they were given.
        columns: The columns that were carried along.
        skipped: How many rows were left out, by reason.
    """

    labels: np.ndarray
    weights: np.ndarray | None
    logits: dict[str, np.ndarray]
    columns: dict[str, pa.Array]
    skipped: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The reports on exports. Made by `judge_exports`.

    Args:
        evaluations: The whole report of each export.
        comparison: The tests of the others against the first; `None` where there is one export.
        by: For each column whose values split the rows, by its name: the report.
    """

    evaluations: tuple[Evaluation, ...]
    comparison: Comparison | None
    by: dict[str, ScenarioReport]

    def to_text(self) -> str:
        """Returns all tables."""
        parts = [evaluation.to_text() for evaluation in self.evaluations]
        if self.comparison is not None:
            parts.append(self.comparison.to_text())
        return "\n".join([*parts, *(report.to_text() for report in self.by.values())])

    def save(self, folder: Path) -> list[Path]:
        """Writes tables, JSON and pictures into a folder; returns the pictures."""
        pictures = []
        for number, evaluation in enumerate(self.evaluations):
            stem = "evaluation" if len(self.evaluations) == 1 else f"evaluation-{number + 1}-{_plain(evaluation.name)}"
            evaluation.save(folder / f"{stem}.json")
            pictures.append(folder / f"{stem}.png")
            plot_run(pictures[-1], evaluation)
        if self.comparison is not None:
            write_text(folder / "comparison.json", self.comparison.to_json())
            pictures.append(folder / "comparison.png")
            plot_comparison(pictures[-1], self.comparison)
        for column, report in self.by.items():
            stem = f"by-{_plain(column)}"
            report.save(folder / f"{stem}.json")
            for model in report.runs:
                if model == report.single:
                    continue
                several = len(report.runs) - (report.single is not None) > 1
                pictures.append(folder / (f"{stem}-{_plain(model)}.png" if several else f"{stem}.png"))
                plot_scenarios(pictures[-1], report, model)
        write_text(folder / "report.txt", self.to_text())
        return pictures


def _plain(name: str) -> str:
    """A name in a form that a file's name may contain."""
    return re.sub(r"[^\w.=-]+", "-", name).strip("-") or "column"


def names_of(exports: Sequence[ServedModel]) -> list[str]:
    """How reports call exports: model and version, and as many of the folders above as tell them apart.

    Raises:
        ValueError: One export is given twice.
    """
    paths = [export.path.resolve() for export in exports]
    twice = sorted({str(path) for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(f"Exports named more than once: {twice}. Name each once.")
    # The folder of an export and that of its version are its name.
    for parts in range(2, max(len(path.parts) for path in paths)):
        short = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(short)) == len(short):
            return short
    return [str(path) for path in paths]


def own_folder_of(rows: RowPaths, exports: Sequence[ServedModel], columns: Sequence[str]) -> Path:
    """The folder under `runs/` of an evaluation, named after the exports, the rows and the columns carried along."""
    files = [(str(file), *file.state()) for file in list_row_files(rows)]
    made_of = [files, [export.fingerprint for export in exports], list(columns)]
    digest = hashlib.sha256(json.dumps(made_of, default=str).encode()).hexdigest()[:8]
    return Path("runs") / f"evaluate-{_plain(exports[0].name)}-{digest}"


def score_labelled(
    rows: RowPaths,
    exports: Sequence[ServedModel],
    folder: str | Path,
    *,
    columns: Sequence[str] = (),
    reading: Mapping[str, Any] | None = None,
    on_bad_row: OnBadRow = "error",
    workers: int | None = None,
    progress: bool = True,
) -> LabelledScores:
    """Scores labelled rows with each export; stopped and started again with the same folder, it goes on.

    Args:
        rows: Files, folders, patterns, as `dynctr_tf.datasets.row_files.list_row_files` takes them.
        exports: The exports.
        folder: Where the scores are kept, in a folder for each export.
        columns: Columns that are carried along with each row. Default `()`: none.
        reading: Fields of `FileReading` that differ from those of the training. Default `None`: none.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.
        workers: Number of threads. Default `None`: one for each core.
        progress: Whether a progress bar is shown. Default `True`.

    Returns:
        A `LabelledScores`.

    Raises:
        ValueError: As `score_files`; an export that reads other labels, weights or rows than the first one.
    """
    found: LabelledScores | None = None
    for name, export in zip(names_of(exports), exports, strict=True):
        how: FileReading = reading_of_export(export, **(reading or {}))
        sources = open_files(rows, export, keys=columns, labelled=True, reading=how, on_bad_row=on_bad_row)
        place = Path(folder) / "scores" / _plain(name)
        scored = score_files(sources, export, place, workers=workers, progress=progress)
        table = pa.concat_tables(
            pa.parquet.read_table(path, page_checksum_verification=True) for path in sorted(place.glob("part-*"))
        )
        own = LabelledScores(
            _numbers(table, LABEL),
            _numbers(table, WEIGHT) if export.schema.row_weight is not None else None,
            {name: _numbers(table, LOGIT)},
            {column: _whole(table.column(column)) for column in columns},
            scored.skipped,
        )
        if found is None:
            found = own
        _check_same_rows(found, own, name)
        found.logits.update(own.logits)
    if found is None:
        raise ValueError("Give at least one export.")
    return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    numbers: np.ndarray = table.column(name).to_numpy().astype(np.float64)
    return numbers


def _check_same_rows(first: LabelledScores, other: LabelledScores, name: str) -> None:
    of = next(iter(first.logits))
    if len(first.labels) != len(other.labels):
        raise ValueError(
            f"{name} can use {len(other.labels):,} of the rows, and {of} {len(first.labels):,}: their schemas refuse "
            "other rows. Fix the rows, so that each export can use all of them."
        )
    if not np.array_equal(first.labels, other.labels):
        differ = int((first.labels != other.labels).sum())
        raise ValueError(
            f"{name} and {of} read {differ:,} of {len(first.labels):,} labels differently: their schemas name another "
            "column, or another value as a click. Evaluate them one at a time."
        )
    own, others = (np.ones(len(rows.labels)) if rows.weights is None else rows.weights for rows in (first, other))
    if not np.array_equal(own, others):
        raise ValueError(f"{name} and {of} weigh the rows differently, by their schemas. Evaluate them one at a time.")


def parts_of(values: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Numbers the values of a column for a report: the most frequent ones, and the others together.

    Returns:
        int64 `(rows,)`, and the name of each number.

    Example:

    >>> codes, names = parts_of(pa.array(["b", "a", "b", None]))
    >>> [names[code] for code in codes]
    ['b', 'a', 'b', '(missing)']
    """
    text = pc.fill_null(values.cast(pa.string()), MISSING)
    counted = pc.value_counts(text)
    table = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    table = table.sort_by([("count", "descending"), ("value", "ascending")])
    names = table.column("value").to_pylist()
    kept = names if len(names) <= MOST_PARTS else names[: MOST_PARTS - 1]
    codes = pc.index_in(text, value_set=pa.array(kept, pa.string())).fill_null(len(kept)).to_numpy().astype(np.int64)
    return codes, kept if len(kept) == len(names) else [*kept, OTHERS]


def judge_exports(
    scores: LabelledScores,
    *,
    by: Sequence[str] = (),
    by_day: str | None = None,
    group_by: str | None = None,
    replicates: int = 1000,
    progress: bool = True,
) -> Judgement:
    """Measures exports on the rows that they have answered, and tests the others against the first.

    Args:
        scores: The answers, with the columns that are named here.
        by: The columns whose values split the rows. Default `()`: none.
        by_day: A column of times whose days split the rows too. Default `None`: none.
        group_by: The column of the groups of the grouped AUC, such as the user. Default `None`: without it.
        replicates: Number of bootstrap resamples. Default 1000.
        progress: Whether progress bars are shown on a terminal. Default `True`.

    Returns:
        A `Judgement`. In each table p-values are adjusted by Holm's rule: in that of all rows for the number of
        exports that are tested, in those by column for the number of the column's values.

    Raises:
        ValueError: As `dynctr_tf.evaluation.evaluate`; a time that cannot be read as a day.
    """
    first = next(iter(scores.logits))
    groups = None
    if group_by is not None:
        groups = pc.fill_null(scores.columns[group_by].cast(pa.string()), MISSING).to_numpy(zero_copy_only=False)
    options: dict[str, Any] = {"weights": scores.weights, "replicates": replicates, "progress": progress}
    # Bad times are an error before the work begins.
    days = None if by_day is None else pa.array(days_of(scores.columns[by_day], by_day))
    evaluations = tuple(
        evaluate(scores.labels, logits, name=name, groups=groups, **options) for name, logits in scores.logits.items()
    )
    comparison = None
    if len(evaluations) > 1:
        comparison = compare(scores.labels, scores.logits, reference=first, groups=groups, **options)

    def report_by(values: pa.Array, column: str) -> ScenarioReport:
        codes, names = parts_of(values)
        single = first if len(evaluations) > 1 else None
        return scenario_report(
            scores.labels, scores.logits, codes, names=names, single=single, column=column, **options
        )

    reports = {column: report_by(scores.columns[column], column) for column in by}
    if days is not None:
        name = f"day of {by_day}"
        report = report_by(days, name)
        # Ascending in time: a curve by day needs no order by size.
        ordered = tuple(sorted(report.scenarios, key=lambda day: day.name))
        reports[name] = dataclasses.replace(report, scenarios=ordered, small_means={})
    return Judgement(evaluations, comparison, reports)
