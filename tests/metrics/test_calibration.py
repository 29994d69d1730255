from __future__ import annotations

import math

import numpy as np
import pytest

from dynctr_tf.metrics import (
    calibration_error_floor,
    calibration_ratio,
    expected_calibration_error,
    reliability_curve,
)
from dynctr_tf.metrics.calibration import clopper_pearson_interval


def logit(p):
    p = np.asarray(p, dtype=np.float64)
    return np.log(p) - np.log1p(-p)


def test_calibration_ratio_by_hand() -> None:
    assert calibration_ratio([1, 0, 0, 1], logit([0.5, 0.1, 0.2, 0.8])) == pytest.approx(0.8, rel=1e-14)
    assert calibration_ratio([1, 0], logit([0.5, 0.1]), [1.0, 3.0]) == pytest.approx(0.8, rel=1e-14)
    assert math.isnan(calibration_ratio([0, 0], [0.0, 0.0]))


def test_calibration_error_by_hand() -> None:
    labels = [0, 1, 0, 0, 1, 1, 0, 1]
    p = [0.1, 0.1, 0.3, 0.3, 0.6, 0.6, 0.8, 0.8]
    # Two bins of four rows: 0.2 against 1/4 and 0.7 against 3/4.
    assert expected_calibration_error(labels, logit(p), num_bins=2) == pytest.approx(0.05, rel=1e-12)
    # Four bins of two rows: |0.1 - 0.5|, |0.3 - 0|, |0.6 - 1|, |0.8 - 0.5|.
    assert expected_calibration_error(labels, logit(p), num_bins=4) == pytest.approx(0.35, rel=1e-12)
    # Equal width, [0, 0.5) and [0.5, 1].
    assert expected_calibration_error(labels, logit(p), num_bins=2, bins="equal_width") == pytest.approx(0.05)
    # Equal width in thirds: {0.1, 0.3}, {0.6}, {0.8}.
    expected = (4 * 0.05 + 2 * 0.4 + 2 * 0.3) / 8
    assert expected_calibration_error(labels, logit(p), num_bins=3, bins="equal_width") == pytest.approx(expected)


def test_tied_rows_share_a_bin_whatever_their_order() -> None:
    labels, logits = np.array([1] * 30 + [0] * 70), np.zeros(100)
    curve = reliability_curve(labels, logits, num_bins=10)
    assert curve.rows.tolist() == [100]
    assert expected_calibration_error(labels, logits, num_bins=10) == pytest.approx(0.2, rel=1e-12)


@pytest.mark.parametrize("bins", ["equal_mass", "equal_width"])
def test_whole_weights_are_repeated_rows(bins: str) -> None:
    generator = np.random.default_rng(1)
    labels, weights = generator.integers(0, 2, 300), generator.integers(0, 4, 300)
    logits = generator.normal(size=300).round(2)
    repeated = np.repeat(np.arange(300), weights)
    weighted = reliability_curve(labels, logits, weights, num_bins=7, bins=bins)
    plain = reliability_curve(labels[repeated], logits[repeated], num_bins=7, bins=bins)
    np.testing.assert_allclose(weighted.predicted, plain.predicted, rtol=1e-12)
    np.testing.assert_allclose(weighted.observed, plain.observed, rtol=1e-12)
    np.testing.assert_allclose(weighted.weight, plain.rows, rtol=1e-12)


@pytest.mark.parametrize("bins", ["equal_mass", "equal_width"])
def test_curve_is_the_loop_over_bins(bins: str) -> None:
    generator = np.random.default_rng(2)
    logits, labels = generator.normal(size=997), generator.integers(0, 2, 997)
    p = 1.0 / (1.0 + np.exp(-logits))
    curve = reliability_curve(labels, logits, num_bins=10, bins=bins)
    rank = np.argsort(np.argsort(logits))
    index = ((rank + 0.5) * 10 / 997).astype(int) if bins == "equal_mass" else (p * 10).astype(int)
    seen = np.unique(index)
    np.testing.assert_allclose(curve.predicted, [p[index == b].mean() for b in seen], rtol=1e-12)
    np.testing.assert_allclose(curve.observed, [labels[index == b].mean() for b in seen], rtol=1e-12)
    assert curve.rows.tolist() == [(index == b).sum() for b in seen]
    gaps = sum((index == b).mean() * abs(p[index == b].mean() - labels[index == b].mean()) for b in seen)
    assert expected_calibration_error(labels, logits, num_bins=10, bins=bins) == pytest.approx(gaps, rel=1e-10)


def test_wilson_interval_by_hand() -> None:
    # 2 of 10, z = 2: centre (0.2 + 0.2) / 1.4, half 2 sqrt(0.016 + 0.01) / 1.4.
    curve = reliability_curve([1, 1] + [0] * 8, [0.0] * 10, num_bins=1, z=2.0)
    assert curve.lower[0] == pytest.approx((0.4 - 2 * math.sqrt(0.026)) / 1.4, rel=1e-12)
    assert curve.upper[0] == pytest.approx((0.4 + 2 * math.sqrt(0.026)) / 1.4, rel=1e-12)


def test_wilson_interval_holds_the_truth() -> None:
    generator = np.random.default_rng(3)
    logits = np.repeat(logit([0.02, 0.1, 0.3, 0.7]), 400)
    p = 1.0 / (1.0 + np.exp(-logits))
    held = 0
    for _ in range(250):
        curve = reliability_curve(generator.random(p.size) < p, logits, num_bins=4)
        held += int(((curve.lower <= curve.predicted) & (curve.predicted <= curve.upper)).sum())
    assert 0.92 < held / 1000 < 0.98


def test_exact_interval_by_hand_and_for_few_rows() -> None:
    low, high = clopper_pearson_interval(np.array([0.0, 0.5, 1.0, 0.5]), np.array([10.0, 10.0, 1.0, 2.0]), 0.95)
    # No click of 10: 1 - 0.025^(1/10). 5 of 10: a published table. A click of 1: 0.025; of 2: 1 - 0.975^(1/2).
    np.testing.assert_allclose(low, [0.0, 0.18709, 0.025, 1.0 - math.sqrt(0.975)], atol=1e-5)
    np.testing.assert_allclose(high, [1.0 - 0.025**0.1, 0.81291, 1.0, math.sqrt(0.975)], atol=1e-5)
    # However rare clicks are and however few the rows, at least 95 % of the intervals hold the true share.
    for rows in (1, 2, 3, 7, 20):
        clicks = np.arange(rows + 1)
        low, high = clopper_pearson_interval(clicks / rows, np.full(rows + 1, float(rows)), 0.95)
        for p in (0.001, 0.02, 0.1, 0.3, 0.9):
            chance = [math.comb(rows, k) * p**k * (1 - p) ** (rows - k) for k in range(rows + 1)]
            assert np.sum(np.array(chance)[(low <= p) & (p <= high)]) >= 0.95, (rows, p)


def test_the_floor_is_what_true_predictions_show() -> None:
    generator = np.random.default_rng(4)
    logits = generator.normal(-1.5, 1.0, 4000)
    p = 1.0 / (1.0 + np.exp(-logits))
    weights = generator.random(4000) + 0.5
    for bins in ("equal_mass", "equal_width"):
        shown = [
            expected_calibration_error(generator.random(4000) < p, logits, weights, num_bins=10, bins=bins)
            for _ in range(300)
        ]
        floor = calibration_error_floor(logits, weights, num_bins=10, bins=bins)
        assert floor == pytest.approx(np.mean(shown), rel=0.05)


def test_bad_bins() -> None:
    with pytest.raises(ValueError, match="Did you mean 'equal_mass'"):
        reliability_curve([1, 0], [0.0, 1.0], bins="equal_mas")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_bins must be .* got 0"):
        expected_calibration_error([1, 0], [0.0, 1.0], num_bins=0)
    with pytest.raises(ValueError, match="logits must be finite"):
        calibration_error_floor([0.0, math.nan])
