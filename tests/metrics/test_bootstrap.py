from __future__ import annotations

import math

import numpy as np
import pytest

from dynctr_tf.metrics import (
    Bootstrap,
    auc,
    bootstrap_intervals,
    bootstrap_metrics,
    calibration_ratio,
    expected_calibration_error,
    grouped_auc,
    log_loss,
    normalized_entropy,
)


def some_rows(seed: int, rows: int, digits: int | None = None):
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1.0, 1.0, rows)
    labels = (generator.random(rows) < 1.0 / (1.0 + np.exp(-logits))).astype(np.float64)
    return labels, logits if digits is None else logits.round(digits)


def drawn_rows(result: Bootstrap, replicate: int, weights: np.ndarray) -> np.ndarray:
    """Which rows a replicate drew, each as often as it was, read from the means of columns that mark one row each."""
    marked = np.array([result.row_mean_samples[f"row {row}"][replicate] for row in range(len(weights))]) / weights
    counts = len(weights) * marked / marked.sum()
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
    return np.repeat(np.arange(len(weights)), counts.round().astype(int))


def marks(rows: int) -> dict[str, np.ndarray]:
    return {f"row {row}": np.eye(rows)[row] for row in range(rows)}


@pytest.mark.parametrize("bins", ["equal_mass", "equal_width"])
@pytest.mark.parametrize("digits", [None, 1])
def test_every_resample_is_the_metric_of_the_drawn_rows(bins: str, digits: int | None) -> None:
    labels, logits = some_rows(0, 90, digits)
    weights = np.random.default_rng(1).random(90) + 0.5
    result = bootstrap_metrics(
        labels,
        {"m": logits},
        weights=weights,
        replicates=40,
        num_bins=7,
        bins=bins,
        seed=5,
        row_values={"z": logits, **marks(90)},
    )
    times = np.zeros(90)
    for replicate, samples in enumerate(result.samples[:, 0]):
        drawn = drawn_rows(result, replicate, weights)
        assert len(drawn) == 90
        times += np.bincount(drawn, minlength=90)
        y, z, w = labels[drawn], logits[drawn], weights[drawn]
        expected = [
            auc(y, z, w),
            log_loss(y, z, w),
            normalized_entropy(y, z, w),
            calibration_ratio(y, z, w),
            expected_calibration_error(y, z, w, num_bins=7, bins=bins),
        ]
        np.testing.assert_allclose(samples, expected, rtol=1e-9)
        assert result.row_mean_samples["z"][replicate] == pytest.approx(np.average(z, weights=w), rel=1e-9)
    # Each row is as likely as any other: 40 draws of it are expected, with a deviation of 6.3.
    assert times.min() > 10 and times.max() < 70 and len(np.unique(times)) > 10
    assert result.row_means["z"] == pytest.approx(np.average(logits, weights=weights), rel=1e-12)
    assert result.values[0, 0] == pytest.approx(auc(labels, logits, weights), rel=1e-12)


def test_whole_groups_are_drawn() -> None:
    labels, logits = some_rows(2, 120)
    groups = np.random.default_rng(3).integers(0, 12, 120)
    result = bootstrap_metrics(
        labels, {"m": logits}, groups=groups, resample="groups", replicates=40, seed=6, row_values=marks(120)
    )
    distinct = set()
    for replicate, samples in enumerate(result.samples[:, 0]):
        marked = np.array([result.row_mean_samples[f"row {row}"][replicate] for row in range(120)])
        shares = np.array([marked[groups == group] for group in range(12)], dtype=object)
        assert all(np.ptp(share.astype(float)) < 1e-12 for share in shares), "rows of a group are drawn together"
        of_groups = np.array([share[0] for share in shares], dtype=float)
        counts = (12 * of_groups / of_groups.sum()).round().astype(int)
        np.testing.assert_allclose(of_groups, counts * of_groups.sum() / 12, atol=1e-9)
        distinct.add(tuple(counts))
        drawn = np.repeat(np.arange(12), counts)
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        copies = np.concatenate([np.full((groups == group).sum(), place) for place, group in enumerate(drawn)])
        assert samples[0] == pytest.approx(auc(labels[rows], logits[rows]), rel=1e-9)
        assert samples[1] == pytest.approx(log_loss(labels[rows], logits[rows]), rel=1e-9)
        assert samples[5] == pytest.approx(grouped_auc(labels[rows], logits[rows], copies).value, rel=1e-9)
    assert len(distinct) == 40


def test_grouped_auc_draws_groups_even_when_rows_are_drawn() -> None:
    labels, logits = some_rows(4, 300)
    groups = np.arange(300) % 60
    result = bootstrap_metrics(labels, {"m": logits}, groups=groups, replicates=50)
    value = grouped_auc(labels, logits, groups).value
    assert result.estimate("m", "grouped_auc").value == pytest.approx(value, rel=1e-12)
    assert abs(np.mean(result.samples[:, 0, 5]) - value) < 3.0 * np.std(result.samples[:, 0, 5])


def test_predictions_share_their_resamples() -> None:
    labels, logits = some_rows(5, 400)
    result = bootstrap_metrics(labels, {"a": logits, "b": 2.0 * logits, "c": -logits}, replicates=50)
    np.testing.assert_allclose(result.samples[:, 0, 0], result.samples[:, 1, 0], rtol=1e-12)
    np.testing.assert_allclose(result.samples[:, 0, 0], 1.0 - result.samples[:, 2, 0], rtol=1e-9)
    assert result.difference("a", "b", "auc") == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert result.difference("a", "b", "log_loss").upper < 0.0


def test_seed_decides_the_draws() -> None:
    labels, logits = some_rows(6, 200)
    first, again, other = (bootstrap_intervals(labels, logits, replicates=50, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first["auc"] != other["auc"]
    assert first["auc"].value == other["auc"].value


def test_intervals_hold_the_truth() -> None:
    """Of 95 % intervals over 120 data sets about 114 hold the truth, here known from a very large sample."""
    labels, logits = some_rows(1_000_000, 400_000)
    truth = {
        "auc": auc(labels, logits),
        "log_loss": log_loss(labels, logits),
        "normalized_entropy": normalized_entropy(labels, logits),
        "calibration_ratio": 1.0,
        "expected_calibration_error": 0.0,
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(120):
        labels, logits = some_rows(seed, 1000)
        for metric, estimate in bootstrap_intervals(labels, logits, replicates=200, seed=seed).items():
            held[metric] += estimate.lower <= truth[metric] <= estimate.upper
    for metric, count in held.items():
        assert 106 <= count <= 120, (metric, held)


def test_calibration_error_interval_of_a_model_that_is_off() -> None:
    """Logits shifted by 0.5: the true error is the mean of |sigmoid(z + 0.5) - sigmoid(z)|."""
    _, logits = some_rows(1_000_000, 400_000)
    truth = np.mean(1.0 / (1.0 + np.exp(-logits - 0.5)) - 1.0 / (1.0 + np.exp(-logits)))
    held = 0
    for seed in range(100):
        labels, logits = some_rows(seed, 2000)
        estimate = bootstrap_intervals(labels, logits + 0.5, replicates=200, seed=seed)["expected_calibration_error"]
        held += estimate.lower <= truth <= estimate.upper
        assert estimate.lower > 0.0
    assert held >= 86


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.6])
def test_calibration_error_interval_is_of_both_errors_and_holds_the_value(shift: float) -> None:
    """Known from simulations: the error that so many rows show on average, and the one of endless rows."""
    _, logits = some_rows(1_000_000, 400_000)
    endless = np.mean(1.0 / (1.0 + np.exp(-logits - shift)) - 1.0 / (1.0 + np.exp(-logits)))
    shown = []
    for seed in range(200):
        labels, logits = some_rows(10_000 + seed, 500)
        shown.append(expected_calibration_error(labels, logits + shift))
    held = {"endless": 0, "so many": 0}
    for seed in range(60):
        labels, logits = some_rows(seed, 500)
        found = bootstrap_intervals(labels, logits + shift, replicates=100, seed=seed)["expected_calibration_error"]
        assert found.lower <= found.value <= found.upper
        held["endless"] += found.lower <= endless <= found.upper
        held["so many"] += found.lower <= np.mean(shown) <= found.upper
    assert min(held.values()) >= 51, held


def test_every_interval_holds_its_value() -> None:
    """Few rows, few clicks, ties, weights of four orders of magnitude, groups of one class."""
    generator = np.random.default_rng(0)
    for case in range(60):
        rows = int(generator.integers(30, 300))
        logits = generator.normal(-1.0, 1.5, rows).round(int(generator.integers(0, 4)))
        labels = (generator.random(rows) < generator.choice([0.1, 0.3, 0.9])).astype(float)
        labels[:3], labels[3:6] = 1.0, 0.0
        weights = None if case % 2 else np.exp(generator.normal(0.0, 2.0, rows))
        groups = generator.integers(0, 20, rows)
        result = bootstrap_metrics(
            labels, {"a": logits, "b": -logits}, weights=weights, groups=groups, replicates=200, seed=case
        )
        for metric in result.metrics:
            for found in (result.estimate("a", metric), result.difference("a", "b", metric)):
                if not math.isnan(found.lower):
                    slack = 1e-9 * abs(found.value)
                    assert found.lower - slack <= found.value <= found.upper + slack, (case, metric, found)


def test_groups_that_resemble_each_other_widen_the_interval() -> None:
    labels, logits = some_rows(7, 100)
    labels, logits, groups = np.repeat(labels, 20), np.repeat(logits, 20), np.repeat(np.arange(100), 20)
    rows = bootstrap_intervals(labels, logits, groups=groups, replicates=200)["log_loss"]
    whole = bootstrap_intervals(labels, logits, groups=groups, resample="groups", replicates=200)["log_loss"]
    assert (whole.upper - whole.lower) / (rows.upper - rows.lower) == pytest.approx(math.sqrt(20), rel=0.25)


def test_undefined_metrics_stay_undefined() -> None:
    intervals = bootstrap_intervals(np.zeros(50), np.linspace(-1.0, 1.0, 50), replicates=40)
    assert all(math.isnan(value) for value in intervals["auc"])
    assert all(math.isnan(value) for value in intervals["calibration_ratio"])
    assert not math.isnan(intervals["log_loss"].upper)
    # A single click is missing in a third of the resamples.
    single = bootstrap_intervals(np.arange(50) == 3, np.linspace(-1.0, 1.0, 50), replicates=100)
    assert not math.isnan(single["auc"].value)
    assert math.isnan(single["auc"].lower)


def test_weight_zero_rows_do_not_count() -> None:
    labels, logits = some_rows(8, 100)
    weights = (np.arange(100) < 60).astype(float)
    intervals = bootstrap_intervals(labels, logits, weights=weights, replicates=40)
    assert intervals["log_loss"].value == pytest.approx(log_loss(labels[:60], logits[:60]), rel=1e-12)


def test_bad_arguments() -> None:
    labels, logits = some_rows(9, 20)
    with pytest.raises(ValueError, match="replicates must be .* at least 40 .* got 39"):
        bootstrap_intervals(labels, logits, replicates=39)
    with pytest.raises(ValueError, match="confidence .* got 95"):
        bootstrap_intervals(labels, logits, confidence=95)
    with pytest.raises(ValueError, match="give `groups`"):
        bootstrap_intervals(labels, logits, resample="groups")
    with pytest.raises(ValueError, match="Did you mean 'rows'"):
        bootstrap_intervals(labels, logits, resample="row")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one prediction"):
        bootstrap_metrics(labels, {})
    result = bootstrap_metrics(labels, {"a": logits}, replicates=40)
    with pytest.raises(ValueError, match="Did you mean 'log_loss'"):
        result.estimate("a", "logloss")
