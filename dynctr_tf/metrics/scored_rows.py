"""What every metric takes: labels, logits and weights of the same rows, checked and in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class ScoredRows(NamedTuple):
    """Labels, logits and weights of the same rows.

    Attributes:
        labels: float64 `(rows,)`, 0 or 1, or between where they are soft: a row of label y and weight w counts as
            a click of weight y w and a row without one of weight (1 - y) w.
        logits: float64 `(rows,)`, finite.
        weights: float64 `(rows,)`, finite and not negative, with a positive sum.
    """

    labels: FloatArray
    logits: FloatArray
    weights: FloatArray


def as_column(values: npt.ArrayLike, what: str, rows: int | None = None) -> FloatArray:
    """Returns finite numbers as float64 `(rows,)`; a `(rows, 1)` column, as `model.predict` gives, is taken.

    Args:
        values: Numbers or booleans.
        what: What they are called in an error.
        rows: How many there must be. Default `None`: any number but 0.

    Raises:
        ValueError: Another shape, another number of rows, no rows, or a value that is not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        try:
            array = np.asarray(values, dtype=np.float64)  # bfloat16 and the like
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what} must be numbers, got an array of {array.dtype}.") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{what} must have the shape (rows,) or (rows, 1), got {array.shape}. A metric takes one number "
            f"a row: pick the column that is meant."
        )
    if array.size == 0:
        raise ValueError(f"{what} are empty; a metric needs at least one row.")
    if rows is not None and array.size != rows:
        raise ValueError(f"{what} must be those of the same rows as the labels: {rows} labels, {array.size} {what}.")
    column = array.astype(np.float64)
    if not np.isfinite(column).all():
        bad = np.flatnonzero(~np.isfinite(column))
        raise ValueError(
            f"{what} must be finite; {bad.size} of {column.size} are not, the first is {column[bad[0]]} in row "
            f"{bad[0]}. If they come from a model, its training has diverged."
        )
    return column


def checked_labels(labels: npt.ArrayLike, *, soft: bool = True) -> FloatArray:
    """Returns labels as float64 `(rows,)`.

    Args:
        labels: 0 or 1, or numbers between where they are soft.
        soft: Whether they may lie between. Default `True`.

    Raises:
        ValueError: As `as_column`, or a label that is neither 0 nor 1 and not between either.
    """
    column = as_column(labels, "labels")
    outside = (column < 0.0) | (column > 1.0)
    # If one label is outside of 0 to 1, those between are not soft labels either.
    wrong = np.flatnonzero((column != 0.0) & (column != 1.0)) if outside.any() or not soft else np.array([], np.int64)
    if wrong.size:
        raise ValueError(
            f"labels must be 0 or 1; {wrong.size} of {column.size} are not, the first is {column[wrong[0]]} in "
            f"row {wrong[0]}. Were labels and logits given in the wrong order? Labels come first."
        )
    return column


def checked_weights(weights: npt.ArrayLike | None, rows: int) -> FloatArray:
    """Returns weights as float64 `(rows,)`, ones where none were given.

    Raises:
        ValueError: As `as_column`, a negative weight, or weights that are all zero.
    """
    if weights is None:
        return np.ones(rows)
    column = as_column(weights, "weights", rows)
    if (column < 0.0).any():
        row = int(np.flatnonzero(column < 0.0)[0])
        raise ValueError(f"weights must not be negative, got {column[row]} in row {row}.")
    if not column.sum() > 0.0:
        raise ValueError("weights are all zero; at least one row must count.")
    return column


def checked_rows(labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> ScoredRows:
    """Checks labels, logits and weights and returns them in float64.

    Raises:
        ValueError: As `checked_labels`, `as_column` and `checked_weights`.
    """
    y = checked_labels(labels)
    z = as_column(logits, "logits", y.size)
    if ((z == 0.0) | (z == 1.0)).all():
        # Labels between 0 and 1 beside logits that are all 0 or 1: they were given in the wrong order.
        y = checked_labels(labels, soft=bool((z == z[0]).all()))
    return ScoredRows(y, z, checked_weights(weights, y.size))


def checked_groups(groups: npt.ArrayLike, rows: int) -> tuple[IntArray, int]:
    """Returns the index of each row's group, int64 `(rows,)`, and the number of groups.

    Args:
        groups: One group name or number a row, such as the user's id; `(rows,)` or `(rows, 1)`.
        rows: How many rows there are.

    Raises:
        ValueError: Another shape, another number of rows, or a group that is NaN.
    """
    array = np.asarray(groups)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (rows,):
        raise ValueError(f"groups must have the shape ({rows},), one group a row, got {array.shape}.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("groups must not be NaN; give rows without a group a group of their own, or leave them out.")
    names, index = np.unique(array, return_inverse=True)
    return index.reshape(-1).astype(np.int64), int(names.size)


def are_clicks(labels: FloatArray) -> bool:
    """Returns whether every label is 0 or 1, and none between."""
    return bool(((labels == 0.0) | (labels == 1.0)).all())


def are_weighted(weights: FloatArray) -> bool:
    """Returns whether some rows count more than others."""
    return bool((weights != weights[0]).any())


def number_of_clicks(labels: FloatArray) -> float:
    """Returns how many rows are clicks, each row counted once; not a whole number where labels are shares of clicks."""
    clicks = float(labels.sum())
    return int(clicks) if clicks.is_integer() else clicks


def probabilities(logits: FloatArray) -> FloatArray:
    """Returns the sigmoid of the logits, with full relative precision for very small probabilities."""
    result: FloatArray = np.exp(-np.logaddexp(0.0, -logits))
    return result


def product_sum(a: FloatArray, b: FloatArray) -> float:
    """Returns the sum of the products.

    Not `a @ b`: a threaded BLAS is up to a hundred times slower here when the cores are busy, its sum
    depends on the number of threads, and NumPy's own sum adds in pairs.
    """
    return float((a * b).sum())


def distinct_starts(ascending: FloatArray) -> IntArray:
    """Returns where each distinct value of an ascending array starts."""
    starts = np.empty(ascending.size, dtype=bool)
    starts[:1] = True
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    return np.flatnonzero(starts).astype(np.int64)
