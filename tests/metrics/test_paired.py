from __future__ import annotations

import math

import numpy as np
import pytest

from dynctr_tf.metrics import (
    auc,
    delong_covariance,
    delong_test,
    holm_adjusted,
    log_loss,
    paired_bootstrap_tests,
    paired_test_over_seeds,
)
from dynctr_tf.metrics.student_t import two_sided_p_value, two_sided_quantile


def two_models(seed: int, rows: int, noise: tuple[float, float] = (0.5, 0.5)):
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.0, 1.0, rows)
    labels = (generator.random(rows) < 1.0 / (1.0 + np.exp(-true_logits))).astype(np.float64)
    return labels, *(true_logits + generator.normal(0.0, n, rows) for n in noise)


def delong_by_loop(labels, predictions):
    """Equations 4-6 of the paper over all pairs."""
    clicks, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    v10, v01 = [], []
    for z in predictions:
        kernel = (z[clicks][:, None] > z[others]) + 0.5 * (z[clicks][:, None] == z[others])
        v10.append(kernel.mean(axis=1))
        v01.append(kernel.mean(axis=0))
    return np.cov(v10) / len(clicks) + np.cov(v01) / len(others)


def test_delong_is_the_paper_over_all_pairs() -> None:
    labels, first, second = two_models(0, 150)
    predictions = [first.round(1), second.round(1), first]
    aucs, covariance = delong_covariance(labels, predictions)
    np.testing.assert_allclose(aucs, [auc(labels, z) for z in predictions], rtol=1e-12)
    np.testing.assert_allclose(covariance, delong_by_loop(labels, predictions), rtol=1e-10)


def test_delong_with_equal_weights_is_that_without() -> None:
    labels, first, second = two_models(1, 150)
    plain = delong_covariance(labels, [first, second])
    weighted = delong_covariance(labels, [first, second], np.full(150, 3.0))
    np.testing.assert_allclose(weighted[1], plain[1], rtol=1e-10)


def test_delong_agrees_with_the_bootstrap() -> None:
    labels, first, second = two_models(2, 3000)
    weights = np.random.default_rng(0).random(3000) + 0.2
    for w in (None, weights):
        delong = delong_test(labels, first, second, w)
        resampled = paired_bootstrap_tests(labels, first, second, weights=w, replicates=800)["auc"]
        assert delong.difference == pytest.approx(resampled.difference, rel=1e-9)
        assert delong.standard_error == pytest.approx(resampled.standard_error, rel=0.1)
        assert delong.lower == pytest.approx(resampled.lower, abs=0.3 * delong.standard_error)


def test_delong_finds_no_difference_where_there_is_none_and_one_where_there_is() -> None:
    """Of tests at 5 % between equally good models about 5 % reject; a much noisier model is always found."""
    rejected = found = 0
    for seed in range(400):
        rejected += delong_test(*two_models(seed, 500)).p_value < 0.05
        found += delong_test(*two_models(seed, 500, (0.2, 2.0))).p_value < 0.05
    assert 8 <= rejected <= 34
    assert found > 390


def test_models_that_order_rows_alike_do_not_differ() -> None:
    labels, first, _ = two_models(3, 200)
    test = delong_test(labels, first, 3.0 * first + 1.0)
    assert (test.difference, test.lower, test.upper, test.p_value) == (0.0, 0.0, 0.0, 1.0)
    tests = paired_bootstrap_tests(labels, first, first, replicates=50)
    assert all(test.p_value == 1.0 and test.difference == 0.0 for test in tests.values())


def test_paired_bootstrap_signs_and_values() -> None:
    labels, better, worse = two_models(4, 2000, (0.1, 1.0))
    tests = paired_bootstrap_tests(labels, better, worse, replicates=200)
    assert tests["auc"].difference == pytest.approx(auc(labels, better) - auc(labels, worse), rel=1e-10)
    assert tests["log_loss"].difference == pytest.approx(log_loss(labels, better) - log_loss(labels, worse), rel=1e-10)
    assert tests["auc"].lower > 0.0 > tests["log_loss"].upper
    assert tests["auc"].p_value == pytest.approx(2 / 201)
    mirrored = paired_bootstrap_tests(labels, worse, better, replicates=200)["log_loss"]
    assert mirrored.lower == pytest.approx(-tests["log_loss"].upper, rel=1e-9)


def test_paired_bootstrap_rejects_as_often_as_it_says() -> None:
    p_values = np.array(
        [
            paired_bootstrap_tests(*two_models(seed, 400), replicates=100, seed=seed)["log_loss"].p_value
            for seed in range(150)
        ]
    )
    assert 0 <= (p_values < 0.05).sum() <= 16
    assert 0.38 < (p_values < 0.5).mean() < 0.62


def runs_of(seed: int, seeds: int, spread: tuple[float, float], rows: int = 800):
    """Runs of two models that are equally good on average; each run is off by its own constant."""
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.0, 1.0, rows)
    labels = generator.random(rows) < 1.0 / (1.0 + np.exp(-true_logits))
    runs = [
        [true_logits * (1.0 + s * generator.normal()) + generator.normal(0.0, 0.3, rows) for _ in range(seeds)]
        for s in spread
    ]
    return labels, *runs


def test_seeds_widen_the_interval_and_keep_the_level() -> None:
    """Between equally good models that vary by seed, one run each calls most pairs different; three do not."""
    over_seeds = single = 0
    for seed in range(80):
        labels, first, second = runs_of(seed, 3, (0.3, 0.3))
        test = paired_test_over_seeds(labels, first, second, replicates=60, seed=seed)["calibration_ratio"]
        assert test.covers_seeds
        over_seeds += test.p_value < 0.05
        single += (
            paired_test_over_seeds(labels, first[:1], second[:1], replicates=60)["calibration_ratio"].p_value < 0.05
        )
    assert over_seeds <= 10
    assert single >= 40


def test_test_over_seeds_by_its_formula() -> None:
    labels, first, second = runs_of(3, 4, (0.2, 0.2))
    second = second[:2]
    test = paired_test_over_seeds(labels, first, second, replicates=300, seed=9)["log_loss"]
    m1, m2 = ([log_loss(labels, z) for z in runs] for runs in (first, second))
    assert test.difference == pytest.approx(np.mean(m1) - np.mean(m2), rel=1e-10)
    generator = np.random.default_rng(9)
    differences = []
    for _ in range(300):
        drawn = generator.integers(0, labels.size, labels.size)
        means = [np.mean([log_loss(labels[drawn], z[drawn]) for z in runs]) for runs in (first, second)]
        differences.append(means[0] - means[1])
    parts = np.var(m1, ddof=1) / 4, np.var(m2, ddof=1) / 2
    variance = np.var(differences, ddof=1) + sum(parts)
    degrees = variance**2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 1)
    assert test.standard_error == pytest.approx(math.sqrt(variance), rel=1e-6)
    assert test.upper - test.difference == pytest.approx(
        two_sided_quantile(0.95, degrees) * math.sqrt(variance), rel=1e-6
    )


def test_one_run_covers_rows_alone() -> None:
    labels, first, second = runs_of(5, 2, (0.1, 0.1))
    tests = paired_test_over_seeds(labels, first[:1], second, replicates=60)
    assert not tests["auc"].covers_seeds
    assert tests["auc"].method == "bootstrap"


@pytest.mark.parametrize(
    ("degrees", "quantile"),  # tables of Student's t, two-sided 5 %
    [(1, 12.7062), (2, 4.3027), (4, 2.7764), (10, 2.2281), (30, 2.0423), (120, 1.9799), (math.inf, 1.9600)],
)
def test_student_t_by_the_table(degrees: float, quantile: float) -> None:
    assert two_sided_quantile(0.95, degrees) == pytest.approx(quantile, abs=6e-5)
    assert two_sided_p_value(quantile, degrees) == pytest.approx(0.05, abs=2e-5)
    assert two_sided_p_value(-quantile, degrees) == two_sided_p_value(quantile, degrees)


def test_student_t_closed_forms() -> None:
    for t in (0.0, 0.3, 1.0, 5.0, 300.0):
        cauchy = 1.0 - 2.0 / math.pi * math.atan(t)
        assert two_sided_p_value(t, 1) == pytest.approx(cauchy, rel=1e-9)
        assert two_sided_p_value(t, 2) == pytest.approx(1.0 - t / math.sqrt(t * t + 2.0), rel=1e-8)


def test_holm_by_hand() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_adjusted([0.6, 0.5]) == [1.0, 1.0]
    adjusted = holm_adjusted([math.nan, 0.02])
    assert math.isnan(adjusted[0])
    assert adjusted[1] == 0.02


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="at least 2 clicks and 2 other rows, got 1 and 2"):
        delong_test([1, 0, 0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="`second` holds no run"):
        paired_test_over_seeds([1, 0], [[0.0, 1.0]], [])
    with pytest.raises(ValueError, match="predictions is empty"):
        delong_covariance([1, 0], [])
    with pytest.raises(ValueError, match="p_values must be from 0 to 1, got 1.5"):
        holm_adjusted([1.5])
