"""Whether predicted probabilities are met by the share of clicks."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import special

from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    IntArray,
    ScoredRows,
    as_column,
    checked_rows,
    checked_weights,
    distinct_starts,
    probabilities,
    product_sum,
)
from dynctr_tf.nearest import unknown_name_message

CalibrationBins = Literal["equal_mass", "equal_width"]
"""How rows are put into calibration bins."""


def checked_bins(num_bins: int, bins: str) -> None:
    """Refuses a number of bins below 1 and a kind of bins that is not known.

    Raises:
        ValueError: One of the two.
    """
    if not isinstance(num_bins, (int, np.integer)) or isinstance(num_bins, bool) or num_bins < 1:
        raise ValueError(f"num_bins must be a whole number of at least 1, got {num_bins!r}.")
    if bins not in get_args(CalibrationBins):
        raise ValueError(unknown_name_message("kind of calibration bins", str(bins), get_args(CalibrationBins)))


def equal_mass_boundaries(cumulative: FloatArray, mass: FloatArray, num_bins: int) -> IntArray:
    """Returns where bins of equal weight begin and end, int64 `(num_bins + 1,)`.

    Rows with the same logit stay together, in the bin that holds the middle of their weight, so that the
    bins depend neither on the order of the rows nor on how a weight is written as repeated rows.

    Args:
        cumulative: Cumulative weight over the distinct logits, ascending.
        mass: The weight at each of them.
        num_bins: Number of bins.
    """
    edges = np.arange(1, num_bins) * cumulative[-1] / num_bins
    inner = np.searchsorted(cumulative, edges, side="left")
    # A logit whose weight spans the edge belongs below it if the middle of its weight does.
    inner += cumulative[inner] - 0.5 * mass[inner] < edges
    return np.concatenate(([0], inner, [mass.size])).astype(np.int64)


def equal_width_boundaries(probability: FloatArray, num_bins: int) -> IntArray:
    """Returns where bins of equal width in probability begin and end among ascending probabilities."""
    inner = np.searchsorted(probability, np.arange(1, num_bins) / num_bins, side="left")
    return np.concatenate(([0], inner, [probability.size])).astype(np.int64)


def sorted_bins(rows: ScoredRows, num_bins: int, bins: CalibrationBins) -> tuple[IntArray, IntArray]:
    """Returns the order of the rows by logit, and where in it each bin that is not empty starts."""
    order = np.argsort(rows.logits).astype(np.int64)
    ascending = rows.logits[order]
    starts = distinct_starts(ascending)
    if bins == "equal_mass":
        mass = np.add.reduceat(rows.weights[order], starts)
        boundaries = equal_mass_boundaries(np.cumsum(mass), mass, num_bins)
    else:
        boundaries = equal_width_boundaries(probabilities(ascending[starts]), num_bins)
    boundaries = np.append(starts, order.size)[boundaries]  # from distinct logits to rows
    return order, boundaries[:-1][np.diff(boundaries) > 0]


def calibration_ratio(labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Returns predicted clicks over observed clicks.

    Use it to see whether bids built on the model are too high (above 1) or too low (below 1) overall.

    `sum_i w_i sigmoid(z_i) / sum_i w_i y_i`

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float, 1 at best; NaN where there is no click.

    Raises:
        ValueError: As `dynctr_tf.metrics.log_loss`.

    Cost: O(rows).

    Example:

    >>> calibration_ratio([1, 0, 0, 0], [0.0, 0.0, 0.0, 0.0])
    2.0

    Reference: He et al., ADKDD 2014, section 2 (there called calibration).
    """
    rows = checked_rows(labels, logits, weights)
    clicks = product_sum(rows.weights, rows.labels)
    return product_sum(rows.weights, probabilities(rows.logits)) / clicks if clicks > 0.0 else math.nan


class ReliabilityCurve(NamedTuple):
    """Predicted and observed click rate by bin of the prediction; empty bins are left out.

    Attributes:
        predicted: Mean predicted probability of each bin, ascending.
        observed: Share of clicks of each bin.
        lower: Lower end of the Wilson interval of the observed share.
        upper: Its upper end.
        rows: Number of rows of each bin.
        weight: Their weight.
    """

    predicted: FloatArray
    observed: FloatArray
    lower: FloatArray
    upper: FloatArray
    rows: IntArray
    weight: FloatArray


def wilson_interval(share: FloatArray, rows: FloatArray, z: float) -> tuple[FloatArray, FloatArray]:
    """Returns the ends of Wilson's interval of shares of clicks.

    Args:
        share: The shares.
        rows: The number of rows of each; with weights Kish's effective one, (sum w)^2 / sum w^2.
        z: Half width in standard errors.
    """
    centre = (share + z * z / (2.0 * rows)) / (1.0 + z * z / rows)
    half = z * np.sqrt(share * (1.0 - share) / rows + (z / (2.0 * rows)) ** 2) / (1.0 + z * z / rows)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def clopper_pearson_interval(share: FloatArray, rows: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Returns the ends of Clopper and Pearson's interval of shares of clicks, which is exact: also for few rows.

    Wilson's interval is narrower, but of few rows it holds a small share too seldom: a single row that is a click would
    tell at 95 % that the true share is above 20 %, where it is a click in one of a hundred such rows.

    Args:
        share: The shares.
        rows: The number of rows of each; with weights an effective one, which need not be whole.
        confidence: At least so many of such intervals hold the true share.
    """
    clicks = np.clip(share * rows, 0.0, rows)
    others, tail = rows - clicks, (1.0 - confidence) / 2.0
    some, rest = np.where(clicks > 0.0, clicks, 1.0), np.where(others > 0.0, others, 1.0)
    low = np.where(clicks > 0.0, special.betaincinv(some, others + 1.0, tail), 0.0)
    high = np.where(others > 0.0, special.betaincinv(clicks + 1.0, rest, 1.0 - tail), 1.0)
    return low, high


def reliability_curve(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
    z: float = 1.959963984540054,
) -> ReliabilityCurve:
    """Returns what a calibration plot shows: predicted against observed click rate.

    Use it to see where a model is wrong, which a single number hides.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.
        num_bins: Number of bins. Default 20.
        bins: `"equal_mass"`, each bin with the same weight of rows (rows with the same logit stay
            together); or `"equal_width"`, each with the same width in probability, where with low click
            rates nearly all rows fall in the first. Default `"equal_mass"`.
        z: Half width of the interval in standard errors. Default 1.959963984540054: 95 %.

    Returns:
        A `ReliabilityCurve`.

    Raises:
        ValueError: As `dynctr_tf.metrics.log_loss`, a number of bins below 1, an unknown kind of bins.

    Cost: one sort, O(rows log rows).

    Example:

    >>> curve = reliability_curve([0, 1, 1, 1], [-1.0, -1.0, 1.0, 1.0], num_bins=2)
    >>> curve.observed.tolist(), curve.rows.tolist()
    ([0.5, 1.0], [2, 2])

    Reference: Wilson, "Probable inference", JASA 22, 1927, for the interval; with weights the number of
        rows in it is Kish's effective one, (sum w)^2 / sum w^2.
    """
    checked_bins(num_bins, bins)
    rows = checked_rows(labels, logits, weights)
    order, starts = sorted_bins(rows, num_bins, bins)
    counts = np.diff(starts, append=order.size)
    weight = rows.weights[order]
    weight_sums = np.add.reduceat(weight, starts)
    predicted = np.add.reduceat((rows.weights * probabilities(rows.logits))[order], starts)
    observed = np.add.reduceat((rows.weights * rows.labels)[order], starts)
    squares = np.add.reduceat(weight**2, starts)
    kept = weight_sums > 0.0
    counts, weight_sums, squares = counts[kept], weight_sums[kept], squares[kept]
    predicted = predicted[kept] / weight_sums
    observed = np.minimum(observed[kept] / weight_sums, 1.0)
    lower, upper = wilson_interval(observed, weight_sums**2 / squares, z)
    return ReliabilityCurve(
        predicted,
        observed,
        lower,
        upper,
        counts.astype(np.int64),
        weight_sums,
    )


def expected_calibration_error(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
) -> float:
    """Returns the mean gap between predicted and observed click rate over bins of the prediction.

    Use it beside `calibration_ratio`, which lets errors in one place make up for errors in another. It is
    never 0 on a finite sample: `calibration_error_floor` says what a perfect model would show.

    `sum_b (w_b / w) |mean_b sigmoid(z) - mean_b y|`

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.
        num_bins: Number of bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`, as in `reliability_curve`. Default `"equal_mass"`.

    Returns:
        A float, in units of probability.

    Raises:
        ValueError: As `reliability_curve`.

    Cost: one sort, O(rows log rows).

    Example:

    >>> expected_calibration_error([1, 0, 0, 0], [0.0, 0.0, 0.0, 0.0])
    0.25

    Reference: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
        binning", AAAI 2015 (equal width); equal mass as in Nixon et al., "Measuring calibration in deep
        learning", 2019. Here for the click's probability, not for the more likely class.
    """
    curve = reliability_curve(labels, logits, weights, num_bins=num_bins, bins=bins)
    return product_sum(curve.weight, np.abs(curve.predicted - curve.observed)) / float(curve.weight.sum())


def calibration_error_floor(
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
) -> float:
    """Returns the calibration error that these predictions would show on average if they were all true.

    Use it to read `expected_calibration_error`: a value near this floor is noise of the labels, not a
    fault of the model.

    `sum_b (w_b / w) E|mean_b p - mean_b y|`, `y ~ Bernoulli(p)`, by the normal approximation
    `E|N(0, s)| = s sqrt(2 / pi)`, `s_b^2 = sum_{i in b} w_i^2 p_i (1 - p_i) / w_b^2`

    The floor takes each row's label for one draw of 0 or 1. Soft labels, and clicks of several impressions that are one
    row, are less noisy, by an amount that the predictions do not show. Their floor would be too high, so reports give
    none.

    Args:
        logits: Log-odds of a click, `(rows,)` or `(rows, 1)`.
        weights: How much each row counts. Default `None`: 1 each.
        num_bins: Number of bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`, as in `reliability_curve`. Default `"equal_mass"`.

    Returns:
        A float, in units of probability. Too high where a bin expects fewer than a few clicks.

    Raises:
        ValueError: As `reliability_curve`.

    Cost: one sort, O(rows log rows).

    Example:

    >>> floor = calibration_error_floor([0.0] * 10_000, num_bins=1)
    >>> round(floor, 5)  # 0.5 / 100 standard error, times sqrt(2 / pi)
    0.00399
    """
    checked_bins(num_bins, bins)
    column = as_column(logits, "logits")
    rows = ScoredRows(np.zeros(column.size), column, checked_weights(weights, column.size))
    return calibration_error_of_true(rows, num_bins, bins)[0]


def calibration_error_of_true(rows: ScoredRows, num_bins: int, bins: CalibrationBins) -> tuple[float, float]:
    """Returns mean and standard deviation of the calibration error if the predictions were all true."""
    order, starts = sorted_bins(rows, num_bins, bins)
    variances = rows.weights**2 * probabilities(rows.logits) * probabilities(-rows.logits)
    bin_variances = np.add.reduceat(variances[order], starts)
    total = float(rows.weights.sum())
    mean = math.sqrt(2.0 / math.pi) * float(np.sqrt(bin_variances).sum()) / total
    return mean, math.sqrt((1.0 - 2.0 / math.pi) * float(bin_variances.sum())) / total


class LogitHistogram(NamedTuple):
    """How the predictions of clicks and of other rows are spread; bins of equal width in the logit.

    Attributes:
        edges: float64 `(bins + 1,)`: edges of the bins, logits.
        clicks: Weight of the rows with label 1 in each bin.
        others: Weight of the rows with label 0 in each bin.
    """

    edges: FloatArray
    clicks: FloatArray
    others: FloatArray


def logit_histogram(
    labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, num_bins: int = 40
) -> LogitHistogram:
    """Returns how many clicks and other rows there are by their logit.

    Use it under a calibration plot, to see how many rows each part of the curve has.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.
        num_bins: Number of bins between the least and the greatest logit. Default 40.

    Returns:
        A `LogitHistogram`.

    Raises:
        ValueError: As `dynctr_tf.metrics.log_loss`, or a number of bins below 1.

    Cost: O(rows).

    Example:

    >>> logit_histogram([1, 0, 1], [0.0, 1.0, 2.0], num_bins=2).clicks.tolist()
    [1.0, 1.0]
    """
    checked_bins(num_bins, "equal_width")
    rows = checked_rows(labels, logits, weights)
    low, high = float(rows.logits.min()), float(rows.logits.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)) * num_bins:
        # One value, or so few digits between the two that float64 has no edges there.
        half = max(0.5, 1e-6 * max(abs(low), abs(high)))
        low, high = low - half, high + half
    edges = np.linspace(low, high, num_bins + 1)
    clicks = np.histogram(rows.logits, edges, weights=rows.weights * rows.labels)[0]
    others = np.histogram(rows.logits, edges, weights=rows.weights * (1.0 - rows.labels))[0]
    return LogitHistogram(edges, clicks.astype(np.float64), others.astype(np.float64))
