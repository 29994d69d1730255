"""What the best possible model reaches where the true click probabilities are known, and the base rate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dynctr_tf.metrics.likelihood import checked_base_rate, constant_log_loss, row_log_losses
from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    as_column,
    checked_labels,
    checked_rows,
    checked_weights,
    distinct_starts,
    product_sum,
)


def checked_true_probability(true_probability: npt.ArrayLike, rows: int | None = None) -> FloatArray:
    """Returns true click probabilities as float64 `(rows,)`.

    Raises:
        ValueError: Another shape or number of rows, or a probability outside [0, 1].
    """
    column = as_column(true_probability, "true_probability", rows)
    wrong = np.flatnonzero((column < 0.0) | (column > 1.0))
    if wrong.size:
        raise ValueError(
            f"true_probability must be from 0 to 1; {wrong.size} of {column.size} are not, the first is "
            f"{column[wrong[0]]} in row {wrong[0]}. Were logits given in its place?"
        )
    return column


def refuse_impossible_labels(labels: FloatArray, true_probability: FloatArray) -> None:
    """Refuses a click where the true probability is 0, and a row without click where it is 1.

    Raises:
        ValueError: There is such a row.
    """
    never, always = true_probability == 0.0, true_probability == 1.0
    impossible = np.flatnonzero((never & (labels > 0.0)) | (always & (labels < 1.0)))
    if impossible.size:
        row = int(impossible[0])
        raise ValueError(
            f"true_probability contradicts the labels in {impossible.size} rows, the first is row {row}: label "
            f"{labels[row]:g}, true probability {true_probability[row]:g}. Are both in the same order of rows?"
        )


def oracle_logits(true_probability: npt.ArrayLike) -> FloatArray:
    """Returns the logits of the model that knows the true click probabilities.

    Use it to score the best possible model on the same labels as a real one.

    `log(p) - log(1 - p)`, with p = 0 and p = 1 moved to the nearest probability that has a finite logit.

    Args:
        true_probability: The probability with which each row's label was drawn, `(rows,)` or `(rows, 1)`.

    Returns:
        float64 `(rows,)`.

    Raises:
        ValueError: As `dynctr_tf.metrics.expected_log_loss`.

    Cost: O(rows).

    Example:

    >>> oracle_logits([0.5, 0.75]).round(4).tolist()
    [0.0, 1.0986]
    """
    p = np.clip(checked_true_probability(true_probability), np.finfo(np.float64).tiny, 1.0 - 2.0**-53)
    logits: FloatArray = np.log(p) - np.log1p(-p)
    return logits


def row_expected_log_losses(true_probability: FloatArray, logits: FloatArray) -> FloatArray:
    """Returns each row's log loss, averaged over the labels that it might have had."""
    losses: FloatArray = np.logaddexp(0.0, logits) - true_probability * logits
    return losses


def row_entropies(true_probability: FloatArray) -> FloatArray:
    """Returns the entropy of each row's label in nats: the least expected log loss of any model."""
    p = true_probability
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0.0, p * np.log(p), 0.0) + np.where(p < 1.0, (1.0 - p) * np.log1p(-p), 0.0)
    entropies: FloatArray = -terms
    return entropies


def expected_log_loss(
    true_probability: npt.ArrayLike,
    logits: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Returns the log loss averaged over all labels that the rows might have had.

    Use it on synthetic data for a log loss without the noise of the labels. Without logits it is the
    entropy of the labels, the least that any model can expect.

    `sum_i w_i (log(1 + exp(z_i)) - p_i z_i) / sum_i w_i`; without logits
    `-sum_i w_i (p_i log p_i + (1 - p_i) log(1 - p_i)) / sum_i w_i`

    Args:
        true_probability: The probability with which each row's label was drawn, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click that a model gives. Default `None`: those of the best possible model.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float in nats.

    Raises:
        ValueError: Shapes that differ, a probability outside [0, 1], logits that are not finite, weights
            that are negative or all zero.

    Cost: O(rows).

    Example:

    >>> round(expected_log_loss([0.5, 0.5]), 4)
    0.6931
    """
    p = checked_true_probability(true_probability)
    weight = checked_weights(weights, p.size)
    losses = row_entropies(p) if logits is None else row_expected_log_losses(p, as_column(logits, "logits", p.size))
    return product_sum(weight, losses) / float(weight.sum())


def expected_auc(
    true_probability: npt.ArrayLike,
    logits: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Returns the AUC over all labels that the rows might have had.

    Use it on synthetic data for an AUC without the noise of the labels. Without logits it is the highest
    that any model can expect.

    `sum_{i != j} w_i w_j p_i (1 - p_j) ([z_i > z_j] + [z_i = z_j] / 2) / sum_{i != j} w_i w_j p_i (1 - p_j)`:
    the expected number of pairs in order over that of pairs, which for many rows is the expected AUC.

    Args:
        true_probability: As in `expected_log_loss`.
        logits: Log-odds of a click that a model gives. Default `None`: those of the best possible model.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float from 0 to 1; NaN where no pair is possible.

    Raises:
        ValueError: As `expected_log_loss`.

    Cost: one sort, O(rows log rows).

    Example:

    >>> round(expected_auc([0.25, 0.75]), 4)  # a pair is in order 9 times of 10
    0.9
    """
    p = checked_true_probability(true_probability)
    weight = checked_weights(weights, p.size)
    scores = oracle_logits(p) if logits is None else as_column(logits, "logits", p.size)
    order = np.argsort(scores)
    starts = distinct_starts(scores[order])
    clicks, others = weight * p, weight * (1.0 - p)
    positive = np.add.reduceat(clicks[order], starts)
    negative = np.add.reduceat(others[order], starts)
    below = np.cumsum(negative) - 0.5 * negative
    own = product_sum(clicks, others)  # a row makes no pair with itself
    pairs = float(clicks.sum()) * float(others.sum()) - own
    return (product_sum(positive, below) - 0.5 * own) / pairs if pairs > 0.0 else math.nan


def base_rate_log_loss(labels: npt.ArrayLike, base_rate: float, weights: npt.ArrayLike | None = None) -> float:
    """Returns the log loss of the model that answers one click rate for every row.

    Use it as the zero from which a model's gain is measured.

    `-(r log b + (1 - r) log(1 - b))`, r the weighted click rate of these rows

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        base_rate: The answer b, normally the click rate of the training rows.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float in nats.

    Raises:
        ValueError: Labels that are not 0 or 1, a base rate that is not strictly between 0 and 1, weights
            that are negative or all zero.

    Cost: O(rows).

    Example:

    >>> round(base_rate_log_loss([1, 0, 0, 0], 0.25), 4)
    0.5623
    """
    y = checked_labels(labels)
    weight = checked_weights(weights, y.size)
    return constant_log_loss(product_sum(weight, y) / float(weight.sum()), checked_base_rate(base_rate))


def attainable_gain_share(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    true_probability: npt.ArrayLike,
    base_rate: float,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Returns which share of the possible gain in log loss over the base rate a model has reached.

    Use it on synthetic data: 0 is no better than the constant, 1 is as good as knowing the truth. All
    three losses are taken on the same labels, so that most of their noise cancels.

    `(base - model) / (base - oracle)` in log loss

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click that the model gives.
        true_probability: The probability with which each row's label was drawn.
        base_rate: The click rate of the training rows.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float, below 0 for a model worse than the constant; NaN where the best possible model gains
        nothing.

    Raises:
        ValueError: As `dynctr_tf.metrics.log_loss`, `expected_log_loss` and `base_rate_log_loss`, or a label
            that its true probability makes impossible.

    Cost: O(rows).

    Example:

    >>> attainable_gain_share([1, 0], [0.0, 0.0], [0.9, 0.1], base_rate=0.5)
    0.0
    """
    rows = checked_rows(labels, logits, weights)
    p = checked_true_probability(true_probability, rows.labels.size)
    refuse_impossible_labels(rows.labels, p)
    oracle = oracle_logits(p)
    total = float(rows.weights.sum())
    best = product_sum(rows.weights, row_log_losses(rows.labels, oracle)) / total
    reached = product_sum(rows.weights, row_log_losses(rows.labels, rows.logits)) / total
    base = constant_log_loss(product_sum(rows.weights, rows.labels) / total, checked_base_rate(base_rate))
    return float(gain_share(base, reached, best))


def gain_share(base: FloatArray | float, reached: FloatArray | float, best: FloatArray | float) -> FloatArray:
    """Returns `(base - reached) / (base - best)`, NaN where there is nothing to gain."""
    possible = np.asarray(base - best, dtype=np.float64)
    gain = np.asarray(base - reached, dtype=np.float64)
    share: FloatArray = np.full(possible.shape, np.nan)
    np.divide(gain, possible, out=share, where=possible > 0.0)
    return share
