"""AUC over all rows and within groups."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    IntArray,
    ScoredRows,
    checked_groups,
    checked_rows,
    distinct_starts,
    product_sum,
)


def ordered_pairs(positive: FloatArray, negative: FloatArray) -> float:
    """Returns the weight of the pairs (positive, negative) in the right order, ties counting half.

    Args:
        positive: Weight of the positives at each distinct logit, the logits ascending.
        negative: Likewise of the negatives.
    """
    below = np.cumsum(negative)
    # below includes the negatives of the same logit; of those only half count.
    return product_sum(positive, below - 0.5 * negative)


def auc(labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Returns the exact area under the ROC curve, ties counting half.

    Use it for how well a model orders rows; it is blind to calibration. It is the probability that a
    random click has a higher logit than a random row without click. No thresholds are involved:
    `keras.metrics.AUC` with its 200 thresholds can be 0.05 too low at the click rates of advertising.

    `sum_{i: y=1, j: y=0} w_i w_j ([z_i > z_j] + [z_i = z_j] / 2) / (sum_{y=1} w_i sum_{y=0} w_j)`

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape; anything in the same order gives the same AUC.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A float from 0 to 1; NaN where the rows that count all have the same label, because there is no pair.

    Raises:
        ValueError: Shapes that differ, labels that are not 0 or 1, logits that are not finite, weights that
            are negative or all zero.

    Cost: one sort, O(rows log rows).

    Example:

    >>> auc([1, 0, 1, 0], [2.0, 1.0, 1.0, -1.0])
    0.875

    Reference: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006. Weights are
        our addition: a whole-number weight is the same as the row repeated.
    """
    rows = checked_rows(labels, logits, weights)
    order = np.argsort(rows.logits)
    starts = distinct_starts(rows.logits[order])
    positive = np.add.reduceat((rows.weights * rows.labels)[order], starts)
    negative = np.add.reduceat((rows.weights * (1.0 - rows.labels))[order], starts)
    pairs = float(positive.sum()) * float(negative.sum())
    return ordered_pairs(positive, negative) / pairs if pairs > 0.0 else math.nan


class GroupedAUC(NamedTuple):
    """What `grouped_auc` returns.

    Attributes:
        value: The mean of the groups' AUCs, each group weighted by its impressions; NaN where no group
            has both classes.
        groups: How many groups there are.
        groups_used: How many of them have both classes.
        share_left_out: Share of the impressions that belong to the other groups, from 0 to 1.
    """

    value: float
    groups: int
    groups_used: int
    share_left_out: float


def group_aucs(rows: ScoredRows, group: IntArray, num_groups: int) -> tuple[FloatArray, FloatArray]:
    """Returns the AUC of every group, NaN without both classes, and its impressions, float64 `(groups,)`."""
    order = np.lexsort((rows.logits, group))
    group, logits = group[order], rows.logits[order]
    positive = (rows.weights * rows.labels)[order]
    negative = (rows.weights * (1.0 - rows.labels))[order]
    positives = np.bincount(group, positive, num_groups)
    negatives = np.bincount(group, negative, num_groups)

    new = np.ones(group.size, dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (logits[1:] != logits[:-1])
    starts = np.flatnonzero(new)
    group = group[starts]
    positive = np.add.reduceat(positive, starts)
    negative = np.add.reduceat(negative, starts)
    # Negatives below within the group: those below over all groups, less those of the groups before.
    before = np.cumsum(negatives) - negatives
    below = np.cumsum(negative) - before[group] - 0.5 * negative
    ordered = np.bincount(group, positive * below, num_groups)
    pairs = positives * negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        aucs = np.where(pairs > 0.0, ordered / pairs, np.nan)
    return aucs, (positives + negatives).astype(np.float64)


def grouped_auc(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> GroupedAUC:
    """Returns the AUC within groups, such as users, averaged with the groups' impressions as weights.

    Use it where a model orders the items of one user or one request: AUC over all rows also rewards separating users
    who click a lot from users who do not, which changes no ranking that is shown.

    `sum_g n_g AUC_g / sum_g n_g`, over the groups with both classes; n_g the (weighted) impressions.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        groups: The group of each row, numbers or strings, `(rows,)`.
        weights: How much each row counts. Default `None`: 1 each.

    Returns:
        A `GroupedAUC`: the value, and which share of the impressions it does not cover because their group has only one
        class.

    Raises:
        ValueError: As `auc`, or groups of another shape.

    Cost: one sort, O(rows log rows).

    Example:

    >>> grouped_auc([1, 0, 0, 1, 0], [2.0, 1.0, 0.0, 5.0, 7.0], ["a", "a", "a", "b", "b"]).value
    0.6
    >>> grouped_auc([1, 0, 1, 1], [2.0, 1.0, 0.0, 5.0], ["a", "a", "b", "b"]).share_left_out
    0.5

    Reference: Zhou et al., "Deep interest network", KDD 2018, equation 6 (weights are impressions). That
        groups with one class are left out is the usual reading; the paper does not say it.
    """
    rows = checked_rows(labels, logits, weights)
    group, num_groups = checked_groups(groups, rows.labels.size)
    aucs, impressions = group_aucs(rows, group, num_groups)
    used = ~np.isnan(aucs)
    counted = float(impressions[used].sum())
    value = product_sum(impressions[used], aucs[used]) / counted if counted > 0.0 else math.nan
    left_out = 1.0 - counted / float(impressions.sum())
    return GroupedAUC(value, num_groups, int(used.sum()), max(left_out, 0.0))
