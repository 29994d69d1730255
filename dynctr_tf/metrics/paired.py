"""Tests between two models' predictions on the same rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynctr_tf.metrics.bootstrap import (
    CALIBRATION_ERROR,
    Bootstrap,
    Estimate,
    Resample,
    bootstrap_metrics,
    within_range,
)
from dynctr_tf.metrics.calibration import CalibrationBins
from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    as_column,
    checked_labels,
    checked_weights,
    distinct_starts,
    product_sum,
)
from dynctr_tf.metrics.student_t import two_sided_p_value, two_sided_quantile


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """The difference of a metric between two models on the same rows.

    Args:
        metric: The metric's name.
        difference: The first model's metric less the second's.
        lower: Lower end of the interval of the difference.
        upper: Upper end.
        standard_error: Standard error of the difference.
        p_value: Two-sided, of the hypothesis that the models do not differ in this metric.
        method: `"delong"`, `"bootstrap"` or `"bootstrap over seeds"`.
        covers_seeds: Whether the interval also covers training the models again with other seeds; if not, it is about
            these trained models only.
    """

    metric: str
    difference: float
    lower: float
    upper: float
    standard_error: float
    p_value: float
    method: str
    covers_seeds: bool = False


def _placements(labels: FloatArray, logits: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
    """Returns the AUC, and for each row the share of the other class that is ranked on its right side."""
    order = np.argsort(logits)
    starts = distinct_starts(logits[order])
    distinct = np.empty(order.size, dtype=np.int64)  # for each row the index of its logit among the distinct
    distinct[order] = np.repeat(np.arange(starts.size), np.diff(starts, append=order.size))
    clicks, others = weights * labels, weights * (1.0 - labels)
    positive = np.add.reduceat(clicks[order], starts)
    negative = np.add.reduceat(others[order], starts)
    num_positive, num_negative = float(positive.sum()), float(negative.sum())
    negatives_below = (np.cumsum(negative) - 0.5 * negative) / num_negative
    positives_above = 1.0 - (np.cumsum(positive) - 0.5 * positive) / num_positive
    shares = np.where(labels == 1.0, negatives_below[distinct], positives_above[distinct])
    return product_sum(clicks, shares) / num_positive, shares


def delong_covariance(
    labels: npt.ArrayLike, predictions: Sequence[npt.ArrayLike], weights: npt.ArrayLike | None = None
) -> tuple[FloatArray, FloatArray]:
    """Returns the AUCs of several predictions on the same rows and DeLong's estimate of their covariance.

    Use it for the standard error of an AUC, or of a difference of AUCs, without resampling.

    `cov(a, b) = S10(a, b) / m + S01(a, b) / n`: S10 the covariance over the m clicks of the share of other
    rows ranked below each, S01 that over the n other rows of the share of clicks ranked above each

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        predictions: One array of logits a prediction.
        weights: How much each row counts. Default `None`: 1 each. They are importances: a weight of 2 is
            not two independent rows.

    Returns:
        The AUCs, float64 `(predictions,)`, and their covariance, float64 `(predictions, predictions)`.

    Raises:
        ValueError: Fewer than two clicks or two other rows of positive weight, shapes that differ, labels
            that are not 0 or 1, logits that are not finite.

    Cost: O(predictions x rows log rows).

    Example:

    >>> aucs, covariance = delong_covariance([1, 0, 1, 0], [[2.0, 1.0, 1.5, 0.0], [0.5, 1.0, 2.0, 0.0]])
    >>> aucs.tolist()
    [1.0, 0.75]

    Reference: DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988, equations 4-6; in O(n log n) after Sun and
        Xu, IEEE Signal Processing Letters 21, 2014. Weights are our addition: squared in the variance,
        and as in the papers m / (m - 1) takes the place of 1.
    """
    y = checked_labels(labels, soft=False)
    weight = checked_weights(weights, y.size)
    if not predictions:
        raise ValueError("predictions is empty; give the logits of at least one model.")
    classes = [(y == value) & (weight > 0.0) for value in (1.0, 0.0)]
    sizes = [int(chosen.sum()) for chosen in classes]
    if min(sizes) < 2:
        raise ValueError(
            f"DeLong's variance needs at least 2 clicks and 2 other rows, got {sizes[0]} and {sizes[1]}; the "
            f"AUC of so few rows says nothing."
        )
    scored = [
        _placements(y, as_column(z, f"logits of prediction {i}", y.size), weight) for i, z in enumerate(predictions)
    ]
    aucs = np.array([auc for auc, _ in scored])
    covariance = np.zeros((len(scored), len(scored)))
    for chosen, size in zip(classes, sizes, strict=True):
        share = weight[chosen] / weight[chosen].sum()
        deviations = np.stack([(shares[chosen] - auc) * share for auc, shares in scored])
        covariance += np.einsum("ar,br->ab", deviations, deviations) * (size / (size - 1))
    return aucs, covariance


def delong_test(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> PairedTest:
    """Tests whether two models have the same AUC, on the same rows, by DeLong's variance.

    Use it for AUC where rows are independent: exact enough from some hundred clicks on, and immediate.
    For other metrics, or rows in groups that resemble each other, use `paired_bootstrap_tests`.

    `z = (AUC_1 - AUC_2) / sqrt(v_11 + v_22 - 2 v_12)`, v of `delong_covariance`

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        first: Logits of the first model.
        second: Logits of the second model, of the same rows.
        weights: As in `delong_covariance`. Default `None`: 1 each.
        confidence: What share of such intervals hold the true difference. Default 0.95.

    Returns:
        A `PairedTest`. Two models that order the rows alike have the p-value 1.

    Raises:
        ValueError: As `delong_covariance`, or a confidence that is not strictly between 0 and 1.

    Cost: O(rows log rows).

    Example:

    >>> test = delong_test([1, 0, 1, 0], [2.0, 1.0, 1.5, 0.0], [0.5, 1.0, 2.0, 0.0])
    >>> test.difference
    0.25

    Reference: as `delong_covariance`.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be strictly between 0 and 1, such as 0.95, got {confidence!r}.")
    aucs, covariance = delong_covariance(labels, [first, second], weights)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    # What rounding leaves of the difference of two equal variances is none.
    deviation = math.sqrt(variance) if variance > 1e-14 * float(np.trace(covariance)) else 0.0
    return _from_standard_error(
        "auc", float(aucs[0] - aucs[1]), deviation, math.inf, confidence, "delong", covers_seeds=False
    )


def _from_standard_error(
    metric: str,
    difference: float,
    deviation: float,
    degrees: float,
    confidence: float,
    method: str,
    *,
    covers_seeds: bool,
) -> PairedTest:
    half = two_sided_quantile(confidence, degrees) * deviation
    if deviation == 0.0:
        p_value = 1.0 if difference == 0.0 else 0.0
    else:
        p_value = two_sided_p_value(difference / deviation, degrees)
    return PairedTest(
        metric, difference, difference - half, difference + half, deviation, p_value, method, covers_seeds
    )


def _deviation(samples: FloatArray) -> float:
    defined = samples[~np.isnan(samples)]
    return float(defined.std(ddof=1)) if defined.size > 1 else math.nan


def paired_bootstrap_tests(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample: Resample = "rows",
    replicates: int = 1000,
    confidence: float = 0.95,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
    seed: int = 0,
    progress: bool = True,
) -> dict[str, PairedTest]:
    """Tests every metric between two models' predictions, both taken on the same resamples of the rows.

    Use it to say whether one trained model is better than another on this kind of rows. Most of the noise
    of the rows is common to both models and cancels, so that far smaller differences are seen than by
    comparing two intervals. It does not cover training seeds: see `paired_test_over_seeds`.

    `p = 2 min(#{d* <= 0} + 1, #{d* >= 0} + 1) / (replicates + 1)`, at most 1, d* the difference on a resample

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        first: Logits of the first model.
        second: Logits of the second model, of the same rows.
        weights: How much each row counts. Default `None`: 1 each.
        groups: The group of each row; adds the grouped AUC. Default `None`: without it.
        resample: `"rows"` or `"groups"`, as in `bootstrap_metrics`. Default `"rows"`.
        replicates: Number of resamples. Default 1000: no p-value below 0.002.
        confidence: What share of the resamples an interval holds. Default 0.95.
        num_bins: Number of calibration bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`. Default `"equal_mass"`.
        seed: Seed of the draws. Default 0.
        progress: As in `bootstrap_metrics`. Default `True`.

    Returns:
        For each metric a `PairedTest`; NaN where the metric is undefined.

    Raises:
        ValueError: As `bootstrap_metrics`.

    Cost: as `bootstrap_metrics` for two predictions.

    Example:

    >>> tests = paired_bootstrap_tests([0, 1, 1, 0] * 25, [-1.0, 1.0, -0.5, 0.0] * 25, [0.0] * 100)
    >>> tests["auc"].difference
    0.25

    Reference: Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapters 13 and 16; the p-value is
        that of inverting the percentile interval.
    """
    result = bootstrap_metrics(
        labels,
        {"first": first, "second": second},
        weights=weights,
        groups=groups,
        resample=resample,
        replicates=replicates,
        confidence=confidence,
        num_bins=num_bins,
        bins=bins,
        seed=seed,
        progress=progress,
    )
    tests = {}
    for j, metric in enumerate(result.metrics):
        estimate = result.difference("first", "second", metric)
        samples = result.samples[:, 0, j] - result.samples[:, 1, j]
        if math.isnan(estimate.lower):
            p_value = math.nan
        else:
            if metric == CALIBRATION_ERROR:  # as its interval: from the mean of the resamples to the value
                samples = estimate.value + float(np.nanmean(samples)) - samples
            not_above, not_below = int((samples <= 0.0).sum()), int((samples >= 0.0).sum())
            defined = int((~np.isnan(samples)).sum())
            p_value = min(2.0 * (min(not_above, not_below) + 1) / (defined + 1), 1.0)
        tests[metric] = PairedTest(metric, *estimate, _deviation(samples), p_value, "bootstrap")
    return tests


def paired_test_over_seeds(
    labels: npt.ArrayLike,
    first: Sequence[npt.ArrayLike],
    second: Sequence[npt.ArrayLike],
    *,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    resample: Resample = "rows",
    replicates: int = 1000,
    confidence: float = 0.95,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
    seed: int = 0,
    progress: bool = True,
) -> dict[str, PairedTest]:
    """Tests every metric between two ways of training, each trained with several seeds.

    Use it to say whether one *model* is better than another, and not just one training run: runs of CTR
    models differ by seed as much as published improvements do.

    The metric of a model is the mean of its runs' metrics. It is not the metric of averaged predictions, which would be
    an ensemble. Rows and seeds are crossed: all runs answer the same rows. So the variance has two parts:

    `v = Var*(mean_s m(1, s) - mean_s m(2, s)) + s_1^2 / S_1 + s_2^2 / S_2`

    Var* is over resamples of the rows, all runs on the same resample; s^2 is the variance over a model's runs.
    The interval is `difference +- t sqrt(v)`, t with Welch and Satterthwaite's degrees of freedom. Three seeds give few
    of them: two models whose runs overlap will not come out as different. What depends on row and seed together is
    counted in both parts, so that the test errs on the careful side. Runs with the same seed are not paired, because a
    seed means something else in each model.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        first: Logits of the first model, one array a run.
        second: Logits of the second model, one array a run; the number of runs may differ.
        weights: How much each row counts. Default `None`: 1 each.
        groups: The group of each row; adds the grouped AUC. Default `None`: without it.
        resample: `"rows"` or `"groups"`, as in `bootstrap_metrics`. Default `"rows"`.
        replicates: Number of resamples. Default 1000.
        confidence: What share of such intervals hold the true difference. Default 0.95.
        num_bins: Number of calibration bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`. Default `"equal_mass"`.
        seed: Seed of the draws. Default 0.
        progress: As in `bootstrap_metrics`. Default `True`.

    Returns:
        For each metric a `PairedTest`. A single run of a model says nothing about its variance over seeds: then only
        the rows are covered, and `covers_seeds` is `False`.

    Raises:
        ValueError: As `bootstrap_metrics`, or a model without a run.

    Cost: as `bootstrap_metrics` with as many predictions as runs.

    Example:

    >>> labels = [0, 1, 1, 0] * 25
    >>> runs = [[-1.0, 1.0, -0.5, 0.0] * 25, [-1.0, 0.9, -0.5, 0.1] * 25]
    >>> paired_test_over_seeds(labels, runs, [[0.0] * 100, [0.1] * 100])["auc"].covers_seeds
    True

    Reference: Satterthwaite, Biometrics Bulletin 2, 1946; Welch, Biometrika 34, 1947. The sum of both parts
        is our reading of a crossed design; Bouthillier et al., "Accounting for variance in machine learning
        benchmarks", MLSys 2021, say why both belong in it.
    """
    for what, runs in (("first", first), ("second", second)):
        if len(runs) == 0:
            raise ValueError(f"`{what}` holds no run; give the logits of at least one seed.")
    names_first = [f"first {i}" for i in range(len(first))]
    names_second = [f"second {i}" for i in range(len(second))]
    result = bootstrap_metrics(
        labels,
        dict(zip([*names_first, *names_second], [*first, *second], strict=True)),
        weights=weights,
        groups=groups,
        resample=resample,
        replicates=replicates,
        confidence=confidence,
        num_bins=num_bins,
        bins=bins,
        seed=seed,
        progress=progress,
    )
    return {metric: compare_runs(result, names_first, names_second, metric) for metric in result.metrics}


def _rows_and_seeds(samples: FloatArray, runs: Sequence[FloatArray]) -> tuple[float, float, bool]:
    """Returns standard error, degrees of freedom, and whether every model has more than one run.

    Args:
        samples: float64 `(replicates,)`: the quantity on each resample of the rows.
        runs: For each model its runs' metrics on the rows themselves, times what the model counts in the quantity.
    """
    deviation_rows = _deviation(samples)
    covers_seeds = all(values.size > 1 for values in runs)
    parts = [(float(values.var(ddof=1)) / values.size, values.size - 1) for values in runs] if covers_seeds else []
    variance = deviation_rows**2 + sum(part for part, _ in parts)
    # The resamples of the rows have as many degrees of freedom as there are rows: no limit.
    denominator = sum(part**2 / degrees for part, degrees in parts)
    degrees = variance**2 / denominator if denominator > 0.0 else math.inf
    return math.sqrt(variance), degrees, covers_seeds


def compare_runs(result: Bootstrap, first: Sequence[str], second: Sequence[str], metric: str) -> PairedTest:
    """Tests one metric between two models whose runs are predictions of one bootstrap.

    Args:
        result: The metrics of all runs on the same resamples.
        first: Names of the first model's runs.
        second: Names of the second model's runs.
        metric: The metric.

    Raises:
        ValueError: A run or metric that the bootstrap does not have.
    """
    return compare_pairs(result, [(first, second)], metric)


def compare_pairs(result: Bootstrap, pairs: Sequence[tuple[Sequence[str], Sequence[str]]], metric: str) -> PairedTest:
    """Tests whether one metric differs in the mean over pairs of models whose runs are predictions of one bootstrap.

    Rows and seeds are counted as in `paired_test_over_seeds`; a model may be in several pairs. The pairs are not a
    sample of others: what is tested is their own mean.

    Args:
        result: The metrics of all runs on the same resamples.
        pairs: For each pair the names of the first model's runs and those of the second's.
        metric: The metric.

    Raises:
        ValueError: No pair, or a run or metric that the bootstrap does not have.
    """
    if not pairs:
        raise ValueError("Give at least one pair of models.")
    # How much the mean of each model's runs counts.
    shares: dict[tuple[str, ...], float] = {}
    for first, second in pairs:
        for names, sign in ((first, 1.0), (second, -1.0)):
            shares[tuple(names)] = shares.get(tuple(names), 0.0) + sign / len(pairs)
    scaled = []
    samples: FloatArray = np.zeros(len(result.samples))
    for names, share in shares.items():
        columns = [result.position(name, metric) for name in names]
        scaled.append(share * np.array([result.values[i, j] for i, j in columns]))
        samples = samples + share * np.stack([result.samples[:, i, j] for i, j in columns]).mean(axis=0)
    deviation, degrees, covers_seeds = _rows_and_seeds(samples, scaled)
    return _from_standard_error(
        metric,
        float(sum(values.mean() for values in scaled)),
        deviation,
        degrees,
        result.confidence,
        "bootstrap over seeds" if covers_seeds else "bootstrap",
        covers_seeds=covers_seeds,
    )


def estimate_of_runs(result: Bootstrap, runs: Sequence[str], metric: str) -> Estimate:
    """Returns a model's mean metric over its runs, with an interval that covers rows and seeds.

    With one run it is that run's bootstrap interval, which covers the rows alone.

    Args:
        result: The metrics of all runs on the same resamples.
        runs: Names of the model's runs.
        metric: The metric.

    Raises:
        ValueError: A run or metric that the bootstrap does not have, or no run.
    """
    if not runs:
        raise ValueError("Give the name of at least one run.")
    if len(runs) == 1:
        return result.estimate(runs[0], metric)
    columns = [result.position(name, metric) for name in runs]
    values = np.array([result.values[i, j] for i, j in columns])
    samples = np.stack([result.samples[:, i, j] for i, j in columns]).mean(axis=0)
    deviation, degrees, _ = _rows_and_seeds(samples, [values])
    half = two_sided_quantile(result.confidence, degrees) * deviation
    mean = float(values.mean())
    return Estimate(mean, *within_range(metric, mean - half, mean + half))


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for having made several tests, by Holm's step-down rule.

    Use it where several models are tested against one reference: if you call the models with an adjusted value below
    0.05 different, you are wrong about any of them with a probability of at most 0.05.

    `max_{k <= i} min(1, (n - k + 1) p_(k))` for the i-th smallest

    Args:
        p_values: The p-values of the tests; NaN stands for a test that could not be made.

    Returns:
        The adjusted ones, in the same order; NaN stays NaN and does not count as a test.

    Raises:
        ValueError: A value outside [0, 1].

    Cost: O(n log n).

    Example:

    >>> holm_adjusted([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Reference: Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    wrong = [p for p in p_values if not math.isnan(p) and not 0.0 <= p <= 1.0]
    if wrong:
        raise ValueError(f"p_values must be from 0 to 1, got {wrong[0]!r}.")
    made = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        adjusted[i] = largest
    return adjusted
