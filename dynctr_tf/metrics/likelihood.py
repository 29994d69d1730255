"""Log loss and normalized entropy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dynctr_tf.metrics.scored_rows import FloatArray, checked_rows, product_sum


def row_log_losses(labels: FloatArray, logits: FloatArray) -> FloatArray:
    """Returns each row's `-log` of the probability that its logit gives to its label, float64 `(rows,)`.

    `log(1 + exp(-z))` for a click and `log(1 + exp(z))` otherwise: no probability is formed, so that nothing
    is clipped or rounded to 0 or 1. A soft label y gets the share y of the one and 1 - y of the other.
    """
    if ((labels != 0.0) & (labels != 1.0)).any():
        both: FloatArray = labels * np.logaddexp(0.0, -logits) + (1.0 - labels) * np.logaddexp(0.0, logits)
        return both
    losses: FloatArray = np.logaddexp(0.0, (1.0 - 2.0 * labels) * logits)
    return losses


def entropy(rate: float) -> float:
    """Returns the entropy of a click rate in nats; 0 for a rate of 0 or 1."""
    return -sum(p * math.log(p) for p in (rate, 1.0 - rate) if p > 0.0)


def checked_base_rate(base_rate: float) -> float:
    """Returns a click rate as a float.

    Raises:
        ValueError: It is not strictly between 0 and 1.
    """
    rate = float(base_rate)
    if not 0.0 < rate < 1.0:
        raise ValueError(
            f"base_rate must be a click rate strictly between 0 and 1, such as the training rows' share of "
            f"clicks, got {base_rate!r}."
        )
    return rate


def constant_log_loss(rate: float, base_rate: float) -> float:
    """Returns the log loss of answering `base_rate` on rows of which the share `rate` are clicks."""
    return -(rate * math.log(base_rate) + (1.0 - rate) * math.log1p(-base_rate))


def log_loss(labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Returns the mean negative log likelihood of the labels, in nats, exact in float64.

    Use it as the first measure of a CTR model: it is what training minimises, and it sees both order and
    calibration.

    `sum_i w_i log(1 + exp((1 - 2 y_i) z_i)) / sum_i w_i`

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float, 0 at best, with no upper limit.

    Raises:
        ValueError: Shapes that differ, labels that are not 0 or 1, logits that are not finite, weights that
            are negative or all zero.

    Cost: O(rows).

    Example:

    >>> round(log_loss([1, 0], [0.0, 0.0]), 4)
    0.6931
    """
    rows = checked_rows(labels, logits, weights)
    return product_sum(rows.weights, row_log_losses(rows.labels, rows.logits)) / float(rows.weights.sum())


def normalized_entropy(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    base_rate: float | None = None,
) -> float:
    """Returns the log loss divided by that of a model which always answers the click rate.

    Use it to compare models across data sets or days with different click rates: 1 is no better than the
    constant, below 1 is better. `1 - normalized_entropy` is the relative information gain.

    `log_loss / -(r log b + (1 - r) log(1 - b))`, r the weighted click rate of these rows, b the constant.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        weights: How much each row counts. Default `None`: 1 each.
        base_rate: The constant b, such as the click rate of the training rows. Default `None`: the click
            rate of these rows, and the denominator is its entropy.

    Returns:
        A float; NaN where all rows have the same label and no `base_rate` is given, for then the
        denominator is 0.

    Raises:
        ValueError: As `log_loss`, or a base rate that is not strictly between 0 and 1.

    Cost: O(rows).

    Example:

    >>> normalized_entropy([1, 0], [0.0, 0.0])
    1.0

    Reference: He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014,
        section 2, equation 3. The paper's base rate is that of the rows the loss is taken on; another one
        is our addition.
    """
    rows = checked_rows(labels, logits, weights)
    total = float(rows.weights.sum())
    rate = product_sum(rows.weights, rows.labels) / total
    base = constant_log_loss(rate, checked_base_rate(base_rate)) if base_rate is not None else entropy(rate)
    loss = product_sum(rows.weights, row_log_losses(rows.labels, rows.logits)) / total
    return loss / base if base > 0.0 else math.nan
