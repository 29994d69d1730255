"""Corrected logits and weights for rows from which some rows without a click were left out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dynctr_tf.metrics.scored_rows import ScoredRows, checked_rows


def sampling_offset(rate: float) -> float:
    """Returns what is added to the logits of a model that was trained on a share of the rows without a click.

    `log(rate)`: with that share of them, the odds of a click are `1 / rate` times as high.

    Args:
        rate: The share, above 0 and at most 1.

    Raises:
        ValueError: Another number.

    Example:

    >>> round(sampling_offset(0.1), 4)
    -2.3026

    Reference: He et al., ADKDD 2014, section 6.3: `q = p / (p + (1 - p) / w)`.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0.0 < rate <= 1.0:
        raise ValueError(
            f"negative_sampling_rate is the share of the rows without a click that was kept, above 0 and at most 1 "
            f"(0.1 for one of ten); got {rate!r}."
        )
    return math.log(rate)


def all_negatives(
    labels: npt.ArrayLike, logits: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, rate: float
) -> ScoredRows:
    """Returns rows as if no row without a click had been left out: corrected logits, and weights that make up for it.

    Use it to judge what is served on rows that were sampled: each row without a click stands for `1 / rate` of them.

    Args:
        labels: 0 or 1, or between, `(rows,)` or `(rows, 1)`.
        logits: Logits of a model that was trained on rows that were sampled likewise.
        weights: How much each row counts. Default `None`: 1 each.
        rate: The share of the rows without a click that was kept.

    Returns:
        Labels, logits and weights.

    Raises:
        ValueError: As `dynctr_tf.metrics.log_loss`, or a rate outside of 0 to 1.

    Example:

    >>> all_negatives([1, 0], [0.0, 0.0], rate=0.5).weights.tolist()
    [1.0, 2.0]
    """
    offset = sampling_offset(rate)
    rows = checked_rows(labels, logits, weights)
    # A row of label y counts as a click of weight y and a row without a click of weight 1 - y.
    mass = rows.labels + (1.0 - rows.labels) / rate
    return ScoredRows(rows.labels / mass, rows.logits + offset, rows.weights * mass)
