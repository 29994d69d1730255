"""Whether predicted probabilities are met in every part of the rows: by the values of a column."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynctr_tf.durable_files import write_text
from dynctr_tf.evaluation.json_records import as_float, build, entry_of, parse_object, to_plain
from dynctr_tf.evaluation.text_table import align, number
from dynctr_tf.figures import share_text
from dynctr_tf.metrics.calibration import clopper_pearson_interval
from dynctr_tf.metrics.scored_rows import checked_rows, probabilities


@dataclasses.dataclass(frozen=True)
class CalibrationSlice:
    """The rows of one value of a column.

    Args:
        column: The column.
        value: The value; `"(others)"` for the values with the fewest rows together.
        rows: Number of rows.
        predicted: Mean predicted probability, by weight where rows have one.
        observed: Share of clicks.
        lower: Lower end of the interval of the ratio of both.
        upper: Its upper end; `inf` where there is no click.
        is_off: Whether the ratio differs from 1, at the report's confidence over all slices of the column together.
    """

    column: str
    value: str
    rows: int
    predicted: float
    observed: float
    lower: float
    upper: float
    is_off: bool

    @property
    def ratio(self) -> float:
        """Predicted over observed clicks; NaN where there is no click."""
        return self.predicted / self.observed if self.observed > 0.0 else math.nan


@dataclasses.dataclass(frozen=True)
class CalibrationSlices:
    """Calibration by the values of columns. Made by `calibration_slices`.

    Args:
        confidence: What share of such intervals hold the true ratio.
        slices: The slices, column by column, the largest first.
    """

    confidence: float
    slices: tuple[CalibrationSlice, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(dict.fromkeys(entry.column for entry in self.slices))

    def of(self, column: str) -> list[CalibrationSlice]:
        """The slices of one column, the largest first."""
        return [entry for entry in self.slices if entry.column == column]

    def to_text(self, max_slices: int = 20) -> str:
        """Returns a plain-text report.

        Args:
            max_slices: How many slices of a column are listed, the largest first; those that are off always are.
                Default 20.
        """
        lines = [f"calibration by slice: predicted over observed clicks, {self.confidence * 100:g} % intervals"]
        for column in self.columns:
            slices = self.of(column)
            shown = [entry for place, entry in enumerate(slices) if place < max_slices or entry.is_off]
            table = [[column, "rows", "predicted", "observed", "ratio", "interval", ""]]
            for entry in shown:
                table.append([
                    entry.value,
                    f"{entry.rows:,}",
                    share_text(entry.predicted),
                    share_text(entry.observed),
                    number(entry.ratio, 3),
                    f"[{number(entry.lower, 3)}, {number(entry.upper, 3) if math.isfinite(entry.upper) else 'inf'}]",
                    "off" if entry.is_off else "",
                ])  # fmt: skip
            off = sum(entry.is_off for entry in slices)
            lines += ["", *align(table)]
            lines.append(
                f"{off} of {len(slices)} slices of {column} are off (the ratio differs from 1, at "
                f"{self.confidence * 100:g} % over all of them together)"
            )
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Writes the report as a JSON text; what is undefined or infinite becomes `null`."""
        return json.dumps(to_plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CalibrationSlices:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: Not JSON, or no such report.
        """
        plain = parse_object(text, "report")
        slices = []
        for entry in entry_of(plain, "slices", "report"):
            upper = entry_of(entry, "upper", "slice")
            numbers = {key: as_float(entry_of(entry, key, "slice")) for key in ("predicted", "observed", "lower")}
            slices.append(build(CalibrationSlice, {**entry, **numbers, "upper": math.inf if upper is None else upper}))
        return cls(as_float(entry_of(plain, "confidence", "report")), tuple(slices))

    def save(self, path: str | Path) -> None:
        """Writes the report to a JSON file."""
        write_text(path, self.to_json())


def calibration_slices(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    columns: Mapping[str, Any],
    *,
    weights: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    max_slices: int = 100,
) -> CalibrationSlices:
    """Compares predicted with observed clicks for each value of columns.

    Use it where bids or quotas are made by part: a model may be right on the whole and wrong by site, hour or segment.

    The interval is Clopper and Pearson's of the share of clicks p, turned into one of the ratio: it is exact, so that a
    slice of two rows one of which is a click tells little. With weights the number of rows in it is
    `p (1 - p) (sum w)^2 / sum w^2 (y - p)^2`. A slice is off if a wider interval, by Bonferroni's rule for the number
    of slices of the column, does not hold 1.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        columns: For each column its values, one a row; or a pair of indices and their names.
        weights: How much each row counts. Default `None`: 1 each.
        confidence: What share of such intervals hold the true ratio. Default 0.95.
        max_slices: How many values of a column are slices of their own, those with the most rows; the others are one
            slice. Default 100.

    Returns:
        A `CalibrationSlices`.

    Raises:
        ValueError: Columns of another length, no column, a confidence or number out of range, or as
            `dynctr_tf.metrics.log_loss`.

    Cost: one sort of each column.

    Reference: Clopper, Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
        Biometrika 26, 1934.

    Example:

    >>> report = calibration_slices([1, 0, 1, 0] * 25, [0.0, 0.0, 2.0, 2.0] * 25, {"site": ["a", "a", "b", "b"] * 25})
    >>> [(entry.value, round(entry.ratio, 2), entry.is_off) for entry in report.slices]
    [('a', 1.0, False), ('b', 1.76, True)]
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be strictly between 0 and 1, such as 0.95, got {confidence!r}.")
    if max_slices < 1:
        raise ValueError(f"max_slices must be at least 1, got {max_slices}.")
    if not columns:
        raise ValueError("Give at least one column, such as {'site': sites}.")
    rows = checked_rows(labels, logits, weights)
    clicks, predicted = rows.weights * rows.labels, rows.weights * probabilities(rows.logits)
    slices: list[CalibrationSlice] = []
    for column, given in columns.items():
        index, names = _indexed(column, given, rows.labels.size)
        counts = np.bincount(index, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        kept = order[: max_slices if np.count_nonzero(counts) <= max_slices else max_slices - 1]
        place = np.full(len(names), len(kept))
        place[kept] = np.arange(len(kept))
        index, size = place[index], len(kept) + 1

        def summed(values: np.ndarray, index: np.ndarray = index, size: int = size) -> np.ndarray:
            return np.bincount(index, values, size)

        count = np.bincount(index, minlength=size)
        mass, squares = summed(rows.weights), summed(rows.weights**2)
        used = np.flatnonzero(mass > 0.0)
        share, mean = summed(clicks)[used] / mass[used], summed(predicted)[used] / mass[used]
        effective = mass[used] ** 2 / squares[used]
        # Weights that go with the label, such as those of rows that stand for others, tell more than Kish's number.
        click_squares, soft_squares = summed(rows.weights * clicks)[used], summed(clicks**2)[used]
        residual = soft_squares - 2.0 * share * click_squares + share**2 * squares[used]
        spread = share * (1.0 - share) * mass[used] ** 2
        known = (spread > 0.0) & (residual > 1e-12 * squares[used])
        effective = np.where(known, spread / np.where(known, residual, 1.0), effective)
        low, high = clopper_pearson_interval(share, effective, confidence)
        least, most = clopper_pearson_interval(share, effective, 1.0 - (1.0 - confidence) / used.size)
        off = (mean < least) | (mean > most)
        for at, part in enumerate(used.tolist()):
            slices.append(
                CalibrationSlice(
                    column,
                    names[int(kept[part])] if part < len(kept) else "(others)",
                    int(count[part]),
                    float(mean[at]),
                    float(share[at]),
                    float(mean[at] / high[at]) if high[at] > 0.0 else math.nan,
                    float(mean[at] / low[at]) if low[at] > 0.0 else math.inf,
                    bool(off[at]),
                )
            )
    return CalibrationSlices(confidence, tuple(slices))


def _indexed(column: str, given: Any, rows: int) -> tuple[np.ndarray, Sequence[str]]:
    names: Sequence[str]
    if isinstance(given, tuple):
        index, names = np.asarray(given[0]), given[1]
    else:
        values, index = np.unique(np.asarray(given), return_inverse=True)
        names = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.tolist()
        ]
    index = index.reshape(-1)
    if index.shape != (rows,):
        raise ValueError(f"The column {column!r} must have one value for each of {rows} rows, got {index.shape}.")
    return index, names
